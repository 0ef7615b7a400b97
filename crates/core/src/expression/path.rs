//! Plain paths, such as `input.sku`: read straight from the JSON.
//!
//! Most expressions are one. Reading them here costs some tens of nanoseconds, and keeps numbers
//! as they were written, with all their digits.

use serde_json::Value;

use super::lexer::{Token, tokens};
use super::{Scope, write};
use crate::Json;

/// One member or item of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// A member of an object.
    Name(Box<str>),
    /// An item of a list, from 0.
    Index(usize),
}

/// Where a path starts.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Root {
    Input,
    StepOutput(Box<str>),
    StepStatus(Box<str>),
    SagaId,
    Label(Box<str>),
    StepKey,
    ForwardOutcome,
    ForwardOutput,
}

/// A path that names one value of a [`Scope`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path {
    root: Root,
    members: Vec<Segment>,
}

/// A value that a path names.
pub(super) enum Found<'a> {
    /// A text of the scope's own.
    Text(&'a str),
    /// A place in a JSON document.
    Json {
        /// The document.
        document: &'a Json,
        /// Where in it.
        members: &'a [Segment],
        /// What is there.
        value: &'a Value,
    },
}

impl Path {
    /// Reads `text` if it is a plain path.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let segments = segments(&tokens(text))?;
        let names: Vec<&str> = segments
            .iter()
            .map_while(|segment| match segment {
                Segment::Name(name) => Some(&**name),
                Segment::Index(_) => None,
            })
            .collect();
        let (root, used) = match names.as_slice() {
            ["input", ..] => (Root::Input, 1),
            ["steps", id, "output", ..] => (Root::StepOutput((*id).into()), 3),
            ["steps", id, "status"] => (Root::StepStatus((*id).into()), 3),
            ["saga", "id"] => (Root::SagaId, 2),
            ["saga", "labels", name] => (Root::Label((*name).into()), 3),
            ["step", "key"] => (Root::StepKey, 2),
            ["forward", "outcome"] => (Root::ForwardOutcome, 2),
            ["forward", "output", ..] => (Root::ForwardOutput, 2),
            _ => return None,
        };
        let members = segments.get(used..)?.to_vec();
        let holds_members = matches!(root, Root::Input | Root::StepOutput(_) | Root::ForwardOutput);
        (holds_members || members.is_empty()).then_some(Self { root, members })
    }

    /// The value it names.
    ///
    /// # Errors
    ///
    /// A sentence that says what is missing.
    pub(super) fn find<'a>(&'a self, scope: &'a Scope<'_>) -> Result<Found<'a>, String> {
        let document = match &self.root {
            Root::Input => scope.input,
            Root::StepOutput(id) => {
                let step = scope.step(id).ok_or_else(|| not_over(id))?;
                step.output.ok_or_else(|| {
                    format!("step {id} has no output (its status is {})", step.status)
                })?
            }
            Root::StepStatus(id) => {
                return scope
                    .step(id)
                    .map(|step| Found::Text(step.status))
                    .ok_or_else(|| not_over(id));
            }
            Root::SagaId => return Ok(Found::Text(scope.saga_id.as_str())),
            Root::Label(name) => {
                let label = scope.labels.get(&**name);
                return label
                    .map(|label| Found::Text(label))
                    .ok_or_else(|| format!("the saga has no label {name:?}"));
            }
            Root::StepKey => {
                let key = scope.step_key.as_deref().map(Found::Text);
                return key.ok_or_else(|| "step.key is known in operations only".to_owned());
            }
            Root::ForwardOutcome => {
                let forward = scope.forward.ok_or_else(no_forward)?;
                return Ok(Found::Text(forward.outcome.as_str()));
            }
            Root::ForwardOutput => {
                let forward = scope.forward.ok_or_else(no_forward)?;
                forward.output.ok_or_else(|| {
                    format!(
                        "the forward call has no output (its outcome is {})",
                        forward.outcome.as_str()
                    )
                })?
            }
        };
        let value = walk(document.value(), &self.members)?;
        Ok(Found::Json { document, members: &self.members, value })
    }
}

