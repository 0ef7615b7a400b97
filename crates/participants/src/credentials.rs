//! What shows who calls: the authorization header and the signing keys, read from where the
//! registration says they are.

use std::fmt;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use amends_core::participant::{Auth, ParticipantSpec, Secret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _};
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use parking_lot::Mutex;
use sha2::Sha256;

/// How long what was read from a file is used before it is read again: a rotated secret is in
/// use after a minute.
const FILE_FRESH: Duration = Duration::from_mins(1);
/// How soon a secret that could not be read is tried again.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// Ready for use; shows nothing of itself.
#[derive(Default)]
pub(crate) struct Credentials {
    pub(crate) header: Option<(HeaderName, HeaderValue)>,
    pub(crate) signers: Vec<Hmac<Sha256>>,
}

impl Credentials {
    /// Reads every secret of `spec`; blocks on files.
    ///
    /// # Errors
    ///
    /// A sentence that names the variable or file, never what it holds.
    pub(crate) fn read(spec: &ParticipantSpec) -> Result<Self, String> {
        let header = spec.auth.as_ref().map(auth_header).transpose()?;
        let signers = spec
            .signing_secrets
            .iter()
            .map(|secret| {
                let key = Secret::signing_key(&text_of(secret)?)
                    .map_err(|error| format!("{}: {error}", place(secret)))?;
                Hmac::new_from_slice(&key).map_err(|error| error.to_string())
            })
            .collect::<Result<_, String>>()?;
        Ok(Self { header, signers })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(***)")
    }
}

fn auth_header(auth: &Auth) -> Result<(HeaderName, HeaderValue), String> {
    let (name, text, secret) = match auth {
        Auth::Bearer { token } => (AUTHORIZATION, format!("Bearer {}", text_of(token)?), token),
        Auth::Basic { user, password } => {
            let pair = STANDARD.encode(format!("{user}:{}", text_of(password)?));
            (AUTHORIZATION, format!("Basic {pair}"), password)
        }
        Auth::Header { name, value } => {
            let name = HeaderName::try_from(name.as_str())
                .map_err(|_| format!("{name:?} is no name of a header"))?;
            (name, text_of(value)?, value)
        }
    };
    let mut value = HeaderValue::try_from(text)
        .map_err(|_| format!("{} holds what no header can carry", place(secret)))?;
    value.set_sensitive(true);
    Ok((name, value))
}

fn text_of(secret: &Secret) -> Result<String, String> {
    let text = match secret {
        Secret::Value(text) => return Ok(text.clone()),
        Secret::Env(name) => std::env::var(name)
            .map_err(|_| format!("{} is not set on the coordinator", place(secret)))?,
        Secret::File(path) => {
            let limit = u64::try_from(Secret::BYTES_MAX).unwrap_or(u64::MAX) + 2;
            let mut text = String::new();
            std::fs::File::open(path)
                .and_then(|file| file.take(limit).read_to_string(&mut text))
                .map_err(|error| format!("{} cannot be read: {}", place(secret), error.kind()))?;
            text
        }
    };
    // Files and variables often end with a line break that is not meant.
    let text = text.trim_end_matches(['\r', '\n']).to_owned();
    Secret::check_text(&text).map_err(|error| format!("{}: {error}", place(secret)))?;
    Ok(text)
}

fn place(secret: &Secret) -> String {
    match secret {
        Secret::Value(_) => "the registered secret".to_owned(),
        Secret::Env(name) => format!("the environment variable {name}"),
        Secret::File(path) => format!("the file {path}"),
    }
}

/// The credentials of one participant, read again when they may have changed.
#[derive(Debug)]
pub(crate) struct Vault {
    in_files: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    credentials: Option<Arc<Credentials>>,
    error: Option<String>,
    checked_at: Duration,
}

impl Vault {
    /// Reads the secrets of `spec` at `now`; blocks on files, of which there are three at most.
    pub(crate) fn open(spec: &ParticipantSpec, now: Duration) -> Self {
        let in_auth = match &spec.auth {
            Some(
                Auth::Bearer { token: secret }
                | Auth::Basic { password: secret, .. }
                | Auth::Header { value: secret, .. },
            ) => matches!(secret, Secret::File(_)),
            None => false,
        };
        let signing = spec.signing_secrets.iter().any(|own| matches!(own, Secret::File(_)));
        let mut state = State { credentials: None, error: None, checked_at: now };
        state.take_in(Credentials::read(spec), spec);
        Self { in_files: in_auth || signing, state: Mutex::new(state) }
    }

    /// The credentials to use at `now`.
    ///
    /// # Errors
    ///
    /// A sentence: they were never read. Nothing may be sent without them.
    pub(crate) async fn credentials(
        &self,
        spec: &Arc<ParticipantSpec>,
        now: Duration,
    ) -> Result<Arc<Credentials>, String> {
        if self.is_due(now) {
            let own = Arc::clone(spec);
            let read = tokio::task::spawn_blocking(move || Credentials::read(&own)).await;
            let read = read.unwrap_or_else(|error| Err(error.to_string()));
            self.state.lock().take_in(read, spec);
        }
        let state = self.state.lock();
        state.credentials.clone().ok_or_else(|| state.error.clone().unwrap_or_default())
    }

    /// Whether to read again; says so once a period.
    fn is_due(&self, now: Duration) -> bool {
        let mut state = self.state.lock();
        let fresh = if state.error.is_some() { RETRY_EVERY } else { FILE_FRESH };
        let old = now.saturating_sub(state.checked_at) >= fresh;
        let due = old && (self.in_files || state.error.is_some());
        if due {
            state.checked_at = now;
        }
        due
    }
}

impl State {
    /// What cannot be read now leaves what was read before in use.
    fn take_in(&mut self, read: Result<Credentials, String>, spec: &ParticipantSpec) {
        match read {
            Ok(credentials) => {
                self.credentials = Some(Arc::new(credentials));
                self.error = None;
            }
            Err(error) => {
                tracing::warn!(participant = %spec.name, error, "secret cannot be read");
                self.error = Some(error);
            }
        }
    }
}
