//! Reading the branches of an interactive transaction.

use serde_json::Value;

use super::check::{Registry, check_participant};
use super::field::{Fields, Reader, below};
use super::read::{DAY, SHORTEST, read_retry};
use super::read_operation::{
    read_literal_headers, read_method, read_path_text, refuse_body_of_get,
};
use super::{Branch, BranchCall, BranchWork, CheckBack, Fault, FaultCode};
use crate::expression::PathTemplate;
use crate::{DefinitionName, Json, ParticipantName, RetryPolicy, StepId};

const FIELDS: &[&str] =
    &["participant", "compensation", "confirm", "cancel", "action", "saga", "after"];

const CALL_FIELDS: &[&str] = &["method", "path", "body", "headers", "timeout", "retry"];

/// A branch as its client describes it.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one is made for a request and taken apart at once")]
pub enum BranchDocument {
    /// Complete.
    Ready(Branch),
    /// A saga of its own, whose definition must be looked up.
    Saga {
        /// The branch's name.
        id: StepId,
        /// The definition's name.
        definition: DefinitionName,
        /// Its version; the newest without one.
        version: Option<u32>,
        /// The saga's input.
        input: Json,
    },
}

/// Reads and checks a branch.
///
/// # Errors
///
/// Everything that is wrong with it.
pub fn parse_branch(
    id: StepId,
    value: &Value,
    registry: &Registry,
) -> Result<BranchDocument, Vec<Fault>> {
    let mut reader = Reader::default();
    let branch = read_branch(&mut reader, id, value, registry);
    match branch.filter(|_| reader.faults.is_empty()) {
        Some(branch) => Ok(branch),
        None => Err(reader.faults),
    }
}

/// Reads and checks how a silent client is asked.
///
/// # Errors
///
/// Everything that is wrong with it.
pub fn parse_check_back(value: &Value, registry: &Registry) -> Result<CheckBack, Vec<Fault>> {
    let mut reader = Reader::default();
    let known: Vec<&str> = CALL_FIELDS.iter().copied().chain(["participant"]).collect();
    let read = reader.object(value, "", &known).and_then(|fields| {
        let participant = read_participant(&mut reader, &fields, registry);
        let call = read_call_fields(&mut reader, &fields, "GET");
        Some(CheckBack { participant: participant?, call: call? })
    });
    match read.filter(|_| reader.faults.is_empty()) {
        Some(check_back) => Ok(check_back),
        None => Err(reader.faults),
    }
}

fn read_branch(
    reader: &mut Reader,
    id: StepId,
    value: &Value,
    registry: &Registry,
) -> Option<BranchDocument> {
    let fields = reader.object(value, "", FIELDS)?;
    if let Some((saga, pointer)) = fields.get("saga") {
        refuse_others(reader, &fields, "saga", &[]);
        return read_saga(reader, id, saga, &pointer);
    }
    let participant = read_participant(reader, &fields, registry);
    let after = read_after(reader, &fields);
    let work = read_work(reader, &fields, participant)?;
    Some(BranchDocument::Ready(Branch { id, after, work }))
}

fn read_work(
    reader: &mut Reader,
    fields: &Fields<'_, '_>,
    participant: Option<ParticipantName>,
) -> Option<BranchWork> {
    let with = ["participant", "after"];
    if fields.has("compensation") {
        refuse_others(reader, fields, "compensation", &with);
        let compensation = read_call(reader, fields, "compensation")?;
        return Some(BranchWork::Compensation { participant: participant?, compensation });
    }
    if fields.has("confirm") || fields.has("cancel") {
        refuse_others(reader, fields, "confirm", &["participant", "after", "cancel"]);
        for (name, other) in [("confirm", "cancel"), ("cancel", "confirm")] {
            if !fields.has(name) {
                let detail = format!("a branch with {other} needs {name} too");
                reader.fault("", FaultCode::IncompleteTcc, detail);
            }
        }
        let (confirm, cancel) =
            (read_call(reader, fields, "confirm"), read_call(reader, fields, "cancel"));
        return Some(BranchWork::Tcc {
            participant: participant?,
            confirm: confirm?,
            cancel: cancel?,
        });
    }
    if fields.has("action") {
        refuse_others(reader, fields, "action", &with);
        let action = read_call(reader, fields, "action")?;
        return Some(BranchWork::Message { participant: participant?, action });
    }
    let detail = "a branch needs a way back or forward: compensation, or confirm and cancel, or \
                  action for a call that is made after the commit, or saga";
    reader.fault("", FaultCode::MissingUndo, detail);
    None
}

