//! The effective configuration as text: every key, its value without secrets, and its origin.

use std::fmt::Write as _;

use serde_json::json;
use toml::{Table, Value};
use url::Url;

use super::Effective;
use super::key::{KEYS, Key, Kind};

/// What stands for a secret.
const MASK: &str = "***";

impl Effective {
    /// TOML that reads back to the same configuration, but for what is masked.
    pub(crate) fn to_toml(&self) -> String {
        let (table, mut text, mut section) = (self.table(), String::new(), "");
        for key in KEYS {
            let (key_section, name) = key.path.split_once('.').unwrap_or(("", key.path));
            if key_section != section {
                let gap = if section.is_empty() { "" } else { "\n" };
                let _ = writeln!(text, "{gap}[{key_section}]");
                section = key_section;
            }
            let value = shown(key, &table);
            let _ = writeln!(text, "# {}", key.about);
            let _ = writeln!(text, "{name} = {value}  # {}", self.origin(key.path));
        }
        text
    }

    /// The same for programs: `{"section": {"key": {"value", "origin"}}}`.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let (table, mut tree) = (self.table(), json!({}));
        for key in KEYS {
            let (section, name) = key.path.split_once('.').unwrap_or(("", key.path));
            let value = shown(key, &table);
            let origin = self.origin(key.path).to_string();
            tree[section][name] = json!({ "value": value, "origin": origin });
        }
        tree
    }

    /// The values as TOML; a test shows that every key is in it.
    fn table(&self) -> Table {
        Table::try_from(&self.settings).unwrap_or_default()
    }
}

fn shown(key: &Key, table: &Table) -> Value {
    let value = key.path.split_once('.').and_then(|(section, name)| table.get(section)?.get(name));
    let value = value.cloned().unwrap_or(Value::String(String::new()));
    match (key.kind, value) {
        (Kind::Url, Value::String(url)) => Value::String(masked(&url)),
        (Kind::Masters, Value::Array(urls)) => {
            let urls = urls.iter().filter_map(Value::as_str);
            Value::Array(urls.map(|url| Value::String(masked_master(url))).collect())
        }
        (_, value) => value,
    }
}

/// The URL without its password; a text that is no URL but may hold one is masked whole.
pub(crate) fn masked(text: &str) -> String {
    let parsed = Url::parse(text).ok().filter(|url| !url.cannot_be_a_base());
    let Some(mut url) = parsed else {
        return if text.contains('@') { MASK.to_owned() } else { text.to_owned() };
    };
    let has_secret = |name: &str| name.contains("password") || name.contains("token");
    let in_query = url.query_pairs().any(|(name, _)| has_secret(&name));
    if url.password().is_none() && !in_query {
        return text.to_owned();
    }
    if url.password().is_some() && url.set_password(Some(MASK)).is_err() {
        return MASK.to_owned();
    }
    if in_query {
        let kept: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let mut query = url.query_pairs_mut();
        query.clear();
        for (name, value) in &kept {
            query.append_pair(name, if has_secret(name) { MASK } else { value });
        }
    }
    url.to_string()
}

/// The URL of a Redis master without its login: a cluster's has several hosts, so that it is no
/// URL to others.
fn masked_master(text: &str) -> String {
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((login, place))) if login.contains("://") => {
            format!("{scheme}://{MASK}@{place}")
        }
        (_, Some(_)) => MASK.to_owned(),
        (_, None) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Given, Settings, Sources, load};
    use super::*;

    fn effective(flags: Vec<Given>) -> Effective {
        load(&Sources { flags, ..Sources::default() }).unwrap()
    }

    #[test]
    fn every_key_is_in_the_settings_and_every_setting_has_a_key() {
        let table = Table::try_from(Settings::default()).unwrap();
        let in_settings: Vec<String> = table
            .iter()
            .flat_map(|(section, keys)| {
                keys.as_table().unwrap().keys().map(move |key| format!("{section}.{key}"))
            })
            .collect();
        let mut in_keys: Vec<&str> = KEYS.iter().map(|key| key.path).collect();
        in_keys.sort_unstable();
        let mut in_settings: Vec<&str> = in_settings.iter().map(String::as_str).collect();
        in_settings.sort_unstable();
        assert_eq!(in_keys, in_settings);
    }

    #[test]
    fn what_is_printed_reads_back() {
        let effective = effective(vec![Given::flag("engine.journal-queue-max", "7", "--set")]);
        let read: Settings = toml::from_str(&effective.to_toml()).unwrap();
        assert_eq!(read, effective.settings);
        assert!(effective.to_toml().contains("journal-queue-max = 7  # flag --set"));
    }

    #[test]
    fn passwords_are_never_shown() {
        let url = "postgres://amends:hunter2@db/amends?password=hunter3&sslmode=require";
        let effective = effective(vec![Given::flag("database.url", url, "--database")]);
        for text in [effective.to_toml(), effective.to_json().to_string()] {
            assert!(!text.contains("hunter"), "{text}");
            assert!(text.contains("***") && text.contains("sslmode=require"), "{text}");
        }
        assert_eq!(masked("user:hunter2@db"), "***");
        for (url, shown) in [
            ("redis://:hunter2@a:7000/1", "redis://***@a:7000/1"),
            ("redis+cluster://u:hun@ter2@a:1,b:2", "redis+cluster://***@a:1,b:2"),
            ("hunter2@a", "***"),
            ("redis://a", "redis://a"),
        ] {
            assert_eq!(masked_master(url), shown);
        }
        let masters = super::super::load(&Sources {
            flags: vec![Given::flag("locks.redis", "redis://:hunter2@a,redis://b", "--redis")],
            ..Sources::default()
        });
        let text = masters.unwrap().to_toml();
        assert!(
            text.contains(r#"redis = ["redis://***@a", "redis://b"]  # flag --redis"#),
            "{text}"
        );
        assert_eq!(masked("sqlite://amends-data/amends.db"), "sqlite://amends-data/amends.db");
    }
}
