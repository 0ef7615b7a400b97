//! How a file is opened.

use std::path::PathBuf;
use std::time::Duration;

use crate::{Formats, OpenError};

/// How a file is opened.
#[derive(Clone, Copy, Debug)]
pub struct SqliteOptions {
    /// Partitions of a file that is made now; one that exists keeps its own. Default 64.
    pub partitions: u16,
    /// Connections for reading. Default 4.
    pub readers: u32,
    /// Longest time that one method may take. Default 10 s.
    pub timeout: Duration,
    /// Which journals are read and written. Other than the default only in tests.
    pub formats: Formats,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        let timeout = Duration::from_secs(10);
        Self { partitions: 64, readers: 4, timeout, formats: Formats::default() }
    }
}

/// The file that `sqlite://PATH`, `sqlite:PATH` or a plain path names.
///
/// # Errors
///
/// [`OpenError::Url`] if it names none.
pub(super) fn file_path(path_or_url: &str) -> Result<PathBuf, OpenError> {
    let path = path_or_url
        .strip_prefix("sqlite://")
        .or_else(|| path_or_url.strip_prefix("sqlite:"))
        .unwrap_or(path_or_url);
    if path.is_empty() || path.starts_with(":memory:") {
        let why = format!(
            "{path_or_url:?} names no file, and what is only in memory is lost at a restart; give \
             one, for example sqlite://amends.db"
        );
        return Err(OpenError::Url(why));
    }
    if path.contains('?') {
        let why = format!("{path_or_url:?} has parameters after a '?', which are not used here");
        return Err(OpenError::Url(why));
    }
    Ok(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_file() {
        for (url, path) in [
            ("sqlite:///var/lib/amends.db", "/var/lib/amends.db"),
            ("sqlite://amends.db", "amends.db"),
            ("sqlite:amends.db", "amends.db"),
            ("./a b.db", "./a b.db"),
        ] {
            assert_eq!(file_path(url).unwrap(), PathBuf::from(path));
        }
        for url in ["", "sqlite://", "sqlite::memory:", "sqlite://a.db?mode=ro"] {
            assert!(matches!(file_path(url), Err(OpenError::Url(_))), "{url}");
        }
    }
}
