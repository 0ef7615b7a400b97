//! What a journal must be like, whatever happened to whoever wrote it.

use std::collections::{BTreeMap, BTreeSet};

use amends_core::Timestamp;
use serde_json::Value;

/// The journal of one saga, read for what can be checked of it.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    /// Rules that it breaks.
    pub(crate) broken: Vec<String>,
    /// Calls that were written down before they were made: step and operation.
    pub(crate) intents: BTreeSet<(String, String)>,
    /// When it ended, in microseconds.
    pub(crate) ended_at: Option<i64>,
    /// The fencing tokens that it was granted, with the time of the grant, in microseconds.
    pub(crate) grants: Vec<(u64, i64)>,
    /// How often it was taken over.
    pub(crate) takeovers: usize,
}

impl Journal {
    /// Reads the records of `saga`, which has ended.
    pub(crate) fn read(saga: &str, records: &[Value]) -> Self {
        let mut reader = Reader { saga, journal: Self::default(), state: State::default() };
        for (seq, record) in (0_u64..).zip(records) {
            if record["seq"] != seq {
                reader.fault(&format!("record {seq} has the number {}", record["seq"]));
            }
            reader.record(record);
        }
        if reader.state.ends != 1 {
            reader.fault(&format!("its journal has {} ends", reader.state.ends));
        }
        reader.journal
    }
}

struct Reader<'a> {
    saga: &'a str,
    journal: Journal,
    state: State,
}

#[derive(Default)]
struct State {
    decision: Option<String>,
    attempts: BTreeSet<(String, String, u64)>,
    succeeded: BTreeSet<(String, String)>,
    epoch: u64,
    ends: u32,
}

impl Reader<'_> {
    fn fault(&mut self, what: &str) {
        self.journal.broken.push(format!("{}: {what}", self.saga));
    }

    fn record(&mut self, record: &Value) {
        if self.state.ends > 0 {
            self.fault(&format!("something after its end: {record}"));
        }
        match record["event"].as_str().unwrap_or_default() {
            "decided" => self.decided(&text(record, "decision")),
            "call_started" => self.started(record),
            "call_answered" => self.answered(record),
            "lock_granted" => {
                let tokens = record["tokens"].as_array().into_iter().flatten();
                let tokens: Vec<u64> = tokens.filter_map(Value::as_u64).collect();
                self.journal.grants.extend(tokens.into_iter().map(|token| (token, at(record))));
            }
            "recovered" => {
                let epoch = record["epoch"].as_u64().unwrap_or_default();
                if epoch <= self.state.epoch {
                    let before = self.state.epoch;
                    self.fault(&format!("taken over under epoch {epoch} after {before}"));
                }
                self.state.epoch = epoch;
                self.journal.takeovers += 1;
            }
            "ended" => {
                self.state.ends += 1;
                self.journal.ended_at = Some(at(record));
                let (status, decision) = (text(record, "status"), self.state.decision.as_deref());
                let agree = match status.as_str() {
                    "completed" => decision != Some("abort"),
                    "compensated" => decision == Some("abort"),
                    _ => true,
                };
                if !agree {
                    self.fault(&format!("ended as {status}, decided {decision:?}"));
                }
            }
            _ => {}
        }
    }

    fn decided(&mut self, decision: &str) {
        if let Some(before) = self.state.decision.replace(decision.to_owned()) {
            self.fault(&format!("decided {before}, and then {decision}"));
        }
    }

    fn started(&mut self, record: &Value) {
        let (step, op) = (text(record, "step"), text(record, "op"));
        let attempt = record["attempt"].as_u64().unwrap_or_default();
        let decision = self.state.decision.as_deref();
        let is_allowed = match op.as_str() {
            "action" | "try" => decision != Some("abort"),
            "confirm" => decision == Some("commit"),
            _ => decision == Some("abort"),
        };
        if !is_allowed {
            self.fault(&format!("{step} {op} started, decided {decision:?}"));
        }
        if step == "create" && op == "action" {
            for before in [("reserve", "action"), ("charge", "try")] {
                let before = (before.0.to_owned(), before.1.to_owned());
                if !self.state.succeeded.contains(&before) {
                    self.fault(&format!("create started before {before:?} had succeeded"));
                }
            }
        }
        if !self.state.attempts.insert((step.clone(), op.clone(), attempt)) {
            self.fault(&format!("attempt {attempt} of {step} {op} was made twice"));
        }
        self.journal.intents.insert((step, op));
    }

    fn answered(&mut self, record: &Value) {
        let (step, op) = (text(record, "step"), text(record, "op"));
        let attempt = record["attempt"].as_u64().unwrap_or_default();
        if !self.state.attempts.contains(&(step.clone(), op.clone(), attempt)) {
            self.fault(&format!("attempt {attempt} of {step} {op} was answered, but not made"));
        }
        if record["outcome"] == "succeeded" {
            self.state.succeeded.insert((step, op));
        }
    }
}

