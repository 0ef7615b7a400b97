//! Reading the fields of a request's object one by one, so that everything that is wrong with it
//! is reported, each with its place. Values that nobody here looks into are kept as text.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use amends_core::definition::{Fault, FaultCode};
use amends_core::{Json, Timestamp, format_duration, parse_duration};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::Problem;

/// Says what is wrong with a name and its text.
type CheckText = fn(&str, &str) -> Result<(), (FaultCode, String)>;

/// An object whose fields are taken out one by one.
pub(crate) struct Fields<'a> {
    members: Vec<(Cow<'a, str>, &'a RawValue)>,
    known: Vec<&'static str>,
    faults: Vec<Fault>,
}

impl<'a> Fields<'a> {
    /// Reads an object from text that [`crate::strict::check`] has passed.
    pub(crate) fn read(text: &'a str) -> Result<Self, Problem> {
        let members = serde_json::from_str::<Members<'a>>(text).map_err(|_| {
            let detail = "the body must be an object";
            Problem::of_body(&[Fault::new("", FaultCode::WrongType, detail)])
        })?;
        Ok(Self { members: members.0, known: Vec::new(), faults: Vec::new() })
    }

    /// An object without fields: the body was left out.
    pub(crate) const fn empty() -> Self {
        Self { members: Vec::new(), known: Vec::new(), faults: Vec::new() }
    }

    /// The text of a field, if it is there and not `null`.
    pub(crate) fn raw(&mut self, name: &'static str) -> Option<&'a RawValue> {
        if !self.known.contains(&name) {
            self.known.push(name);
        }
        let (_, raw) = self.members.iter().find(|(own, _)| own == name)?;
        (raw.get() != "null").then_some(*raw)
    }

    /// Fields that are known, and not looked at.
    pub(crate) fn pass_over(&mut self, names: &[&'static str]) {
        self.known.extend(names);
    }

    /// A field that is anything.
    pub(crate) fn json(&mut self, name: &'static str) -> Option<Json> {
        self.raw(name).map(|raw| Json::from_raw(raw.to_owned()))
    }

    /// A field that is a text.
    pub(crate) fn text(&mut self, name: &'static str) -> Option<Cow<'a, str>> {
        let raw = self.raw(name)?;
        let text = serde_json::from_str::<Text<'a>>(raw.get()).ok();
        if text.is_none() {
            self.fault(name, FaultCode::WrongType, "must be a text");
        }
        text.map(|text| text.0)
    }

    /// A field that is a text of at most `max` characters without control characters.
    pub(crate) fn words(&mut self, name: &'static str, max: usize) -> Option<String> {
        let text = self.text(name)?;
        if text.chars().count() > max {
            self.fault(name, FaultCode::OutOfRange, format!("must have at most {max} characters"));
            return None;
        }
        if text.chars().any(|c| c.is_control() && c != '\n') {
            self.fault(name, FaultCode::WrongType, "must not hold control characters");
            return None;
        }
        Some(text.into_owned())
    }

    /// A field that is an id or name.
    pub(crate) fn id<T>(&mut self, name: &'static str) -> Option<T>
    where
        T: std::str::FromStr<Err: fmt::Display>,
    {
        let text = self.text(name)?;
        match text.parse() {
            Ok(id) => Some(id),
            Err(error) => {
                self.fault(name, FaultCode::BadId, format!("{error}"));
                None
            }
        }
    }

    /// A field that is a whole number from 1.
    pub(crate) fn number(&mut self, name: &'static str) -> Option<u32> {
        let raw = self.raw(name)?;
        match serde_json::from_str::<f64>(raw.get()) {
            Ok(_) => match serde_json::from_str::<u32>(raw.get()) {
                Ok(number) if number > 0 => return Some(number),
                _ => {
                    let detail = format!("must be a whole number from 1 to {}", u32::MAX);
                    self.fault(name, FaultCode::OutOfRange, detail);
                }
            },
            Err(_) => self.fault(name, FaultCode::WrongType, "must be a whole number"),
        }
        None
    }

    /// A field that is a duration above zero.
    pub(crate) fn duration(&mut self, name: &'static str) -> Option<Duration> {
        let text = self.text(name)?;
        match parse_duration(&text) {
            Ok(duration) if !duration.is_zero() => return Some(duration),
            Ok(_) => self.fault(name, FaultCode::OutOfRange, "must be longer than 0"),
            Err(error) => self.fault(name, error.fault_code(), error.to_string()),
        }
        None
    }

    /// A field that is a duration within bounds.
    pub(crate) fn duration_in(
        &mut self,
        name: &'static str,
        bounds: &RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let duration = self.duration(name)?;
        if bounds.contains(&duration) {
            return Some(duration);
        }
        let (from, to) = (format_duration(*bounds.start()), format_duration(*bounds.end()));
        self.fault(name, FaultCode::OutOfRange, format!("must be {from} to {to}"));
        None
    }

    /// A field that is a list of at most `max` items, each of them anything.
    pub(crate) fn list(&mut self, name: &'static str, max: usize) -> Option<Vec<&'a RawValue>> {
        let raw = self.raw(name)?;
        match serde_json::from_str::<Vec<&'a RawValue>>(raw.get()) {
            Ok(items) if items.len() <= max => return Some(items),
            Ok(_) => {
                self.fault(name, FaultCode::TooLarge, format!("must have at most {max} items"));
            }
            Err(_) => self.fault(name, FaultCode::WrongType, "must be a list"),
        }
        None
    }

    /// A field that is a time.
    pub(crate) fn time(&mut self, name: &'static str) -> Option<Timestamp> {
        let text = self.text(name)?;
        match Timestamp::parse(&text) {
            Ok(time) => Some(time),
            Err(detail) => {
                self.fault(name, FaultCode::WrongType, detail);
                None
            }
        }
    }

    /// A field that is an object of texts, each name and value found good by `check`.
    pub(crate) fn texts(
        &mut self,
        name: &'static str,
        members_max: usize,
        check: CheckText,
    ) -> BTreeMap<String, String> {
        let mut texts = BTreeMap::new();
        let Some(raw) = self.raw(name) else { return texts };
        let Ok(Members(members)) = serde_json::from_str::<Members<'a>>(raw.get()) else {
            self.fault(name, FaultCode::WrongType, "must be an object of texts");
            return texts;
        };
        if members.len() > members_max {
            let detail = format!("must have at most {members_max} members");
            self.fault(name, FaultCode::TooLarge, detail);
            return texts;
        }
        for (key, value) in members {
            let place = format!("/{name}/{}", escape(&key));
            match serde_json::from_str::<Text<'_>>(value.get()) {
                Ok(Text(value)) => match check(&key, &value) {
                    Ok(()) => {
                        texts.insert(key.into_owned(), value.into_owned());
                    }
                    Err((code, detail)) => self.faults.push(Fault::new(place, code, detail)),
                },
                Err(_) => {
                    self.faults.push(Fault::new(place, FaultCode::WrongType, "must be a text"));
                }
            }
        }
        texts
    }

    /// Adds a fault of `name`.
    pub(crate) fn fault(&mut self, name: &str, code: FaultCode, detail: impl Into<String>) {
        self.faults.push(Fault::new(format!("/{}", escape(name)), code, detail));
    }

    /// Adds a fault of a place below `name`, as `name/place`.
    pub(crate) fn fault_at(&mut self, place: &str, code: FaultCode, detail: impl Into<String>) {
        self.faults.push(Fault::new(format!("/{place}"), code, detail));
    }

    /// Refuses the object if anything was wrong with it, or if it has a field nobody asked for.
    pub(crate) fn finish(mut self) -> Result<(), Problem> {
        for (name, _) in &self.members {
            if !self.known.iter().any(|known| known == name) {
                let shown: String = name.chars().take(64).collect();
                let detail = format!(
                    "there is no field {shown:?} here; known are {}",
                    self.known.join(", ")
                );
                let pointer = format!("/{}", escape(&shown));
                self.faults.push(Fault::new(pointer, FaultCode::UnknownField, detail));
            }
        }
        if self.faults.is_empty() { Ok(()) } else { Err(Problem::of_body(&self.faults)) }
    }
}

fn escape(name: &str) -> Cow<'_, str> {
    if name.contains(['~', '/']) {
        Cow::Owned(name.replace('~', "~0").replace('/', "~1"))
    } else {
        Cow::Borrowed(name)
    }
}

/// A text, borrowed where it holds no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The members of an object, in order.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Text(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}
