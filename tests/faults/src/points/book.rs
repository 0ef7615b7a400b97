//! The participants: a barrier in memory, and a book of what took effect.
//!
//! Each call is looked up in the stored journal when it comes, by a connection of our own: what
//! led to it must stand there already.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;

use super::database::Database;

/// Times that an undo at `/stuck` is put off.
const STUCK: u32 = 2;

/// What became of one step at its participant.
#[derive(Clone, Debug, Default)]
pub(super) struct Step {
    /// What the forward call was answered with, once it was.
    forward: Option<u16>,
    is_undone: bool,
    is_confirmed: bool,
    put_off: u32,
    /// Where to say that it is done.
    pub(super) callback: Option<String>,
    /// Operations that the coordinator called.
    pub(super) called: Vec<String>,
}

/// One call.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) saga: String,
    pub(super) step: String,
    pub(super) op: String,
    pub(super) attempt: u32,
    pub(super) callback: Option<String>,
    /// Its path below the participant's own.
    pub(super) path: String,
}

/// Who serves: the participants of one run.
#[derive(Debug)]
pub(super) struct Book {
    database: Database,
    steps: Mutex<BTreeMap<(String, String), Step>>,
    faults: Mutex<Vec<String>>,
}

impl Step {
    fn is_applied(&self) -> bool {
        self.forward.is_some_and(|status| (200..300).contains(&status))
    }

    /// What is wrong with it, now that its saga has ended in this way.
    fn fault(&self, status: &str, is_tcc: bool) -> Option<&'static str> {
        let (applied, undone, confirmed) = (self.is_applied(), self.is_undone, self.is_confirmed);
        match status {
            "completed" if !applied => Some("did not take effect"),
            "completed" if undone => Some("was undone"),
            "completed" if is_tcc && !confirmed => Some("was not confirmed"),
            "compensated" if confirmed => Some("was confirmed"),
            "compensated" if applied && !undone => Some("was not undone"),
            _ => None,
        }
    }
}

impl Book {
    /// One that begins with what stands in `before`, though not with its calls: the journals of
    /// some of those are deleted by now.
    pub(super) fn new(database: Database, before: Option<&Self>) -> Arc<Self> {
        let mut steps = before.map(|book| book.steps.lock().clone()).unwrap_or_default();
        for step in steps.values_mut() {
            step.called.clear();
        }
        Arc::new(Self { database, steps: Mutex::new(steps), faults: Mutex::default() })
    }

    /// Takes a call and answers it with a status.
    pub(super) async fn take(&self, call: &Call) -> u16 {
        if let Err(error) = self.look_up(call).await {
            self.faults.lock().push(format!("{} {}: {error:#}", call.saga, call.step));
        }
        let mut steps = self.steps.lock();
        if call.step == "prepared" {
            // Asking decides: a client that has not done its part never will.
            let own = steps.entry((call.saga.clone(), "b1".to_owned())).or_default();
            return if own.forward.get_or_insert(409) == &200 { 200 } else { 409 };
        }
        let step = steps.entry((call.saga.clone(), call.step.clone())).or_default();
        step.called.push(call.op.clone());
        step.callback = call.callback.clone().or(step.callback.take());
        match call.op.as_str() {
            "action" | "try" => step.forward(&call.path, call.attempt),
            "compensation" | "cancel" if call.path == "/stuck" && step.put_off < STUCK => {
                step.put_off += 1;
                503
            }
            "compensation" | "cancel" => {
                step.is_undone = true;
                200
            }
            _ => {
                if step.is_undone || !step.is_applied() {
                    let fault = format!("{} {}: confirmed without a try", call.saga, call.step);
                    self.faults.lock().push(fault);
                }
                step.is_confirmed = true;
                200
            }
        }
    }

    /// The forward call of a branch, which its client makes; whether it took effect.
    pub(super) fn work(&self, saga: &str, step: &str) -> bool {
        let mut steps = self.steps.lock();
        let step = steps.entry((saga.to_owned(), step.to_owned())).or_default();
        !step.is_undone && *step.forward.get_or_insert(200) == 200
    }

    /// A step as it is now.
    pub(super) fn step(&self, saga: &str, step: &str) -> Option<Step> {
        self.steps.lock().get(&(saga.to_owned(), step.to_owned())).cloned()
    }

    /// What was called: saga, step and operation.
    pub(super) fn called(&self) -> Vec<(String, String, String)> {
        let steps = self.steps.lock();
        let each = |((saga, id), step): (&(String, String), &Step)| {
            let ops = step.called.clone();
            let (saga, id) = (saga.clone(), id.clone());
            ops.into_iter().map(move |op| (saga.clone(), id.clone(), op)).collect::<Vec<_>>()
        };
        steps.iter().flat_map(each).collect()
    }

