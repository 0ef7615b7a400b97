//! Merging the layers.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::error::Fault;
use super::key;
use super::origin::{Given, Origin};
use super::{Error, Settings, file};

/// The file that is read when none is named, if it is there.
const FILE: &str = "amends.toml";

/// Where values may come from, besides the defaults.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// The file that was named.
    pub(crate) file: Option<PathBuf>,
    /// Whether `amends.toml` in the working folder is read when none is named and it is there.
    pub(crate) working_folder: bool,
    /// All environment variables; only `AMENDS_SECTION__KEY` are looked at.
    pub(crate) environment: Vec<(String, String)>,
    /// Keys set by flags.
    pub(crate) flags: Vec<Given>,
}

/// The configuration that counts, and where each value came from.
#[derive(Debug)]
pub(crate) struct Effective {
    /// The values.
    pub(crate) settings: Settings,
    /// Origins of the keys that somebody set.
    pub(super) origins: BTreeMap<String, Origin>,
}

impl Effective {
    /// Where the key's value came from.
    pub(super) fn origin(&self, path: &str) -> &Origin {
        self.origins.get(path).unwrap_or(&Origin::Default)
    }
}

/// Reads and merges all layers: file, environment, flags, each over the one before.
///
/// # Errors
///
/// [`Error::Faults`] with everything that is wrong in any layer.
pub(crate) fn load(sources: &Sources) -> Result<Effective, Error> {
    let mut given = match &sources.file {
        Some(path) => read(path)?,
        None if sources.working_folder && Path::new(FILE).exists() => read(Path::new(FILE))?,
        None => Vec::new(),
    };
    let variables = sources.environment.iter();
    given.extend(variables.filter_map(|(name, value)| Given::environment(name, value)));
    given.extend(sources.flags.iter().cloned());

    let misspelt: Vec<Fault> = sources.environment.iter().filter_map(misspelt).collect();
    let (table, origins) = match (merge(given), misspelt.is_empty()) {
        (Ok(merged), true) => merged,
        (merged, _) => {
            let faults = merged.err().unwrap_or_default();
            return Err(Error::Faults(faults.into_iter().chain(misspelt).collect()));
        }
    };
    let mut settings = settings(table)?;
    settings.derive();
    let effective = Effective { settings, origins };
    let contradictions = effective.settings.contradictions();
    if contradictions.is_empty() {
        return Ok(effective);
    }
    let fault = |(key, detail): (&str, String)| Fault {
        origin: effective.origin(key).clone(),
        key: key.to_owned(),
        detail,
    };
    Err(Error::Faults(contradictions.into_iter().map(fault).collect()))
}

fn read(path: &Path) -> Result<Vec<Given>, Error> {
    let text = fs::read_to_string(path)
        .map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
    file::keys(path, &text)
}

/// One table out of all keys, the last one given counting; or every fault.
fn merge(given: Vec<Given>) -> Result<(Table, BTreeMap<String, Origin>), Vec<Fault>> {
    let (mut table, mut origins, mut faults) = (Table::new(), BTreeMap::new(), Vec::new());
    for Given { path, raw, origin } in given {
        let read = match key::find(&path) {
            Some(key) => key.kind.read(&raw),
            None => Err(unknown(&path)),
        };
        match read {
            Ok(value) => {
                put(&mut table, &path, value);
                origins.insert(path, origin);
            }
            Err(detail) => faults.push(Fault { origin, key: path, detail }),
        }
    }
    if faults.is_empty() { Ok((table, origins)) } else { Err(faults) }
}

/// A key's variable with one underscore where two belong: left out of account in silence, a
/// coordinator would start on another database than the one that was named.
fn misspelt((name, _): &(String, String)) -> Option<Fault> {
    let key = key::of_words(name.strip_prefix("AMENDS_")?)?;
    let right = Given::variable(key);
    let detail = format!("is set by {right}, with two underscores after the section");
    Some(Fault { origin: Origin::Environment(name.clone()), key: key.to_owned(), detail })
}

fn unknown(path: &str) -> String {
    match key::nearest(path) {
        Some(near) => format!("is not a key; did you mean `{near}`?"),
        None => "is not a key; `amends config print` shows all there are".to_owned(),
    }
}