/// Whether sagas had the same lock key one after another, in order of its tokens: a sentence for
/// each that did not. `sessions` is a key, a saga and its journal.
pub(crate) fn check_keys<'a>(
    sessions: impl IntoIterator<Item = (&'a str, &'a str, &'a Journal)>,
) -> Vec<String> {
    let mut by_key: BTreeMap<&str, Vec<(u64, i64, &str, i64)>> = BTreeMap::new();
    for (key, saga, journal) in sessions {
        // Granted again after a takeover: the last grant is the one that it ended with.
        for (index, (token, granted_at)) in journal.grants.iter().enumerate() {
            let next = journal.grants.get(index + 1).map(|(_, at)| *at);
            let until = next.or(journal.ended_at).unwrap_or(i64::MAX);
            by_key.entry(key).or_default().push((*token, *granted_at, saga, until));
        }
    }
    let mut broken = Vec::new();
    for (key, mut sessions) in by_key {
        sessions.sort_unstable();
        for pair in sessions.windows(2) {
            let [(token, _, one, until), (next, from, other, _)] = pair else { continue };
            if token == next && one != other {
                broken.push(format!("{key}: {one} and {other} have the same token {token}"));
            } else if from < until && one != other {
                broken.push(format!("{key}: {other} was granted it while {one} had it"));
            }
        }
    }
    broken
}

fn text(record: &Value, field: &str) -> String {
    record[field].as_str().unwrap_or_default().to_owned()
}

/// When it was known, in microseconds.
fn at(record: &Value) -> i64 {
    let time = record["at"].as_str().and_then(|text| Timestamp::parse(text).ok());
    time.map_or(0, |time| time.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn whole() -> Vec<Value> {
        let at = |second: u32| format!("2026-01-01T00:00:{second:02}Z");
        let call = |second, event: &str, step: &str, op: &str| {
            json!({ "at": at(second), "event": event, "step": step, "op": op, "attempt": 1,
                "outcome": "succeeded" })
        };
        let records = vec![
            json!({ "at": at(0), "event": "accepted" }),
            json!({ "at": at(1), "event": "lock_granted", "tokens": [7] }),
            call(1, "call_started", "reserve", "action"),
            call(1, "call_started", "charge", "try"),
            json!({ "at": at(2), "event": "recovered", "epoch": 2 }),
            call(3, "call_answered", "reserve", "action"),
            call(3, "call_answered", "charge", "try"),
            call(3, "call_started", "create", "action"),
            call(4, "call_answered", "create", "action"),
            json!({ "at": at(4), "event": "decided", "decision": "commit" }),
            call(4, "call_started", "charge", "confirm"),
            call(5, "call_answered", "charge", "confirm"),
            json!({ "at": at(5), "event": "ended", "status": "completed" }),
        ];
        numbered(records)
    }

    fn numbered(mut records: Vec<Value>) -> Vec<Value> {
        for (seq, record) in records.iter_mut().enumerate() {
            record["seq"] = json!(seq);
        }
        records
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Vec<Value>), words: &str) {
        let mut records = whole();
        change(&mut records);
        let broken = Journal::read("s", &numbered(records)).broken;
        assert!(broken.iter().any(|fault| fault.contains(words)), "{words}: {broken:?}");
    }

    #[test]
    fn a_whole_journal_breaks_no_rule() {
        let journal = Journal::read("s", &whole());
        assert_eq!(journal.broken, Vec::<String>::new());
        assert_eq!((journal.takeovers, journal.grants.len()), (1, 1));
        assert!(journal.intents.contains(&("create".to_owned(), "action".to_owned())));
    }

    #[test]
    fn each_rule_is_seen_to_be_broken() {
        check(|records| drop(records.remove(9)), "confirm started, decided None");
        check(|records| drop(records.remove(12)), "0 ends");
        check(|records| drop(records.remove(5)), "create started before");
        check(|records| drop(records.remove(10)), "answered, but not made");
        check(|records| records.insert(5, records[3].clone()), "made twice");
        check(|records| records.insert(5, records[4].clone()), "under epoch 2 after 2");
        check(|records| records.insert(10, records[9].clone()), "and then commit");
        check(|records| records[9]["decision"] = json!("abort"), "ended as completed");
        check(|records| records.push(records[4].clone()), "after its end");
        let mut records = whole();
        records.remove(4);
        assert!(!Journal::read("s", &records).broken.is_empty(), "a gap");
    }

    #[test]
    fn keys_are_had_one_after_another() {
        let session = |token, from, until| Journal {
            grants: vec![(token, from)],
            ended_at: Some(until),
            ..Journal::default()
        };
        let (a, b) = (session(1, 0, 5), session(2, 5, 9));
        assert!(check_keys([("k", "a", &a), ("k", "b", &b)]).is_empty());
        let early = session(2, 4, 9);
        assert_eq!(check_keys([("k", "a", &a), ("k", "b", &early)]).len(), 1);
        assert_eq!(check_keys([("k", "a", &a), ("other", "b", &early)]).len(), 0);
        let same = session(1, 6, 9);
        assert_eq!(check_keys([("k", "a", &a), ("k", "b", &same)]).len(), 1);
    }
}
