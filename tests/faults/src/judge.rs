//! What must hold after each kind: nothing acknowledged is lost, everything ends in time, the books
//! balance, and the journals keep the rules.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use amends_demo::{End, Ledger, Plan, PlannedSaga, audit};
use amends_tests::{Client, until};
use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use serde_json::Value;

use crate::Outcome;
use crate::journal::{Journal, check_keys};
use crate::load::Started;
use crate::stage::Stage;

/// Longest time from the end of a fault to the end of the last saga.
pub(crate) const END_MAX: Duration = Duration::from_mins(1);
/// Questions at once.
const ASKED_AT_ONCE: usize = 8;

/// What a verdict must know of the fault.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    /// When it was over, in microseconds of the wall clock.
    pub(crate) healed_at: i64,
    /// How many sagas had been accepted by then.
    pub(crate) accepted_by_then: usize,
    /// Whether acknowledged sagas may be gone: then they are counted in the remark.
    pub(crate) may_lose: bool,
    /// Sagas that are accepted after it have tokens above this one.
    pub(crate) tokens_before: u64,
}

/// Looks at everything that `started` says was begun.
///
/// # Errors
///
/// The books can't be read.
pub(crate) async fn judge(
    stage: &Stage,
    plan: &Plan,
    started: Started,
    fault: Fault,
) -> anyhow::Result<Outcome> {
    let clients = stage.clients()?;
    let mut outcome = Outcome { sagas: started.accepted.len(), ..Outcome::default() };
    outcome.broken.extend(started.refused.iter().map(|start| format!("not taken: {start}")));
    let ends = ends(&clients, &started.accepted).await;
    let mut known = BTreeMap::new();
    let mut gone = Vec::new();
    for (saga, end) in ends {
        match end {
            Some(End::Open(why)) => {
                outcome.broken.push(format!("{saga} has not ended after {END_MAX:?}: {why}"));
            }
            Some(end) => drop(known.insert(saga, end)),
            None => gone.push(format!("{saga} was accepted and is not there")),
        }
    }
    let journals = journals(&clients, known.keys()).await;
    check_journals(&mut outcome, &journals, known.len(), &started.accepted);
    outcome.recovered_in = recovered_in(&journals, &started.accepted, fault);
    outcome.broken.extend(low_tokens(&journals, &started.accepted, fault));
    let ledger = stage.fleet.books().read().await?;
    outcome.unbalanced = audit(plan, &ledger, &known);
    outcome.broken.extend(effects_without_intent(&ledger, &journals));
    if fault.may_lose {
        outcome.remarks.push(format!("{} acknowledged sagas gone", gone.len()));
    } else {
        outcome.lost = gone;
    }
    Ok(outcome)
}

/// How each ended; none if it is not there. Waits for those that have not, for so long.
pub(crate) async fn ends(
    clients: &[Client],
    accepted: &[PlannedSaga],
) -> BTreeMap<String, Option<End>> {
    let found = Mutex::new(BTreeMap::new());
    let open: Mutex<BTreeMap<&str, String>> =
        Mutex::new(accepted.iter().map(|saga| (saga.id.as_str(), String::new())).collect());
    let look = async || {
        let asked: Vec<&str> = open.lock().keys().copied().collect();
        let questions = asked.into_iter().enumerate().map(|(index, saga)| async move {
            let client = &clients[index % clients.len()];
            (saga, client.get(&format!("/v1/sagas/{saga}")).await)
        });
        let mut answers = stream::iter(questions).buffer_unordered(ASKED_AT_ONCE);
        while let Some((saga, answer)) = answers.next().await {
            let end = match answer {
                Ok(answer) if answer.status == 404 => None,
                Ok(answer) => match answer.body["status"].as_str() {
                    Some("completed") => Some(End::Completed),
                    Some("compensated") => Some(End::Undone),
                    _ => {
                        let words = answer.text.chars().take(400).collect();
                        open.lock().insert(saga, words);
                        continue;
                    }
                },
                Err(error) => {
                    open.lock().insert(saga, format!("{error:#}"));
                    continue;
                }
            };
            open.lock().remove(saga);
            found.lock().insert(saga.to_owned(), end);
        }
        open.lock().is_empty().then_some(())
    };
    // What has not ended by then stands in `open`.
    let _ = until("all sagas to end", END_MAX, look).await;
    let mut found = found.into_inner();
    for (saga, why) in open.into_inner() {
        found.insert(saga.to_owned(), Some(End::Open(why)));
    }
    found
}