fn put(table: &mut Table, path: &str, value: Value) {
    let (section, name) = path.split_once('.').unwrap_or(("", path));
    let section = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(section) = section {
        section.insert(name.to_owned(), value);
    }
}

/// The typed form; every value was checked by its kind before.
fn settings(table: Table) -> Result<Settings, Error> {
    Settings::deserialize_table(table).map_err(|detail| {
        let origin = Origin::Default;
        Error::Faults(vec![Fault { origin, key: "configuration".to_owned(), detail }])
    })
}

impl Settings {
    fn deserialize_table(table: Table) -> Result<Self, String> {
        table.try_into().map_err(|error: toml::de::Error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn environment(name: &str, value: &str) -> Vec<(String, String)> {
        vec![(name.to_owned(), value.to_owned())]
    }

    #[test]
    fn flags_beat_environment_and_environment_beats_the_file() {
        let file = file(
            "[server]\nlisten = \"127.0.0.1:1\"\ndrain-timeout = \"1s\"\n[engine]\njournal-queue-max = 7\n",
        );
        let mut sources = Sources { file: Some(file.path().to_owned()), ..Sources::default() };
        sources.environment = environment("AMENDS_SERVER__LISTEN", "127.0.0.1:2");
        sources.environment.extend(environment("AMENDS_SERVER__DRAIN_TIMEOUT", "2s"));
        sources.flags = vec![Given::flag("server.listen", "127.0.0.1:3", "--listen")];

        let effective = load(&sources).unwrap();

        let settings = &effective.settings;
        assert_eq!(settings.server.listen.port(), 3);
        assert_eq!(settings.server.drain_timeout.as_secs(), 2);
        assert_eq!(settings.engine.journal_queue_max, 7);
        assert_eq!(settings.database.url, "sqlite://amends-data/amends.db");
        assert_eq!(effective.origin("server.listen").to_string(), "flag --listen");
        assert!(effective.origin("engine.journal-queue-max").to_string().ends_with(":5"));
    }

    #[test]
    fn every_fault_of_every_layer_is_told_at_once() {
        let file =
            file("top = 1\n[server]\nlissten = \"x\"\n[server.deep]\na = 1\n[wrong]\nb = 2\n");
        let sources = Sources {
            file: Some(file.path().to_owned()),
            working_folder: false,
            environment: environment("AMENDS_ENGINE__LEASE_TTL", "soon"),
            flags: vec![Given::flag("engine.journal-queue-max", "-1", "--set")],
        };
        let text = load(&sources).unwrap_err().to_string();
        assert!(text.contains("5 fault(s)") || text.contains("6 fault(s)"), "{text}");
        for part in [
            ":3: `server.lissten` is not a key; did you mean `server.listen`?",
            ":1: `top` is not a key",
            "`wrong.b` is not a key",
            "environment AMENDS_ENGINE__LEASE_TTL: `engine.lease-ttl` must be a duration",
            "flag --set: `engine.journal-queue-max` must be a whole number",
        ] {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
    }

    #[test]
    fn variables_of_others_are_left_alone() {
        let mut sources = Sources::default();
        for name in ["AMENDS_URL", "AMENDS_CONFIG", "AMENDS_PORT_7411_TCP", "PATH", "OTHER__KEY"] {
            sources.environment.extend(environment(name, "x"));
        }
        assert_eq!(load(&sources).unwrap().origins.len(), 0);
    }

    #[test]
    fn a_variable_that_lacks_an_underscore_is_not_passed_over() {
        let environment = environment("AMENDS_DATABASE_URL", "postgres://u:secret@h/db");
        let text = load(&Sources { environment, ..Sources::default() }).unwrap_err().to_string();
        let right =
            "environment AMENDS_DATABASE_URL: `database.url` is set by AMENDS_DATABASE__URL";
        assert!(text.contains(right), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }

    #[test]
    fn contradictions_name_the_key_and_its_origin() {
        let environment = environment("AMENDS_DATABASE__URL", "mysql://x");
        let text = load(&Sources { environment, ..Sources::default() }).unwrap_err().to_string();
        assert!(
            text.contains("environment AMENDS_DATABASE__URL: `database.url` must start"),
            "{text}"
        );
    }
}