impl Found<'_> {
    /// Writes the value as JSON.
    pub(super) fn write_json(&self, out: &mut String) -> Result<(), String> {
        match self {
            Self::Text(text) => write::string(out, text),
            Self::Json { value: Value::String(text), .. } => write::string(out, text),
            Self::Json { document, members, value } => {
                out.push_str(&verbatim(document, members, value));
                Ok(())
            }
        }
    }

    /// Writes the value as text.
    pub(super) fn write_text(&self, out: &mut String) -> Result<(), String> {
        match self {
            Self::Text(text) => out.push_str(text),
            Self::Json { value: Value::String(text), .. } => out.push_str(text),
            Self::Json { value: Value::Null, .. } => return Err(write::no_text("null")),
            Self::Json { value: Value::Array(_), .. } => return Err(write::no_text("a list")),
            Self::Json { value: Value::Object(_), .. } => return Err(write::no_text("an object")),
            Self::Json { document, members, value } => {
                out.push_str(&verbatim(document, members, value));
            }
        }
        Ok(())
    }

    /// The value as a truth value.
    pub(super) fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Text(_) => None,
            Self::Json { value, .. } => value.as_bool(),
        }
    }
}

fn not_over(id: &str) -> String {
    format!("step {id} has not been run")
}

fn no_forward() -> String {
    "forward is known in an undo only".to_owned()
}

/// Root and members of a text that is nothing but a path.
fn segments(tokens: &[Token<'_>]) -> Option<Vec<Segment>> {
    let (Token::Name(root), mut rest) = tokens.split_first()? else { return None };
    let mut segments = vec![Segment::Name((*root).into())];
    while !rest.is_empty() {
        let segment;
        (segment, rest) = next_segment(rest)?;
        segments.push(segment);
    }
    Some(segments)
}

/// The member or item that `tokens` start with, and what follows it.
pub(super) fn next_segment<'a, 'b>(tokens: &'a [Token<'b>]) -> Option<(Segment, &'a [Token<'b>])> {
    match tokens {
        [Token::Sign('.'), Token::Name(name), rest @ ..] => {
            Some((Segment::Name((*name).into()), rest))
        }
        [Token::Sign('['), Token::Text(name), Token::Sign(']'), rest @ ..]
            if !name.contains('\\') =>
        {
            Some((Segment::Name((*name).into()), rest))
        }
        [Token::Sign('['), Token::Number(index), Token::Sign(']'), rest @ ..] => {
            index.parse().ok().map(|index| (Segment::Index(index), rest))
        }
        _ => None,
    }
}

fn walk<'a>(document: &'a Value, members: &[Segment]) -> Result<&'a Value, String> {
    members.iter().try_fold(document, |value, member| match member {
        Segment::Name(name) => value.get(&**name).ok_or_else(|| format!("there is no {name:?}")),
        Segment::Index(index) => {
            value.get(*index).ok_or_else(|| format!("there is no item {index}"))
        }
    })
}

/// The value as it is written in its document: `1.10` stays `1.10`.
fn verbatim<'a>(
    document: &'a Json,
    members: &[Segment],
    value: &Value,
) -> std::borrow::Cow<'a, str> {
    match value {
        Value::Null => "null".into(),
        Value::Bool(true) => "true".into(),
        Value::Bool(false) => "false".into(),
        Value::Number(number) if !number.is_f64() => number.to_string().into(),
        Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            match write::excerpt(document.as_str(), members) {
                Some(text) => text.into(),
                None => value.to_string().into(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_are_read_here() {
        for (text, plain) in [
            ("input", true),
            ("input.a.b", true),
            ("input['a b'][0].c", true),
            (r#"steps["my-step"].output"#, true),
            ("steps.a.output.b", true),
            ("steps.a.status", true),
            ("steps.a", false),
            ("steps.a.status.b", false),
            ("saga.id", true),
            ("saga.id.x", false),
            ("saga.labels.team", true),
            ("saga.labels", false),
            ("step.key", true),
            ("forward.outcome", true),
            ("forward.output.id", true),
            ("input.a + 1", false),
            ("input.a is defined", false),
            ("input[-1]", false),
            ("input['a\\nb']", false),
            ("true", false),
            ("other.a", false),
            ("", false),
        ] {
            assert_eq!(Path::parse(text).is_some(), plain, "{text}");
        }
    }
}
