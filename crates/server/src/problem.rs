//! Problem documents of the API (RFC 9457), told as what happened, where, and what to do.

use std::fmt;

use serde::Deserialize;

/// A problem document; unknown members are passed over.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Problem {
    /// Path of the section in the docs.
    #[serde(rename = "type")]
    pub(crate) about: String,
    /// Short summary.
    pub(crate) title: String,
    /// HTTP status.
    pub(crate) status: u16,
    /// Stable code.
    pub(crate) code: String,
    /// What happened this time.
    pub(crate) detail: String,
    /// Whether the same request may succeed later.
    pub(crate) retryable: bool,
    /// Where in the body.
    pub(crate) pointer: Option<String>,
    /// Everything that is wrong with the body.
    pub(crate) faults: Vec<Fault>,
    /// Commands that the saga would take now.
    pub(crate) allowed: Vec<String>,
    /// Seconds of `Retry-After`; from the header.
    #[serde(skip)]
    pub(crate) retry_after: Option<String>,
    /// The server's base URL, to which `about` is relative.
    #[serde(skip)]
    pub(crate) server: String,
}

/// One fault of a document.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Fault {
    /// JSON pointer.
    pub(crate) pointer: String,
    /// Stable code.
    pub(crate) code: String,
    /// `error` or `warning`.
    pub(crate) severity: String,
    /// What is wrong and what to do.
    pub(crate) detail: String,
}

impl Problem {
    /// Whether the request itself is at fault: the same one will fail again.
    pub(crate) fn is_refusal(&self) -> bool {
        (400..500).contains(&self.status) && !matches!(self.status, 408 | 429)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.detail.is_empty() { &self.title } else { &self.detail };
        write!(f, "{what}\n  code:  {} (HTTP {})", self.code, self.status)?;
        if let Some(pointer) = &self.pointer {
            write!(f, "\n  where: {}", shown(pointer))?;
        }
        for fault in &self.faults {
            write!(f, "\n  {fault}")?;
        }
        if !self.allowed.is_empty() {
            write!(f, "\n  allowed now: {}", self.allowed.join(", "))?;
        }
        if self.retryable {
            match &self.retry_after {
                Some(seconds) => write!(f, "\n  hint: try again in {seconds} s")?,
                None => f.write_str("\n  hint: the same request may succeed later")?,
            }
        }
        if self.about.starts_with('/') {
            write!(f, "\n  more:  {}{}", self.server, self.about)?;
        }
        Ok(())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}] {}: {}", self.severity, self.code, shown(&self.pointer), self.detail)
    }
}

/// The empty pointer is the whole document.
fn shown(pointer: &str) -> &str {
    if pointer.is_empty() { "(whole document)" } else { pointer }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_what_where_and_what_to_do() {
        let mut problem: Problem = serde_json::from_value(serde_json::json!({
            "type": "/docs/errors#pivot-undecided", "title": "t", "status": 409,
            "code": "pivot-undecided", "detail": "saga a cannot be cancelled", "retryable": true,
            "pointer": "/steps/1", "allowed": ["pause", "retry"], "new-member": 1,
            "faults": [{"pointer": "", "code": "cycle", "severity": "error", "detail": "d"}],
        }))
        .unwrap();
        problem.server = "http://h".to_owned();
        let text = problem.to_string();
        for part in [
            "saga a cannot be cancelled",
            "pivot-undecided (HTTP 409)",
            "where: /steps/1",
            "error[cycle] (whole document): d",
            "allowed now: pause, retry",
            "may succeed later",
            "http://h/docs/errors#pivot-undecided",
        ] {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
        assert!(problem.is_refusal());
    }

    #[test]
    fn an_overloaded_server_is_no_refusal() {
        for status in [408, 429, 500, 503] {
            assert!(!Problem { status, ..Problem::default() }.is_refusal());
        }
    }
}
