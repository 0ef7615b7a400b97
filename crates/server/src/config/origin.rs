//! Where a value came from.

use std::fmt;
use std::path::PathBuf;

/// The layer that set a key, and the place in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody set it.
    Default,
    /// A line of the configuration file, from 1.
    File {
        /// The file.
        path: PathBuf,
        /// The line of the key.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A flag, as it is written.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(variable) => write!(f, "environment {variable}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// A value as a layer gives it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Raw {
    /// Text of the environment or a flag; read by the kind of its key.
    Text(String),
    /// A value of the file, with a type already.
    Typed(toml::Value),
}

/// One key set by one layer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Given {
    /// `section.key`, in kebab-case.
    pub(crate) path: String,
    /// What it was set to.
    pub(crate) raw: Raw,
    /// By whom.
    pub(crate) origin: Origin,
}

impl Given {
    /// A key set by a flag; `flag` as the user writes it, without the value.
    pub(crate) fn flag(path: &str, value: impl Into<String>, flag: &str) -> Self {
        Self {
            path: path.to_owned(),
            raw: Raw::Text(value.into()),
            origin: Origin::Flag(flag.to_owned()),
        }
    }

    /// A key set by an environment variable: `AMENDS_SERVER__DATA_DIR` is `server.data-dir`.
    ///
    /// Variables without a double underscore are not settings: `AMENDS_URL` belongs to the
    /// client commands, and container platforms invent `AMENDS_PORT` and the like.
    pub(crate) fn environment(variable: &str, value: &str) -> Option<Self> {
        let (section, key) = variable.strip_prefix("AMENDS_")?.split_once("__")?;
        let spelled = |part: &str| part.to_lowercase().replace('_', "-");
        Some(Self {
            path: format!("{}.{}", spelled(section), spelled(key)),
            raw: Raw::Text(value.to_owned()),
            origin: Origin::Environment(variable.to_owned()),
        })
    }

    /// The environment variable that sets the key `path`.
    pub(crate) fn variable(path: &str) -> String {
        let (section, key) = path.split_once('.').unwrap_or(("", path));
        format!("AMENDS_{section}__{key}").replace('-', "_").to_uppercase()
    }
}
