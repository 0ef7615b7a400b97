//! The reference of error codes, for `docs/error-codes.md` and for the page `/docs/errors`: one
//! section a code, what it means and what to do.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use amends_core::definition::{FaultCode, Severity};

use crate::ErrorCode;

/// One section.
struct Section {
    code: &'static str,
    /// Status and whether a repetition may help, if it is a problem's code.
    problem: Option<ErrorCode>,
    /// If it is a fault's code.
    fault: Option<FaultCode>,
}

impl Section {
    /// Lines about what kind of code it is.
    fn facts(&self) -> Vec<String> {
        let mut facts = Vec::new();
        if let Some(code) = self.problem {
            let status = code.status();
            let word = if code.is_retryable() { "may help" } else { "does not help" };
            facts.push(format!("Status {status}. Repeating the same request {word}."));
        }
        match self.fault.map(FaultCode::severity) {
            Some(Severity::Error) => facts.push("Fault: the document is refused.".to_owned()),
            Some(Severity::Warning) => {
                facts.push("Warning: the document is taken, its author should look.".to_owned());
            }
            None => {}
        }
        facts
    }

    fn meaning(&self) -> String {
        let problem = self.problem.map(ErrorCode::meaning).unwrap_or_default();
        let fault = match (self.problem, self.fault) {
            (None, Some(fault)) => fault.meaning(),
            _ => "",
        };
        format!("{problem}{fault}")
    }

    fn advice(&self) -> &'static str {
        match (self.problem, self.fault) {
            (Some(code), _) => code.advice(),
            (None, Some(fault)) => advice(fault),
            (None, None) => "",
        }
    }
}

/// Problems in the order of their statuses, then the faults that are not problems too.
fn sections() -> (Vec<Section>, Vec<Section>) {
    let mut faults: BTreeMap<&'static str, FaultCode> =
        FaultCode::ALL.iter().map(|fault| (fault.as_str(), *fault)).collect();
    let problems = ErrorCode::ALL.iter().map(|code| Section {
        code: code.as_str(),
        problem: Some(*code),
        fault: faults.remove(code.as_str()),
    });
    let problems = problems.collect();
    let rest = FaultCode::ALL.iter().filter(|fault| faults.contains_key(fault.as_str()));
    let rest =
        rest.map(|fault| Section { code: fault.as_str(), problem: None, fault: Some(*fault) });
    (problems, rest.collect())
}

const PROBLEMS: &str = "Every error is answered as `application/problem+json` (RFC 9457). `code` \
    is stable and says what a program may do; `detail` is a sentence about this occurrence; \
    `pointer` and `faults` show places in the request's body; `allowed` lists the commands that \
    would be permitted. Answers 503 carry `Retry-After`.";

const FAULTS: &str = "Codes in `faults` of a definition or registration. Each fault has its place \
    as a JSON pointer and a sentence that says what to do.";

/// The reference as Markdown: the text of `docs/error-codes.md`.
pub fn error_reference() -> String {
    let (problems, faults) = sections();
    let mut text = format!(
        "# Error codes\n\nGenerated from the code; a test compares them.\n\n## Problems\n\n{PROBLEMS}\n"
    );
    write_markdown(&mut text, &problems);
    // Writing to a `String` cannot fail.
    let _ = write!(text, "\n## Faults in documents\n\n{FAULTS}\n");
    write_markdown(&mut text, &faults);
    text
}

fn write_markdown(text: &mut String, sections: &[Section]) {
    for section in sections {
        let _ = write!(
            text,
            "\n### {}\n\n{}\n\n**What it means.** {}\n\n**What to do.** {}\n",
            section.code,
            section.facts().join(" "),
            section.meaning(),
            section.advice()
        );
    }
}

/// The reference as a page.
pub(crate) fn page() -> String {
    let (problems, faults) = sections();
    let mut html = String::from(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>Error codes · amends</title><link rel=\"stylesheet\" href=\"/docs/docs.css\">\
         </head><body><main class=\"text\"><p><a href=\"/docs\">API</a></p><h1>Error codes</h1>",
    );
    let _ = write!(html, "<h2>Problems</h2><p>{}</p>", escape(PROBLEMS));
    write_html(&mut html, &problems);
    let _ = write!(html, "<h2>Faults in documents</h2><p>{}</p>", escape(FAULTS));
    write_html(&mut html, &faults);
    html.push_str("</main></body></html>\n");
    html
}

fn write_html(html: &mut String, sections: &[Section]) {
    for section in sections {
        let _ = write!(
            html,
            "<section id=\"{code}\"><h3><a href=\"#{code}\">{code}</a></h3><p class=\"facts\">{}</p>\
             <p>{}</p><p><strong>What to do.</strong> {}</p></section>",
            escape(&section.facts().join(" ")),
            escape(&section.meaning()),
            escape(section.advice()),
            code = section.code,
        );
    }
}

