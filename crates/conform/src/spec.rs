//! A file that says everything: definition, input, addresses and effects.

use std::collections::BTreeMap;
use std::path::Path;

use amends_core::Json;
use amends_core::definition::Format;
use serde::Deserialize;
use serde_json::Value;

use crate::effect::EffectSource;
use crate::plan::{Error, Plan};

/// Most bytes of a file.
const BYTES_MAX: usize = 1024 * 1024;

/// A file that says everything: definition, input, addresses and effects.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// A definition document, or the path of one beside this file.
    definition: Value,
    #[serde(default)]
    input: Value,
    #[serde(default)]
    participants: BTreeMap<String, OneOrMore>,
    #[serde(default)]
    effects: BTreeMap<String, String>,
    #[serde(default)]
    outputs: BTreeMap<String, Value>,
    #[serde(default)]
    lock_keys: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl Spec {
    /// The plan in the file at `path`: a definition, or a spec that names one.
    ///
    /// # Errors
    ///
    /// [`Error::Plan`]: the file can't be read, or something in it is wrong.
    pub fn plan(path: &Path) -> Result<Plan, Error> {
        let text = read(path)?;
        // A definition has no member `definition`; what is no document at all is told by the
        // definition's own reader, which knows more about it.
        let document: Result<Value, _> = serde_saphyr::from_str(&text);
        match document {
            Ok(document) if document.get("definition").is_some() => {
                let wrong = |error| at(path, &format!("{error}"));
                let spec: Self = serde_json::from_value(document).map_err(wrong)?;
                spec.into_plan(path)
            }
            _ => Plan::read_definition(&text, format(path))
                .map(Plan::new)
                .map_err(|error| in_file(path, error)),
        }
    }

    fn into_plan(self, path: &Path) -> Result<Plan, Error> {
        let definition = if let Some(beside) = self.definition.as_str() {
            let beside = path.parent().unwrap_or(Path::new("")).join(beside);
            Plan::read_definition(&read(&beside)?, format(&beside))
                .map_err(|error| in_file(&beside, error))?
        } else {
            Plan::check_definition(&self.definition).map_err(|error| in_file(path, error))?
        };
        let mut plan = Plan::new(definition);
        plan.input = Json::from_value(&self.input);
        for (participant, urls) in self.participants {
            let urls = match urls {
                OneOrMore::One(url) => vec![url],
                OneOrMore::More(urls) => urls,
            };
            for url in urls {
                plan.add_participant(&participant, &url).map_err(|error| in_file(path, error))?;
            }
        }
        for (step, place) in self.effects {
            let place = EffectSource::parse(&place).map_err(|why| at(path, &why))?;
            plan.effects.insert(step, place);
        }
        let outputs = self.outputs.iter();
        plan.outputs =
            outputs.map(|(step, output)| (step.clone(), Json::from_value(output))).collect();
        plan.lock_keys = self.lock_keys;
        Ok(plan)
    }
}

fn read(path: &Path) -> Result<String, Error> {
    let text = std::fs::read_to_string(path).map_err(|error| at(path, &error.to_string()))?;
    if text.len() > BYTES_MAX {
        return Err(at(path, &format!("is larger than {BYTES_MAX} bytes")));
    }
    Ok(text)
}

fn format(path: &Path) -> Format {
    let is_json = path.extension().is_some_and(|extension| extension == "json");
    if is_json { Format::Json } else { Format::Yaml }
}

fn at(path: &Path, why: &str) -> Error {
    Error::Plan(format!("{}: {why}", path.display()))
}

fn in_file(path: &Path, error: Error) -> Error {
    match error {
        Error::Plan(why) => {
            let lines: Vec<String> =
                why.lines().map(|line| format!("{}: {line}", path.display())).collect();
            Error::Plan(lines.join("\n"))
        }
        Error::Unreachable { .. } => error,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const DEFINITION: &str = "
name: booking
steps:
  - id: book
    participant: hotel
    action: { path: /bookings, body: { nights: \"${input.nights}\" } }
    compensation: { path: \"/bookings/${saga.id}/cancel\" }
";

    fn plan(files: &[(&str, &str)]) -> Result<Plan, Error> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        Spec::plan(&dir.path().join(files[0].0))
    }

    #[test]
    fn a_definition_is_a_plan_without_addresses() {
        let plan = plan(&[("booking.yaml", DEFINITION)]).unwrap();
        assert_eq!(plan.definition.name.as_str(), "booking");
        let error = plan.check().unwrap_err().to_string();
        assert!(error.contains("add hotel=http://HOST:PORT"), "{error}");
    }

    #[test]
    fn a_spec_says_everything() {
        let spec = "
definition: booking.yaml
input: { nights: 2 }
participants: { hotel: [\"http://127.0.0.1:1\", \"http://127.0.0.1:2\"] }
effects: { book: \"/rooms#/free\" }
lock_keys: [\"room:7\"]
";
        let plan = plan(&[("conform.yaml", spec), ("booking.yaml", DEFINITION)]).unwrap();
        assert_eq!(plan.participants["hotel"].len(), 2);
        assert_eq!(plan.effects["book"].pointer, "/free");
        assert_eq!(plan.input.as_str(), r#"{"nights":2}"#);
        plan.check().unwrap();
    }

    #[test]
    fn faults_are_told_with_their_file() {
        for (files, why) in [
            (vec![("a.yaml", "definition: b.yaml")], "b.yaml: No such file"),
            (vec![("a.yaml", "definition: {}\neffect: {}")], "unknown field `effect`"),
            (vec![("a.yaml", "name: x")], "a.yaml: "),
            (vec![("a.yaml", "{")], "a.yaml: "),
        ] {
            let error = plan(&files).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn names_that_the_definition_lacks_are_told() {
        let mut plan = plan(&[("booking.yaml", DEFINITION)]).unwrap();
        plan.add_participant("motel", "http://127.0.0.1:1").unwrap();
        let error = plan.check().unwrap_err().to_string();
        assert_eq!(error, "the definition has no participant \"motel\"; it has hotel");
        for url in ["127.0.0.1:1", "ftp://x", "http://u:p@x", "http://x?y"] {
            assert!(plan.add_participant("hotel", url).is_err(), "{url}");
        }
    }
}
