//! A secret, or where it is kept.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A secret value, or the name of what holds it on the coordinator's machine.
///
/// `Debug` never shows a value.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The secret itself.
    Value(String),
    /// The name of an environment variable of the coordinator.
    Env(String),
    /// The absolute path of a file that the coordinator can read.
    File(String),
}

impl Secret {
    /// Most bytes of a secret.
    pub const BYTES_MAX: usize = 8 * 1024;
    /// What stands in place of a secret value where it may not be shown.
    pub const MASK: &'static str = "***";

    /// Why `text` cannot be a secret that travels in a header.
    ///
    /// # Errors
    ///
    /// A sentence that does not hold the text.
    pub fn check_text(text: &str) -> Result<(), String> {
        if text.is_empty() {
            return Err("the secret is empty".to_owned());
        }
        if text.len() > Self::BYTES_MAX {
            return Err(format!("the secret is longer than {} bytes", Self::BYTES_MAX));
        }
        if !text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            let detail = "the secret holds a character that no header can carry; only visible \
                          ASCII and spaces are allowed";
            return Err(detail.to_owned());
        }
        Ok(())
    }

    /// The key bytes of a Standard Webhooks secret: `whsec_` and 24 to 64 bytes in base64.
    ///
    /// # Errors
    ///
    /// A sentence that does not hold the text.
    pub fn signing_key(text: &str) -> Result<Vec<u8>, String> {
        let form = "a signing secret is whsec_ followed by 24 to 64 bytes in base64, for example \
                    the output of: echo whsec_$(openssl rand -base64 32)";
        let encoded = text.trim().strip_prefix("whsec_").ok_or_else(|| form.to_owned())?;
        let key = STANDARD.decode(encoded).map_err(|_| form.to_owned())?;
        if (24..=64).contains(&key.len()) { Ok(key) } else { Err(form.to_owned()) }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(_) => write!(f, "Value({})", Self::MASK),
            Self::Env(name) => write!(f, "Env({name:?})"),
            Self::File(path) => write!(f, "File({path:?})"),
        }
    }
}