/// Text as HTML; what stands between backticks as code.
fn escape(text: &str) -> String {
    let plain = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let mut html = String::with_capacity(plain.len());
    for (index, part) in plain.split('`').enumerate() {
        match index % 2 {
            0 => html.push_str(part),
            _ => {
                let _ = write!(html, "<code>{part}</code>");
            }
        }
    }
    html
}

/// What to do about a fault.
const fn advice(fault: FaultCode) -> &'static str {
    match fault {
        FaultCode::Syntax => "Mend the document at the line that `detail` names.",
        FaultCode::WrongType
        | FaultCode::UnknownField
        | FaultCode::MissingField
        | FaultCode::FieldConflict
        | FaultCode::BadId
        | FaultCode::OutOfRange => "Correct the field as `detail` says.",
        FaultCode::DuplicateId => "Give every step an id of its own.",
        FaultCode::UnknownStep => "Correct the name, or add the step.",
        FaultCode::Cycle => "Remove one of the `after` entries that `detail` names.",
        FaultCode::UnknownParticipant => {
            "Register the participant first with `PUT /v1/participants/{name}`, or correct the name."
        }
        FaultCode::BadExpression => {
            "Correct the expression; `${…}` holds one Jinja expression, without blocks."
        }
        FaultCode::UnknownReference => {
            "Use `input`, `saga.id`, `saga.labels`, `step.key`, or `steps.ID.output` and `steps.ID.status` of a step that must be done by then; in an undo also `forward.outcome` and `forward.output`."
        }
        FaultCode::MissingUndo => {
            "Add a `compensation`, or say `compensation: none` where nothing has to be undone, or `on_failure: ignore`."
        }
        FaultCode::TwoPivots => "Keep one pivot; what comes after it can only go forward.",
        FaultCode::CannotBeOptional => "Remove `on_failure: ignore` from it, or `pivot: true`.",
        FaultCode::IncompleteTcc => "Give a step with `try` both `confirm` and `cancel`.",
        FaultCode::TccPastPivot => {
            "Let the step come before the pivot, or make it a plain step with an `action`."
        }
        FaultCode::ForbiddenHeader => {
            "Remove the header; authorization belongs to the participant's registration."
        }
        FaultCode::TooLarge => "Make it smaller; `detail` names the bound.",
        FaultCode::BadSchema => "Correct the schema; `$ref` may point inside the document only.",
        FaultCode::BadEndpoint => {
            "Give a base URL like `https://payments.example.com`, without user, query or fragment."
        }
        FaultCode::TargetNotAllowed => {
            "Name the host or network in the server's list of allowed targets, or use another endpoint."
        }
        FaultCode::BadSecret => {
            "Give the secret itself, or the name of the environment variable or file that holds it."
        }
        FaultCode::NotSupported => "Use one of the values that `detail` names.",
        FaultCode::UndoReadsUnknown => {
            "Read what the forward call was given (`input`, `step.key`) instead, or test `forward.output` before."
        }
        FaultCode::RetryPastDeadline => "Shorten the retries or lengthen the deadline.",
        FaultCode::NoTimeout => {
            "Set `timeout` on the step, under `defaults`, or on the participant."
        }
        FaultCode::ConcurrentWrites => {
            "Let one step come `after` the other, if the order of their effects matters."
        }
        FaultCode::NoLock => "Name the business key under `lock.keys`.",
        FaultCode::UselessUndo => "Remove the undo, or let the step come before the pivot.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_section_with_something_to_do() {
        let (problems, faults) = sections();
        let all: Vec<&Section> = problems.iter().chain(&faults).collect();
        let codes: std::collections::BTreeSet<&str> = all.iter().map(|own| own.code).collect();
        assert_eq!(codes.len(), all.len());
        for code in ErrorCode::ALL {
            assert!(codes.contains(code.as_str()));
        }
        for code in FaultCode::ALL {
            assert!(codes.contains(code.as_str()));
        }
        for section in all {
            let is_whole = !section.meaning().is_empty() && section.advice().ends_with('.');
            assert!(is_whole && !section.facts().is_empty(), "{}", section.code);
        }
    }

    #[test]
    fn the_page_has_an_anchor_for_each_code() {
        let page = page();
        for code in ErrorCode::ALL {
            assert!(page.contains(&format!("id=\"{}\"", code.as_str())));
        }
        assert_eq!(escape("a <b> `c & d`."), "a &lt;b&gt; <code>c &amp; d</code>.");
    }
}
