//! Changing sound documents: as text, and as JSON with its structure kept.

use proptest::prelude::*;
use serde_json::Value;

/// Pieces that mean something to some reader.
const PIECES: [&str; 32] = [
    "${",
    "}",
    "$${",
    "input",
    "steps.a.output",
    ".",
    "[",
    "]",
    "{",
    "(",
    ")",
    "|",
    "'",
    "\"",
    "~",
    " if ",
    " not ",
    " ** ",
    "range(99999999)",
    "* 'x' ",
    "\\u0000",
    "\u{feff}",
    "é😀",
    "\0",
    "- &a [*a, *a]\n",
    "<<: *a",
    "!!binary ",
    "%2e%2e/",
    "&",
    "=",
    "1e999",
    "-9223372036854775809",
];

/// Names and words of documents.
const WORDS: [&str; 40] = [
    "id",
    "name",
    "participant",
    "after",
    "when",
    "action",
    "compensation",
    "try",
    "confirm",
    "cancel",
    "pivot",
    "on_failure",
    "undo_refused",
    "completion",
    "outcomes",
    "timeout",
    "retry",
    "path",
    "body",
    "headers",
    "method",
    "mode",
    "interactive",
    "definition",
    "version",
    "input",
    "saga",
    "labels",
    "deadline",
    "lock_keys",
    "reason",
    "step",
    "attempt",
    "event",
    "at",
    "a",
    "b",
    "none",
    "GET",
    "poll",
];

/// What one change does, where, and with what.
#[derive(Clone, Debug)]
pub(crate) struct Edit {
    kind: u8,
    place: u32,
    argument: u32,
    value: Value,
}

pub(crate) fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = (any::<u8>(), any::<u32>(), any::<u32>(), value());
    let edit =
        edit.prop_map(|(kind, place, argument, value)| Edit { kind, place, argument, value });
    prop::collection::vec(edit, 0..6)
}

/// Any JSON, of values that some field takes.
pub(crate) fn value() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0..20_u8).prop_map(Value::from),
    ];
    let text = prop_oneof![
        prop::sample::select(WORDS.as_slice()).prop_map(str::to_owned),
        prop::collection::vec(prop::sample::select(PIECES.as_slice()), 0..6)
            .prop_map(|own| own.concat()),
        "[a-z0-9${}.| '\"\\[\\]()_/~ä-]{0,16}",
        "(/[a-z]{1,4}){1,3}",
        "[0-9]{1,4}(d|h|m|s|ms)",
    ]
    .prop_map(Value::from);
    let leaf = prop_oneof![1 => Just(Value::Null), 1 => any::<bool>().prop_map(Value::from), 2 => number, 4 => text];
    leaf.prop_recursive(4, 24, 5, |inner| {
        let names = prop_oneof![
            6 => prop::sample::select(WORDS.as_slice()).prop_map(str::to_owned),
            1 => "[a-z~/]{0,4}"
        ];
        let members = prop::collection::vec((names, inner.clone()), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(Value::from),
            members.prop_map(|own| Value::Object(own.into_iter().collect())),
        ]
    })
}

/// One of `sound`, its bytes changed here and there.
pub(crate) fn changed_text(sound: Vec<String>) -> impl Strategy<Value = Vec<u8>> {
    (prop::sample::select(sound), edits()).prop_map(|(text, edits)| {
        let mut bytes = text.into_bytes();
        for edit in &edits {
            change_bytes(&mut bytes, edit);
        }
        bytes
    })
}

/// One of `sound` after its first `head` bytes, values within it changed; as it is if it is no JSON.
pub(crate) fn changed_json(sound: Vec<String>, head: usize) -> impl Strategy<Value = Vec<u8>> {
    (prop::sample::select(sound), edits()).prop_map(move |(text, edits)| {
        [&text.as_bytes()[..head], &json(&text[head..], &edits)].concat()
    })
}

/// `text` with values within it changed.
pub(crate) fn json(text: &str, edits: &[Edit]) -> Vec<u8> {
    let Ok(mut root) = serde_json::from_str::<Value>(text) else { return text.into() };
    for edit in edits {
        let mut count = 0;
        places(&mut root, &mut count, u32::MAX, &mut |_| {});
        let wanted = edit.place % count;
        places(&mut root, &mut 0, wanted, &mut |own| change_value(own, edit));
    }
    root.to_string().into_bytes()
}

/// Visits the values in order and counts them in `seen`; calls `act` on number `wanted`.
fn places(value: &mut Value, seen: &mut u32, wanted: u32, act: &mut impl FnMut(&mut Value)) {
    let own = *seen;
    *seen += 1;
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| places(item, seen, wanted, act)),
        Value::Object(members) => {
            members.values_mut().for_each(|member| places(member, seen, wanted, act));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    if own == wanted {
        act(value);
    }
}

fn change_value(own: &mut Value, edit: &Edit) {
    let argument = edit.argument as usize;
    match (edit.kind % 6, own) {
        (0, Value::Array(items)) if !items.is_empty() => {
            items.remove(argument % items.len());
        }
        (1, Value::Array(items)) if !items.is_empty() => {
            let item = items[argument % items.len()].clone();
            items.insert((argument >> 8) % items.len(), item);
        }
        (2, Value::Array(items)) if !items.is_empty() => {
            let count = items.len();
            items.swap(argument % count, (argument >> 8) % count);
        }
        (0, Value::Object(members)) if !members.is_empty() => {
            let name = members.keys().nth(argument % members.len()).unwrap().clone();
            members.remove(&name);
        }
        (1 | 2, Value::Object(members)) => {
            members.insert(WORDS[argument % WORDS.len()].to_owned(), edit.value.clone());
        }
        (0 | 1, Value::Number(number)) => {
            let near = number.as_i64().unwrap_or(0).wrapping_add((edit.argument % 5).into());
            *number = (near - 2).into();
        }
        (0..=2, Value::String(text)) => {
            let mut bytes = std::mem::take(text).into_bytes();
            change_bytes(&mut bytes, edit);
            *text = String::from_utf8_lossy(&bytes).into_owned();
        }
        (_, own) => *own = edit.value.clone(),
    }
}

fn change_bytes(bytes: &mut Vec<u8>, edit: &Edit) {
    let (place, argument) = (edit.place as usize, edit.argument as usize);
    let at = place % (bytes.len() + 1);
    let end = (at + argument % 40).min(bytes.len());
    match edit.kind % 7 {
        0 => drop(bytes.drain(at..end)),
        1 => bytes.truncate(at),
        2 | 3 => {
            bytes.splice(at..at, PIECES[argument % PIECES.len()].bytes());
        }
        4 => {
            let part = bytes[at..end].repeat(argument % 300);
            bytes.splice(at..at, part);
        }
        5 => {
            bytes.splice(at..end, edit.value.to_string().into_bytes());
        }
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << (argument % 8);
            }
        }
    }
}
