//! The TOML file, as single keys with their lines.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::Error;
use super::origin::{Given, Origin, Raw};

/// Every key of `text`; deeper tables come out as one key each, to be refused by name.
pub(super) fn keys(path: &Path, text: &str) -> Result<Vec<Given>, Error> {
    let syntax = |detail: String| Error::Syntax { path: path.to_owned(), detail };
    let places = DeTable::parse(text).map_err(|error| syntax(error.to_string()))?;
    let mut values: toml::Table =
        toml::from_str(text).map_err(|error| syntax(error.to_string()))?;

    let mut found = Vec::new();
    for (section, content) in places.get_ref() {
        let mut give = |path_in_file: String, value, offset| {
            let line = line_of(text, offset);
            let origin = Origin::File { path: path.to_owned(), line };
            found.push(Given { path: path_in_file, raw: Raw::Typed(value), origin });
        };
        let name = section.get_ref().as_ref();
        match (content.get_ref(), values.remove(name)) {
            (DeValue::Table(keys), Some(toml::Value::Table(mut values))) => {
                for key in keys.keys() {
                    if let Some(value) = values.remove(key.get_ref().as_ref()) {
                        give(format!("{name}.{}", key.get_ref()), value, key.span().start);
                    }
                }
            }
            (_, Some(value)) => give(name.to_owned(), value, section.span().start),
            (_, None) => {}
        }
    }
    Ok(found)
}

/// The line, from 1, of the byte at `offset`.
fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}