    /// Calls that came before they should have.
    pub(super) fn faults(&self) -> Vec<String> {
        self.faults.lock().clone()
    }

    /// What is out of balance for a saga that ended in this way; `steps` are those that it has,
    /// each with whether it is confirmed.
    pub(super) fn balance(&self, saga: &str, status: &str, steps: &[(&str, bool)]) -> Vec<String> {
        let fault = |(id, is_tcc): &(&str, bool)| {
            let step = self.step(saga, id).unwrap_or_default();
            let fault = step.fault(status, *is_tcc)?;
            Some(format!("{saga} is {status}, but {id} {fault}"))
        };
        steps.iter().filter_map(fault).collect()
    }

    /// Whether the journal says that this call is meant to be made, and what it follows from.
    async fn look_up(&self, call: &Call) -> anyhow::Result<()> {
        let facts = facts(&self.database.journal(&call.saga).await?)?;
        anyhow::ensure!(
            facts.iter().any(|fact| is_intent(fact, &call.step, &call.op)),
            "{} was called before the intent was in the journal",
            call.op
        );
        let decided = match call.op.as_str() {
            "compensation" | "cancel" => "abort",
            "confirm" => "commit",
            _ => return Ok(()),
        };
        anyhow::ensure!(
            facts.iter().any(|fact| fact["decided"]["decision"] == decided),
            "{} was called before the decision was in the journal",
            call.op
        );
        Ok(())
    }
}

impl Step {
    fn forward(&mut self, path: &str, attempt: u32) -> u16 {
        if self.is_undone {
            return 409;
        }
        if path == "/flaky" && attempt == 1 && self.forward.is_none() {
            return 503;
        }
        *self.forward.get_or_insert(match path {
            "/refuse" => 422,
            "/later" => 202,
            _ => 200,
        })
    }
}

/// The facts of a journal, each as an object with one field.
///
/// # Errors
///
/// They do not follow on one another.
pub(super) fn facts(chunks: &[super::database::Chunk]) -> anyhow::Result<Vec<Value>> {
    let mut facts: Vec<Value> = Vec::new();
    for (first, count, text) in chunks {
        anyhow::ensure!(usize::try_from(*first)? == facts.len(), "its journal has a gap");
        let records: Vec<Value> = serde_json::from_str(text)?;
        anyhow::ensure!(usize::try_from(*count)? == records.len(), "a chunk counts wrongly");
        facts.extend(records.into_iter().map(|record| record["event"].clone()));
    }
    Ok(facts)
}

/// Whether this is the intent to call the step. The ids of steps here end with their index.
pub(super) fn is_intent(fact: &Value, step: &str, op: &str) -> bool {
    let index = step.chars().next_back().and_then(|last| last.to_digit(10)).unwrap_or(0);
    fact["call_started"]["step"] == index && fact["call_started"]["op"] == op
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(op: &str, path: &str) -> Call {
        Call {
            saga: "s".to_owned(),
            step: "a0".to_owned(),
            op: op.to_owned(),
            attempt: 1,
            callback: None,
            path: path.to_owned(),
        }
    }

    fn book() -> Arc<Book> {
        Book::new(Database::Sqlite { path: "nowhere".into() }, None)
    }

    #[tokio::test]
    async fn a_call_without_its_intent_is_a_fault() {
        let book = book();
        book.take(&call("action", "/do")).await;
        assert_eq!(book.faults().len(), 1);
    }

    #[tokio::test]
    async fn the_books_balance_only_for_the_right_end() {
        let book = book();
        let steps = [("a0", false)];
        assert_eq!(book.take(&call("action", "/do")).await, 200);
        assert_eq!(book.balance("s", "completed", &steps).len(), 0);
        assert_eq!(book.balance("s", "completed", &[("a0", true)]).len(), 1);
        assert_eq!(book.balance("s", "compensated", &steps).len(), 1);
        assert_eq!(book.balance("s", "completed", &[("b1", false)]).len(), 1);
        assert_eq!(book.take(&call("compensation", "/undo")).await, 200);
        assert_eq!(book.balance("s", "completed", &steps).len(), 1);
        assert_eq!(book.balance("s", "compensated", &steps).len(), 0);
        assert_eq!(book.take(&call("action", "/do")).await, 409);
    }

    #[test]
    fn intents_are_told_apart() {
        let fact = json!({ "call_started": { "step": 1, "op": "try", "attempt": 1 } });
        assert!(is_intent(&fact, "b1", "try"));
        assert!(!is_intent(&fact, "b1", "confirm") && !is_intent(&fact, "a0", "try"));
        let chunk = (0, 1, json!([{ "at": 0, "event": fact }]).to_string());
        assert_eq!(facts(std::slice::from_ref(&chunk)).unwrap().len(), 1);
        assert!(facts(&[chunk.clone(), chunk]).is_err());
    }
}
