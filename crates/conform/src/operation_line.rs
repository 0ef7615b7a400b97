//! Operations on the command line: `POST /reservations {"qty": 1}`.

use serde_json::{Map, Value, json};

use crate::plan::Error;

/// The step's name in a definition made of lines.
const STEP: &str = "step";

/// The operations of one step, a line each: `METHOD PATH BODY`, of which only the path must be.
///
/// `{saga}` in a path stands for the saga's id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OperationLines {
    /// The forward operation of a saga step.
    pub action: Option<String>,
    /// Its undo.
    pub compensation: Option<String>,
    /// The forward operation of a TCC step.
    pub attempt: Option<String>,
    /// Makes what was tried final.
    pub confirm: Option<String>,
    /// Undoes what was tried.
    pub cancel: Option<String>,
    /// The body of the forward operation, if its line has none.
    pub body: Option<Value>,
}

impl OperationLines {
    /// Whether none is given.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The definition document of a step `step` at a participant `participant`.
///
/// # Errors
///
/// [`Error::Plan`]: a line is none.
pub fn document(lines: &OperationLines) -> Result<Value, Error> {
    let mut step = Map::new();
    let ops = [
        ("action", &lines.action),
        ("compensation", &lines.compensation),
        ("try", &lines.attempt),
        ("confirm", &lines.confirm),
        ("cancel", &lines.cancel),
    ];
    for (op, line) in ops {
        let Some(line) = line else { continue };
        let mut operation = operation(op, line)?;
        if let Some(body) = lines.body.as_ref().filter(|_| ["action", "try"].contains(&op)) {
            operation.entry("body").or_insert_with(|| body.clone());
        }
        step.insert(op.to_owned(), Value::Object(operation));
    }
    if !step.contains_key("action") && !step.contains_key("try") {
        let text = "no operation is given: add --action 'POST /path' and --compensation, or --try, \
                    --confirm and --cancel, or name a definition's file";
        return Err(Error::Plan(text.to_owned()));
    }
    if !step.contains_key("compensation") && step.contains_key("action") {
        step.insert("compensation".to_owned(), json!("none"));
    }
    step.insert("id".to_owned(), json!(STEP));
    step.insert("participant".to_owned(), json!("participant"));
    Ok(json!({ "name": "conform", "steps": [step] }))
}

fn operation(op: &str, line: &str) -> Result<Map<String, Value>, Error> {
    let wrong = |why: &str| {
        Error::Plan(format!(
            "--{op} {line:?}: {why}; write it as 'POST /path' or 'POST /path BODY'"
        ))
    };
    let line_rest = line.trim();
    let (method, rest) = match line_rest.split_once(char::is_whitespace) {
        Some((method, rest)) if !method.starts_with('/') => (method, rest.trim_start()),
        _ => ("POST", line_rest),
    };
    if !rest.starts_with('/') {
        return Err(wrong("the path must start with /"));
    }
    let (path, body) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let mut operation = Map::new();
    operation.insert("method".to_owned(), json!(method.to_ascii_uppercase()));
    operation.insert("path".to_owned(), json!(path.replace("{saga}", "${saga.id}")));
    if !body.trim().is_empty() {
        let body =
            serde_json::from_str(body).map_err(|error| wrong(&format!("its body: {error}")))?;
        operation.insert("body".to_owned(), body);
    }
    Ok(operation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;

    #[test]
    fn lines_make_a_definition() {
        let lines = OperationLines {
            attempt: Some("/holds".to_owned()),
            confirm: Some("put /holds/{saga}/capture {\"user\": \"ada\"}".to_owned()),
            cancel: Some("DELETE /holds/{saga}".to_owned()),
            body: Some(json!({ "amount": 5 })),
            ..OperationLines::default()
        };
        let document = document(&lines).unwrap();
        let step = &document["steps"][0];
        assert_eq!(
            step["try"],
            json!({ "method": "POST", "path": "/holds", "body": { "amount": 5 } })
        );
        assert_eq!(step["confirm"]["method"], "PUT");
        assert_eq!(step["confirm"]["path"], "/holds/${saga.id}/capture");
        assert_eq!(step["confirm"]["body"]["user"], "ada");
        Plan::check_definition(&document).unwrap();
    }

    #[test]
    fn a_step_without_undo_says_so() {
        let lines =
            OperationLines { action: Some("/mails".to_owned()), ..OperationLines::default() };
        Plan::check_definition(&document(&lines).unwrap()).unwrap();
    }

    #[test]
    fn wrong_lines_are_told() {
        for (action, why) in [
            (Some("POST mails".to_owned()), "must start with /"),
            (Some("POST /mails {".to_owned()), "its body"),
            (None, "no operation"),
        ] {
            let lines = OperationLines { action, ..OperationLines::default() };
            let error = document(&lines).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
