//! Reading a JSON object field by field, collecting every fault.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::definition::{Fault, FaultCode, suggestion};
use crate::{format_duration, parse_duration};

/// An object that is being read: knows where it stands and which of its fields were asked for.
pub(super) struct Fields<'a> {
    map: Option<&'a Map<String, Value>>,
    at: String,
    known: BTreeSet<&'static str>,
}

impl<'a> Fields<'a> {
    /// The object at `at`; a fault if it is something else.
    pub(super) fn new(value: &'a Value, at: String, faults: &mut Vec<Fault>) -> Self {
        if !value.is_object() {
            let detail = format!("must be an object, is {}", kind(value));
            faults.push(Fault::new(at.clone(), FaultCode::WrongType, detail));
        }
        Self { map: value.as_object(), at, known: BTreeSet::new() }
    }

    /// Where `field` stands.
    pub(super) fn pointer(&self, field: &str) -> String {
        format!("{}/{}", self.at, escape(field))
    }

    /// The field, if it is there and not `null`.
    pub(super) fn get(&mut self, field: &'static str) -> Option<&'a Value> {
        self.known.insert(field);
        self.map?.get(field).filter(|value| !value.is_null())
    }

    /// The field as text.
    pub(super) fn text(&mut self, field: &'static str, faults: &mut Vec<Fault>) -> Option<&'a str> {
        let value = self.get(field)?;
        if value.as_str().is_none() {
            self.fault(
                field,
                FaultCode::WrongType,
                format!("must be a text, is {}", kind(value)),
                faults,
            );
        }
        value.as_str()
    }

    /// The field as text; a fault if it is missing.
    pub(super) fn required(
        &mut self,
        field: &'static str,
        faults: &mut Vec<Fault>,
    ) -> Option<&'a str> {
        if self.get(field).is_none() && self.map.is_some() {
            self.fault(field, FaultCode::MissingField, "must be given".to_owned(), faults);
        }
        self.text(field, faults)
    }

    /// The field as a duration within `range`.
    pub(super) fn duration(
        &mut self,
        field: &'static str,
        range: (Duration, Duration),
        faults: &mut Vec<Fault>,
    ) -> Option<Duration> {
        let text = self.text(field, faults)?;
        match parse_duration(text) {
            Ok(duration) if (range.0..=range.1).contains(&duration) => Some(duration),
            Ok(_) => {
                let (low, high) = (format_duration(range.0), format_duration(range.1));
                let detail = format!("must be between {low} and {high}, is {text}");
                self.fault(field, FaultCode::OutOfRange, detail, faults);
                None
            }
            Err(error) => {
                self.fault(field, error.fault_code(), error.to_string(), faults);
                None
            }
        }
    }

    /// The field as a whole number within `range`.
    pub(super) fn whole(
        &mut self,
        field: &'static str,
        range: (u64, u64),
        faults: &mut Vec<Fault>,
    ) -> Option<u64> {
        let value = self.get(field)?;
        let (code, detail) = match value.as_u64() {
            Some(number) if (range.0..=range.1).contains(&number) => return Some(number),
            _ if value.is_number() => (
                FaultCode::OutOfRange,
                format!("must be a whole number from {} to {}, is {value}", range.0, range.1),
            ),
            _ => (FaultCode::WrongType, format!("must be a whole number, is {}", kind(value))),
        };
        self.fault(field, code, detail, faults);
        None
    }

    /// The field as a number above `low` (or equal, if `low` is above 0) and at most `high`.
    pub(super) fn number(
        &mut self,
        field: &'static str,
        range: (f64, f64),
        faults: &mut Vec<Fault>,
    ) -> Option<f64> {
        let value = self.get(field)?;
        let (code, detail) = match value.as_f64() {
            Some(number) if number >= range.0 && number <= range.1 => return Some(number),
            Some(_) => (
                FaultCode::OutOfRange,
                format!("must be a number from {} to {}, is {value}", range.0, range.1),
            ),
            None => (FaultCode::WrongType, format!("must be a number, is {}", kind(value))),
        };
        self.fault(field, code, detail, faults);
        None
    }

    /// The field as true or false.
    pub(super) fn truth(&mut self, field: &'static str, faults: &mut Vec<Fault>) -> Option<bool> {
        let value = self.get(field)?;
        if value.as_bool().is_none() {
            let detail = format!("must be true or false, is {}", kind(value));
            self.fault(field, FaultCode::WrongType, detail, faults);
        }
        value.as_bool()
    }

    /// The field as a list of `range` entries.
    pub(super) fn list(
        &mut self,
        field: &'static str,
        range: (usize, usize),
        faults: &mut Vec<Fault>,
    ) -> &'a [Value] {
        let Some(value) = self.get(field) else { return &[] };
        let (code, detail) = match value.as_array() {
            Some(list) if (range.0..=range.1).contains(&list.len()) => return list,
            Some(list) => (
                FaultCode::OutOfRange,
                format!("must have {} to {} entries, has {}", range.0, range.1, list.len()),
            ),
            None => (FaultCode::WrongType, format!("must be a list, is {}", kind(value))),
        };
        self.fault(field, code, detail, faults);
        &[]
    }

    /// Adds a fault of `field`.
    pub(super) fn fault(
        &self,
        field: &str,
        code: FaultCode,
        detail: String,
        faults: &mut Vec<Fault>,
    ) {
        faults.push(Fault::new(self.pointer(field), code, detail));
    }

    /// A fault for each field that nobody asked for.
    pub(super) fn finish(self, faults: &mut Vec<Fault>) {
        let Some(map) = self.map else { return };
        for field in map.keys().filter(|field| !self.known.contains(field.as_str())) {
            let hint = suggestion(field, self.known.iter().copied());
            let shown: String = field.chars().take(64).collect();
            let detail = format!("there is no field {shown:?} here{hint}");
            self.fault(field, FaultCode::UnknownField, detail, faults);
        }
    }
}

/// Escapes a field's name for a JSON pointer.
pub(super) fn escape(field: &str) -> String {
    field.replace('~', "~0").replace('/', "~1")
}

/// The word for a value's type.
pub(super) const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
