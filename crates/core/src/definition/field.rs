//! Reading the fields of a document one by one, and keeping every fault.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Map, Value};

use super::draft::{Place, Use};
use super::suggest::suggestion;
use super::{Fault, FaultCode};
use crate::expression::{Reference, Template};
use crate::{format_duration, parse_duration};

/// Most faults that are reported of one document.
const FAULTS_MAX: usize = 200;

/// Collects what is found while a document is read.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) faults: Vec<Fault>,
    pub(super) uses: Vec<Use>,
}

/// The members of an object and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'v, 'p> {
    members: &'v Map<String, Value>,
    pub(super) pointer: &'p str,
}

/// The pointer to a member or item of what stands at `pointer`.
pub(super) fn below(pointer: &str, token: &str) -> String {
    if token.contains(['~', '/']) {
        return format!("{pointer}/{}", token.replace('~', "~0").replace('/', "~1"));
    }
    [pointer, "/", token].concat()
}

impl<'v> Fields<'v, '_> {
    /// The member, and the pointer to it.
    pub(super) fn get(&self, name: &str) -> Option<(&'v Value, String)> {
        self.members.get(name).map(|value| (value, below(self.pointer, name)))
    }

    /// Whether the member is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// All members.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'v str, &'v Value, String)> {
        self.members.iter().map(|(name, value)| (&**name, value, below(self.pointer, name)))
    }
}

impl Reader {
    /// Keeps a fault, up to a bound.
    pub(super) fn fault(&mut self, pointer: &str, code: FaultCode, detail: impl Into<String>) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault::new(pointer, code, detail));
        }
    }

    /// A value that must be an object, with any members.
    pub(super) fn map<'v, 'p>(
        &mut self,
        value: &'v Value,
        pointer: &'p str,
    ) -> Option<Fields<'v, 'p>> {
        let members = value.as_object();
        if members.is_none() {
            self.wrong_type(pointer, value, "an object");
        }
        members.map(|members| Fields { members, pointer })
    }

    /// A value that must be an object with no members but `known`.
    pub(super) fn object<'v, 'p>(
        &mut self,
        value: &'v Value,
        pointer: &'p str,
        known: &[&str],
    ) -> Option<Fields<'v, 'p>> {
        let fields = self.map(value, pointer)?;
        for name in fields.members.keys().filter(|name| !known.contains(&name.as_str())) {
            let hint = suggestion(name, known.iter().copied());
            self.fault(
                &below(pointer, name),
                FaultCode::UnknownField,
                format!("there is no field {name:?} here{hint}"),
            );
        }
        Some(fields)
    }

    /// A member that must be there.
    pub(super) fn required<'v>(
        &mut self,
        fields: &Fields<'v, '_>,
        name: &str,
        why: &str,
    ) -> Option<(&'v Value, String)> {
        let found = fields.get(name);
        if found.is_none() {
            self.fault(
                fields.pointer,
                FaultCode::MissingField,
                format!("the field {name:?} is missing: {why}"),
            );
        }
        found
    }

    /// A value that must be a text.
    pub(super) fn text<'v>(&mut self, value: &'v Value, pointer: &str) -> Option<&'v str> {
        let text = value.as_str();
        if text.is_none() {
            self.wrong_type(pointer, value, "a text; put it in quotes");
        }
        text
    }

    /// A value that must be a list.
    pub(super) fn list<'v>(&mut self, value: &'v Value, pointer: &str) -> &'v [Value] {
        match value {
            Value::Array(items) => items,
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Object(_) => {
                self.wrong_type(pointer, value, "a list");
                &[]
            }
        }
    }

    /// A member that is true or false, false without it.
    pub(super) fn truth(&mut self, fields: &Fields<'_, '_>, name: &str) -> bool {
        let Some((value, pointer)) = fields.get(name) else { return false };
        value.as_bool().unwrap_or_else(|| {
            self.wrong_type(&pointer, value, "true or false");
            false
        })
    }

    /// A member that is one of some words.
    pub(super) fn word<T: Copy>(
        &mut self,
        fields: &Fields<'_, '_>,
        name: &str,
        words: &[(&str, T)],
    ) -> Option<T> {
        let (value, pointer) = fields.get(name)?;
        let text = self.text(value, &pointer)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        if found.is_none() {
            let hint = suggestion(text, words.iter().map(|(word, _)| *word));
            self.fault(
                &pointer,
                FaultCode::WrongType,
                format!("{text:?} is not allowed here{hint}"),
            );
        }
        found
    }

    /// A member that is a duration within bounds.
    pub(super) fn duration(
        &mut self,
        fields: &Fields<'_, '_>,
        name: &str,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let (value, pointer) = fields.get(name)?;
        let Some(text) = value.as_str() else {
            self.wrong_type(&pointer, value, "a duration such as \"2s\" or \"250ms\"");
            return None;
        };
        match parse_duration(text) {
            Ok(duration) if range.contains(&duration) => Some(duration),
            Ok(_) => {
                let (min, max) = (format_duration(*range.start()), format_duration(*range.end()));
                let detail = format!("{text} is out of range; {min} to {max} are allowed");
                self.fault(&pointer, FaultCode::OutOfRange, detail);
                None
            }
            Err(error) => {
                self.fault(&pointer, error.fault_code(), error.to_string());
                None
            }
        }
    }

    /// A member that is a number within bounds.
    pub(super) fn number(
        &mut self,
        fields: &Fields<'_, '_>,
        name: &str,
        range: RangeInclusive<f64>,
    ) -> Option<f64> {
        let (value, pointer) = fields.get(name)?;
        let Some(number) = value.as_f64() else {
            self.wrong_type(&pointer, value, "a number");
            return None;
        };
        if range.contains(&number) {
            return Some(number);
        }
        let detail =
            format!("{number} is out of range; {} to {} are allowed", range.start(), range.end());
        self.fault(&pointer, FaultCode::OutOfRange, detail);
        None
    }

    /// A template, with what it names kept as used at `place`.
    pub(super) fn template(
        &mut self,
        value: &Value,
        pointer: &str,
        place: Place,
    ) -> Option<Template> {
        match Template::parse(value) {
            Ok(template) => {
                for (inner, reference) in template.references() {
                    self.used(format!("{pointer}{inner}"), place, false, reference.clone());
                }
                Some(template)
            }
            Err(faults) => {
                for (inner, why) in faults {
                    self.fault(&format!("{pointer}{inner}"), FaultCode::BadExpression, why);
                }
                None
            }
        }
    }

    /// Keeps a name that an expression reads.
    pub(super) fn used(
        &mut self,
        pointer: String,
        place: Place,
        in_path: bool,
        reference: Reference,
    ) {
        self.uses.push(Use { pointer, place, in_path, reference });
    }

    /// Keeps the fault that `value` is not `wanted`.
    pub(super) fn wrong_type(&mut self, pointer: &str, value: &Value, wanted: &str) {
        let is = match value {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::String(_) => "a text",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        self.fault(pointer, FaultCode::WrongType, format!("is {is}; wanted is {wanted}"));
    }
}
