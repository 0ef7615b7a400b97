//! What is probed, where, and with what.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use amends_core::Json;
use amends_core::definition::{Definition, Format, Parsed, Registry, parse, parse_text};
use http::{HeaderName, HeaderValue};
use serde_json::Value;
use url::Url;

use crate::effect::EffectSource;
use crate::point::Point;

/// Why nothing was probed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The plan can't be carried out as it is; a sentence.
    #[error("{0}")]
    Plan(String),
    /// Nobody listens where a participant should.
    #[error(
        "nobody answers at {url}: {reason}\n  \
         hint: start the participant first, or give another address"
    )]
    Unreachable {
        /// Where.
        url: String,
        /// What the connection said.
        reason: String,
    },
}

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For one call.
    pub timeout: Duration,
    /// For an effect to show after the answer.
    pub settle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(5), settle: Duration::from_millis(500) }
    }
}

/// What is probed, where, and with what.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The definition whose steps are probed.
    pub definition: Arc<Definition>,
    /// The input that bodies and paths are rendered with.
    pub input: Json,
    /// Base URLs by participant; calls go round. Steps of others are left out.
    pub participants: BTreeMap<String, Vec<Url>>,
    /// Where effects can be seen, by step.
    pub effects: BTreeMap<String, EffectSource>,
    /// Outputs of steps that are not called, for the steps that read them.
    pub outputs: BTreeMap<String, Json>,
    /// Headers that every call carries, as authorization.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The bytes of the signing secret.
    pub secret: Option<Vec<u8>>,
    /// Lock keys; without any, those of the definition.
    pub lock_keys: Vec<String>,
    /// Only these steps; all without any.
    pub steps: Vec<String>,
    /// Points that are left out.
    pub skip: BTreeSet<Point>,
    /// Whether steps that nothing can undo are probed too.
    pub keep_effects: bool,
    /// How long things may take.
    pub limits: Limits,
}

impl Plan {
    /// A plan for the steps of `definition`, with nothing else in it yet.
    pub fn new(definition: Arc<Definition>) -> Self {
        Self {
            definition,
            input: Json::null(),
            participants: BTreeMap::new(),
            effects: BTreeMap::new(),
            outputs: BTreeMap::new(),
            headers: Vec::new(),
            secret: None,
            lock_keys: Vec::new(),
            steps: Vec::new(),
            skip: BTreeSet::new(),
            keep_effects: false,
            limits: Limits::default(),
        }
    }

    /// Reads the definition that `text` is.
    ///
    /// # Errors
    ///
    /// [`Error::Plan`] with every fault, a line each.
    pub fn read_definition(text: &str, format: Format) -> Result<Arc<Definition>, Error> {
        checked(parse_text(text, format, &Registry::default()))
    }

    /// Reads the definition that `document` is.
    ///
    /// # Errors
    ///
    /// As [`Plan::read_definition`].
    pub fn check_definition(document: &Value) -> Result<Arc<Definition>, Error> {
        checked(parse(document, &Registry::default()))
    }

    /// Adds a base URL of `participant`.
    ///
    /// # Errors
    ///
    /// [`Error::Plan`]: it is no such URL.
    pub fn add_participant(&mut self, participant: &str, url: &str) -> Result<(), Error> {
        let url = base_url(url).map_err(Error::Plan)?;
        self.participants.entry(participant.to_owned()).or_default().push(url);
        Ok(())
    }

    /// Whether names in the plan are names of the definition, and anything is left to probe.
    ///
    /// # Errors
    ///
    /// [`Error::Plan`].
    pub(crate) fn check(&self) -> Result<(), Error> {
        let steps: Vec<&str> = self.definition.steps.iter().map(|step| step.id.as_str()).collect();
        let participants: Vec<&str> =
            self.definition.steps.iter().map(|step| step.participant.as_str()).collect();
        let named = self.effects.keys().chain(self.outputs.keys()).chain(&self.steps);
        known("step", named, &steps)?;
        known("participant", self.participants.keys(), &participants)?;
        if self.participants.is_empty() {
            let wanted: BTreeSet<&str> = participants.into_iter().collect();
            let wanted: Vec<String> =
                wanted.iter().map(|name| format!("{name}=http://HOST:PORT")).collect();
            let text = format!("no address of a participant is given; add {}", wanted.join(" "));
            return Err(Error::Plan(text));
        }
        if let Some(schema) = &self.definition.input_schema {
            let wrong = schema.validate(&self.input);
            if let Some(first) = wrong.first() {
                let text = format!(
                    "the input does not fit the definition: {}{}; give it with --input JSON",
                    first.pointer, first.detail
                );
                return Err(Error::Plan(text));
            }
        }
        Ok(())
    }
}

fn known<'a>(
    what: &str,
    named: impl Iterator<Item = &'a String>,
    all: &[&str],
) -> Result<(), Error> {
    for name in named {
        if !all.contains(&name.as_str()) {
            let names: BTreeSet<&str> = all.iter().copied().collect();
            let names: Vec<&str> = names.into_iter().collect();
            let text =
                format!("the definition has no {what} {name:?}; it has {}", names.join(", "));
            return Err(Error::Plan(text));
        }
    }
    Ok(())
}

fn checked(parsed: Parsed) -> Result<Arc<Definition>, Error> {
    parsed.definition.ok_or_else(|| {
        let faults = parsed.faults.iter().filter(|fault| fault.is_error());
        let lines: Vec<String> =
            faults.map(|fault| format!("{}: {}", fault.pointer, fault.detail)).collect();
        Error::Plan(lines.join("\n"))
    })
}

fn base_url(text: &str) -> Result<Url, String> {
    let hint = "a participant's address is a base URL such as http://127.0.0.1:8080";
    let url = Url::parse(text).map_err(|error| format!("{text:?}: {error}; {hint}"))?;
    let plain = ["http", "https"].contains(&url.scheme())
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if plain { Ok(url) } else { Err(format!("{text:?} can't be called; {hint}")) }
}
