//! Reads how calls show who makes them: `auth`, `signing_secrets` and the secrets in both.

use serde_json::Value;

use super::fields::Fields;
use super::{Auth, Secret, is_reserved_header};
use crate::definition::{Fault, FaultCode};

/// What stands in a mask's place tells nothing: an author who sends back what was shown must say
/// the secret again.
const MASKED: &str = "\"***\" only stands for a secret where it is shown; give the secret itself, \
                      or {\"env\": NAME}, or {\"file\": PATH}";

/// `auth`.
pub(super) fn auth(value: &Value, faults: &mut Vec<Fault>) -> Option<Auth> {
    let mut fields = Fields::new(value, "/auth".to_owned(), faults);
    let auth = match fields.required("type", faults)? {
        "bearer" => header_secret(&mut fields, "token", faults).map(|token| Auth::Bearer { token }),
        "basic" => {
            let user = user(&mut fields, faults);
            let password = header_secret(&mut fields, "password", faults);
            user.zip(password).map(|(user, password)| Auth::Basic { user, password })
        }
        "header" => {
            let name = header_name(&mut fields, faults);
            let value = header_secret(&mut fields, "value", faults);
            name.zip(value).map(|(name, value)| Auth::Header { name, value })
        }
        _ => {
            let detail = "must be \"bearer\" (with \"token\"), \"basic\" (with \"user\" and \
                          \"password\") or \"header\" (with \"name\" and \"value\")";
            fields.fault("type", FaultCode::WrongType, detail.to_owned(), faults);
            return None;
        }
    };
    fields.finish(faults);
    auth
}

fn user(fields: &mut Fields<'_>, faults: &mut Vec<Fault>) -> Option<String> {
    let text = fields.required("user", faults)?;
    if text.len() <= 256 && text.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b':') {
        return Some(text.to_owned());
    }
    let detail = "must be at most 256 visible ASCII characters without ':'";
    fields.fault("user", FaultCode::WrongType, detail.to_owned(), faults);
    None
}

fn header_name(fields: &mut Fields<'_>, faults: &mut Vec<Fault>) -> Option<String> {
    let name = fields.required("name", faults)?.to_ascii_lowercase();
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let (code, detail) = if name.is_empty() || name.len() > 128 || !name.bytes().all(token) {
        (FaultCode::WrongType, "is no name of a header".to_owned())
    } else if is_reserved_header(&name) {
        (FaultCode::ForbiddenHeader, format!("{name} is set by the engine or by HTTP itself"))
    } else {
        return Some(name);
    };
    fields.fault("name", code, detail, faults);
    None
}

fn header_secret(
    fields: &mut Fields<'_>,
    field: &'static str,
    faults: &mut Vec<Fault>,
) -> Option<Secret> {
    let Some(value) = fields.get(field) else {
        let detail = "must be given: the secret, or {\"env\": NAME}, or {\"file\": PATH}";
        fields.fault(field, FaultCode::MissingField, detail.to_owned(), faults);
        return None;
    };
    secret(value, &fields.pointer(field), Secret::check_text, faults)
}

/// `signing_secrets`: at most two.
pub(super) fn signing_secrets(fields: &mut Fields<'_>, faults: &mut Vec<Fault>) -> Vec<Secret> {
    let check = |text: &str| Secret::signing_key(text).map(|_| ());
    let list = fields.list("signing_secrets", (0, 2), faults);
    list.iter()
        .enumerate()
        .filter_map(|(n, value)| secret(value, &format!("/signing_secrets/{n}"), check, faults))
        .collect()
}

/// A text, or an object with one of `value`, `env` and `file`.
fn secret(
    value: &Value,
    at: &str,
    check: impl Fn(&str) -> Result<(), String>,
    faults: &mut Vec<Fault>,
) -> Option<Secret> {
    let (secret, at) = if let Some(text) = value.as_str() {
        (Secret::Value(text.to_owned()), at.to_owned())
    } else {
        let mut fields = Fields::new(value, at.to_owned(), faults);
        let found: Vec<Secret> = [
            fields.text("value", faults).map(|text| Secret::Value(text.to_owned())),
            fields.text("env", faults).map(|text| Secret::Env(text.to_owned())),
            fields.text("file", faults).map(|text| Secret::File(text.to_owned())),
        ]
        .into_iter()
        .flatten()
        .collect();
        fields.finish(faults);
        let [secret] = <[Secret; 1]>::try_from(found)
            .map_err(|_| {
                let detail = "must have exactly one of \"value\", \"env\" and \"file\", as a text";
                faults.push(Fault::new(at, FaultCode::FieldConflict, detail));
            })
            .ok()?;
        (secret, at.to_owned())
    };
    match check_secret(&secret, check) {
        Ok(()) => Some(secret),
        Err(detail) => {
            faults.push(Fault::new(at, FaultCode::BadSecret, detail));
            None
        }
    }
}

fn check_secret(secret: &Secret, check: impl Fn(&str) -> Result<(), String>) -> Result<(), String> {
    match secret {
        Secret::Value(text) if text == Secret::MASK => Err(MASKED.to_owned()),
        Secret::Value(text) => check(text),
        // The coordinator's own settings, its database's password among them, are no one's token.
        Secret::Env(name) if name.to_ascii_uppercase().starts_with("AMENDS_") => Err(
            "environment variables that start with AMENDS_ are the coordinator's own settings; \
                 use another name"
                .to_owned(),
        ),
        Secret::Env(name) => {
            let letters = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
            let starts = name.bytes().next().is_some_and(|b| !b.is_ascii_digit());
            if starts && name.len() <= 128 && name.bytes().all(letters) {
                Ok(())
            } else {
                Err("is no name of an environment variable: letters, digits and '_'".to_owned())
            }
        }
        Secret::File(path) => {
            let clean = !path.contains('\0') && !path.split('/').any(|part| part == "..");
            if path.starts_with('/') && path.len() <= 1024 && clean {
                Ok(())
            } else {
                Err("must be an absolute path without \"..\"".to_owned())
            }
        }
    }
}
