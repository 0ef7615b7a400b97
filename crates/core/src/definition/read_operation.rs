//! Reading an operation: what is sent where.

use serde_json::Value;

use super::FaultCode;
use super::draft::{OperationDraft, Place};
use super::field::{Fields, Reader, below};
use super::read::{DAY, SHORTEST, read_retry};
use super::suggest::suggestion;
use crate::expression::{PathTemplate, Template};
use crate::participant::is_reserved_header;

/// Most headers of one operation.
const HEADERS_MAX: usize = 32;

/// Most bytes of a header's name.
const HEADER_NAME_BYTES_MAX: usize = 128;

/// Most bytes of a path as it is written.
const PATH_BYTES_MAX: usize = 8 * 1024;

const FIELDS: &[&str] = &["method", "path", "body", "headers", "timeout", "retry"];

const METHODS: &[&str] = &["GET", "POST", "PUT", "PATCH", "DELETE"];

/// Headers that carry secrets: these belong to the participant's registration, where they are
/// never shown.
const HEADERS_OF_REGISTRATION: [&str; 2] = ["authorization", "cookie"];

/// Reads what is sound of an operation.
pub(super) fn read_operation(
    reader: &mut Reader,
    value: &Value,
    pointer: &str,
    place: Place,
) -> OperationDraft {
    let Some(fields) = reader.object(value, pointer, FIELDS) else {
        return OperationDraft::default();
    };
    let method = read_method(reader, &fields, "POST");
    refuse_body_of_get(reader, &fields, &method);
    OperationDraft {
        method,
        path: read_path(reader, &fields, place).unwrap_or_default(),
        body: fields.get("body").and_then(|(body, at)| reader.template(body, &at, place)),
        headers: read_headers(reader, &fields, place),
        timeout: reader.duration(&fields, "timeout", SHORTEST..=DAY),
        retry: read_retry(reader, &fields),
    }
}

/// The method, `default` without one.
pub(super) fn read_method(reader: &mut Reader, fields: &Fields<'_, '_>, default: &str) -> String {
    let default = || default.to_owned();
    let Some((value, pointer)) = fields.get("method") else { return default() };
    let Some(text) = reader.text(value, &pointer) else { return default() };
    let method = text.to_ascii_uppercase();
    if METHODS.contains(&method.as_str()) {
        return method;
    }
    let hint = suggestion(&method, METHODS.iter().copied());
    reader.fault(
        &pointer,
        FaultCode::WrongType,
        format!("{text:?} is no method that can be used{hint}"),
    );
    default()
}

pub(super) fn refuse_body_of_get(reader: &mut Reader, fields: &Fields<'_, '_>, method: &str) {
    if method == "GET" && fields.has("body") {
        let detail = "a GET has no body; put the values into the path's query";
        reader.fault(&below(fields.pointer, "body"), FaultCode::FieldConflict, detail);
    }
}

/// The text of the path, if it is not too long, and the pointer to it.
pub(super) fn read_path_text<'v>(
    reader: &mut Reader,
    fields: &Fields<'v, '_>,
) -> Option<(&'v str, String)> {
    let (value, pointer) =
        reader.required(fields, "path", "where the call goes, such as /orders")?;
    let text = reader.text(value, &pointer)?;
    if text.len() > PATH_BYTES_MAX {
        let detail = format!("a path has at most {PATH_BYTES_MAX} bytes");
        reader.fault(&pointer, FaultCode::TooLarge, detail);
        return None;
    }
    Some((text, pointer))
}

fn read_path(reader: &mut Reader, fields: &Fields<'_, '_>, place: Place) -> Option<PathTemplate> {
    let (text, pointer) = read_path_text(reader, fields)?;
    match PathTemplate::parse(text) {
        Ok(path) => {
            for reference in path.references() {
                reader.used(pointer.clone(), place, true, reference);
            }
            Some(path)
        }
        Err(faults) => {
            for why in faults {
                reader.fault(&pointer, FaultCode::BadExpression, why);
            }
            None
        }
    }
}

fn read_headers(
    reader: &mut Reader,
    fields: &Fields<'_, '_>,
    place: Place,
) -> Vec<(String, Template)> {
    let sound = sound_headers(reader, fields);
    let templates = sound.into_iter().filter_map(|(name, value, at)| {
        reader.template(value, &at, place).map(|template| (name, template))
    });
    templates.collect()
}

/// Headers whose values are sent as they stand.
pub(super) fn read_literal_headers(
    reader: &mut Reader,
    fields: &Fields<'_, '_>,
) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let sound = sound_headers(reader, fields);
    sound.into_iter().map(|(name, value, _)| (name, text(value).trim().to_owned())).collect()
}

/// The headers that may be sent, names in lower case, each with the pointer to it.
fn sound_headers<'v>(
    reader: &mut Reader,
    fields: &Fields<'v, '_>,
) -> Vec<(String, &'v Value, String)> {
    let Some((value, pointer)) = fields.get("headers") else { return Vec::new() };
    let Some(fields) = reader.map(value, &pointer) else { return Vec::new() };
    let mut headers: Vec<(String, &Value, String)> = Vec::new();
    for (count, (name, value, at)) in fields.iter().enumerate() {
        if count == HEADERS_MAX {
            reader.fault(
                &pointer,
                FaultCode::TooLarge,
                format!("at most {HEADERS_MAX} headers are allowed"),
            );
            break;
        }
        let lower = name.to_ascii_lowercase();
        if let Err(why) = check_header_name(&lower) {
            reader.fault(&at, FaultCode::ForbiddenHeader, why);
        } else if headers.iter().any(|(other, ..)| *other == lower) {
            reader.fault(
                &at,
                FaultCode::ForbiddenHeader,
                format!("the header {lower:?} stands twice"),
            );
        }
        if !matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_)) {
            reader.wrong_type(&at, value, "a text");
        } else if value
            .as_str()
            .is_some_and(|text| !text.bytes().all(|byte| matches!(byte, b' '..=b'~')))
        {
            let detail = "a header holds visible ASCII characters and blanks only";
            reader.fault(&at, FaultCode::ForbiddenHeader, detail);
        } else {
            headers.push((lower, value, at));
        }
    }
    headers
}

/// A token (RFC 9110, section 5.6.2) that the definition may set.
fn check_header_name(name: &str) -> Result<(), String> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || name.len() > HEADER_NAME_BYTES_MAX || !name.chars().all(is_token) {
        return Err(format!("{name:?} is no name of an HTTP header"));
    }
    if is_reserved_header(name) || HEADERS_OF_REGISTRATION.contains(&name) {
        return Err(format!(
            "the header {name:?} is set by the engine or belongs to the participant's registration; \
             leave it out"
        ));
    }
    Ok(())
}