/// The journals that can be read.
async fn journals(
    clients: &[Client],
    sagas: impl Iterator<Item = &String>,
) -> BTreeMap<String, Journal> {
    let questions = sagas.enumerate().map(|(index, saga)| async move {
        let records: Vec<Value> = clients[index % clients.len()].journal(saga).await.ok()?;
        Some((saga.clone(), Journal::read(saga, &records)))
    });
    stream::iter(questions)
        .buffer_unordered(ASKED_AT_ONCE)
        .filter_map(async |journal| journal)
        .collect()
        .await
}

fn check_journals(
    outcome: &mut Outcome,
    journals: &BTreeMap<String, Journal>,
    ended: usize,
    accepted: &[PlannedSaga],
) {
    if journals.len() < ended {
        let missing = ended - journals.len();
        outcome.broken.push(format!("{missing} journals could not be read"));
    }
    outcome.broken.extend(journals.values().flat_map(|journal| journal.broken.iter().cloned()));
    outcome.takeovers = journals.values().filter(|journal| journal.takeovers > 0).count();
    let keys: Vec<(String, &str, &Journal)> = accepted
        .iter()
        .filter_map(|saga| {
            Some((format!("user:{}", saga.user), saga.id.as_str(), journals.get(&saga.id)?))
        })
        .collect();
    outcome.broken.extend(check_keys(
        keys.iter().map(|(key, saga, journal)| (key.as_str(), *saga, *journal)),
    ));
}

/// Sagas that were accepted after the fault and have tokens that may have been given out before.
fn low_tokens(
    journals: &BTreeMap<String, Journal>,
    accepted: &[PlannedSaga],
    fault: Fault,
) -> Vec<String> {
    let before = fault.tokens_before;
    let late = accepted.iter().skip(fault.accepted_by_then);
    let low = late.filter(|saga| {
        let grants = journals.get(&saga.id).map(|journal| &*journal.grants).unwrap_or_default();
        grants.iter().any(|(token, _)| *token <= before)
    });
    low.map(|saga| format!("{} has a token not above {before}", saga.id)).collect()
}

/// From the end of the fault to the end of the last saga that was under way by then.
fn recovered_in(
    journals: &BTreeMap<String, Journal>,
    accepted: &[PlannedSaga],
    fault: Fault,
) -> Duration {
    let under_way = accepted.iter().take(fault.accepted_by_then);
    let ends = under_way.filter_map(|saga| journals.get(&saga.id)?.ended_at);
    let last = ends.max().unwrap_or(fault.healed_at);
    Duration::from_micros(u64::try_from(last - fault.healed_at).unwrap_or_default())
}

/// Effects in the books that no journal said would be made.
fn effects_without_intent(ledger: &Ledger, journals: &BTreeMap<String, Journal>) -> Vec<String> {
    let reserved = ledger.reservations.iter().map(|one| (&one.saga, "reserve", "action"));
    let held = ledger.holds.iter().map(|one| (&one.saga, "charge", "try"));
    let captured = ledger.holds.iter().filter(|one| one.state == "captured");
    let captured = captured.map(|one| (&one.saga, "charge", "confirm"));
    let ordered = ledger.orders.iter().map(|one| (&one.saga, "create", "action"));
    let unsaid = |(saga, step, op): (&String, &str, &str)| {
        let intents: &BTreeSet<(String, String)> = &journals.get(saga)?.intents;
        let is_said = intents.contains(&(step.to_owned(), op.to_owned()));
        (!is_said)
            .then(|| format!("{saga}: {step} {op} took effect, and its journal knows nothing"))
    };
    reserved.chain(held).chain(captured).chain(ordered).filter_map(unsaid).collect()
}