/// What excludes a field that stands beside it.
fn refuse_others(reader: &mut Reader, fields: &Fields<'_, '_>, name: &str, with: &[&str]) {
    for (other, _, pointer) in fields.iter() {
        if other != name && FIELDS.contains(&other) && !with.contains(&other) {
            let detail = format!("{other} does not go with {name}; leave one of them out");
            reader.fault(&pointer, FaultCode::FieldConflict, detail);
        }
    }
}

fn read_saga(
    reader: &mut Reader,
    id: StepId,
    value: &Value,
    pointer: &str,
) -> Option<BranchDocument> {
    let fields = reader.object(value, pointer, &["definition", "version", "input"])?;
    let (name, at) = reader.required(&fields, "definition", "the name of what is to run")?;
    let text = reader.text(name, &at)?;
    let definition = DefinitionName::new(text)
        .map_err(|why| reader.fault(&at, FaultCode::BadId, format!("the name {why}")))
        .ok();
    let version = fields.get("version").map(|(value, at)| {
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        number.filter(|number| *number > 0).or_else(|| {
            reader.wrong_type(&at, value, "the number of a version, from 1");
            None
        })
    });
    let input = fields.get("input").map_or_else(Json::null, |(value, _)| Json::from_value(value));
    Some(BranchDocument::Saga { id, definition: definition?, version: version.flatten(), input })
}

fn read_participant(
    reader: &mut Reader,
    fields: &Fields<'_, '_>,
    registry: &Registry,
) -> Option<ParticipantName> {
    let (value, pointer) = reader.required(fields, "participant", "whom the calls go to")?;
    let text = reader.text(value, &pointer)?;
    let name = ParticipantName::new(text)
        .map_err(|why| reader.fault(&pointer, FaultCode::BadId, format!("the name {why}")))
        .ok()?;
    check_participant(reader, &pointer, &name, registry);
    Some(name)
}

fn read_after(reader: &mut Reader, fields: &Fields<'_, '_>) -> Option<Vec<StepId>> {
    let (value, pointer) = fields.get("after")?;
    let items = reader.list(value, &pointer);
    if items.len() > Branch::COUNT_MAX {
        let detail = format!("at most {} branches can be named", Branch::COUNT_MAX);
        reader.fault(&pointer, FaultCode::TooLarge, detail);
        return None;
    }
    let mut after = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let at = below(&pointer, &index.to_string());
        let Some(text) = reader.text(item, &at) else { continue };
        match StepId::new(text) {
            Ok(id) => after.push(id),
            Err(why) => reader.fault(&at, FaultCode::BadId, format!("the id {why}")),
        }
    }
    Some(after)
}

fn read_call(reader: &mut Reader, fields: &Fields<'_, '_>, name: &str) -> Option<BranchCall> {
    let (value, pointer) = fields.get(name)?;
    let fields = reader.object(value, &pointer, CALL_FIELDS)?;
    read_call_fields(reader, &fields, "POST")
}

fn read_call_fields(
    reader: &mut Reader,
    fields: &Fields<'_, '_>,
    method: &str,
) -> Option<BranchCall> {
    let method = read_method(reader, fields, method);
    refuse_body_of_get(reader, fields, &method);
    let body = fields.get("body").map(|(value, _)| Json::from_value(value));
    let headers = read_literal_headers(reader, fields);
    let timeout = reader.duration(fields, "timeout", SHORTEST..=DAY);
    let retry = read_retry(reader, fields).resolve(RetryPolicy::PERSISTENT);
    let (path, pointer) = read_path_text(reader, fields)?;
    for why in PathTemplate::literal_faults(path) {
        reader.fault(&pointer, FaultCode::WrongType, why);
    }
    Some(BranchCall { method, path: path.to_owned(), body, headers, timeout, retry })
}
