//! Keeps one master's connection: makes it, has a look now and then, and makes it again.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use crate::node::{Common, Link, Node};
use crate::open::{self, Opened};
use crate::session::{Member, Session};
use crate::trust::Before;

/// Time between two looks at a server that is well.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// First and longest pause before a connection is made again.
const PAUSE: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// Least time without an answer after which a connection is given up; at least the ttl.
const SILENCE_MIN: Duration = Duration::from_secs(10);

/// Why a session ended.
struct End {
    detail: String,
    before: Before,
}

impl End {
    fn closed(detail: String) -> Self {
        Self { detail, before: Before::Closed }
    }
}

/// Runs until it is dropped.
pub(crate) async fn keep(node: Arc<Node>, common: Arc<Common>) {
    let mut before = Before::Closed;
    let mut failures = 0;
    loop {
        let end = match open::open(&node.endpoint, &node.manner).await {
            Ok(opened) => {
                let since = Instant::now();
                let session = install(&node, &common, opened, before);
                let end = watch(&node, &common, &session).await;
                if since.elapsed() > LOOK_EVERY {
                    failures = 0;
                }
                end
            }
            Err(detail) => End { detail, before },
        };
        before = end.before;
        tracing::debug!(master = node.endpoint.address, detail = end.detail, "connection ended");
        node.state.lock().link = Link::Down(end.detail);
        common.claims.lock().retain(|_, (owner, _)| *owner != node.index);
        common.changed.send_replace(());
        tokio::time::sleep(pause(&node.endpoint.address, failures)).await;
        failures += 1;
    }
}

/// Doubles with each failure, and is a different part of that for everybody.
fn pause(address: &str, failures: u32) -> Duration {
    let mut hasher = DefaultHasher::new();
    (address, failures, std::process::id()).hash(&mut hasher);
    let whole = PAUSE.saturating_mul(1 << failures.min(8)).min(PAUSE_MAX);
    // Between the half and the whole.
    let part = u32::try_from(hasher.finish() % 512).unwrap_or(0);
    whole / 2 + whole / 1024 * part
}

fn install(node: &Node, common: &Common, mut opened: Opened, before: Before) -> Arc<Session> {
    let met: Vec<_> = opened.members.iter().map(|member| member.met.clone()).collect();
    let mut state = node.state.lock();
    let from = state.trust.admit(&met, before, Instant::now(), node.ttl);
    for (member, from) in opened.members.iter_mut().zip(from) {
        member.trusted_from = from;
    }
    opened.members.iter().for_each(|member| claim(node, common, member));
    let session =
        Arc::new(Session { members: opened.members, ranges: opened.ranges, dead: false.into() });
    state.link = Link::Up(Arc::clone(&session));
    drop(state);
    common.changed.send_replace(());
    session
}

/// One server has one vote: the first URL that reaches it has it.
fn claim(node: &Node, common: &Common, member: &Member) {
    let mut claims = common.claims.lock();
    let ours = (node.index, node.endpoint.address.clone());
    let (owner, address) = claims.entry(member.met.run_id.clone()).or_insert(ours);
    if *owner != node.index {
        member.standing.lock().refusal = Some(format!(
            "is the same master as {address} and has one vote, not two; give each master once"
        ));
    }
}

/// Looks at the servers until one of them is of no use.
async fn watch(node: &Node, common: &Common, session: &Session) -> End {
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = node.look.notified() => {}
        }
        if session.is_dead() {
            return End::closed("closed the connection".to_owned());
        }
        let looks = session.members.iter().map(|member| look(node, common, member));
        if let Some(end) = join_all(looks).await.into_iter().find_map(Result::err) {
            session.dead.store(true, Ordering::Relaxed);
            return end;
        }
        if !session.is_complete() {
            return End::closed("not all masters of the cluster could be reached".to_owned());
        }
        common.changed.send_replace(());
    }
}

async fn look(node: &Node, common: &Common, member: &Member) -> Result<(), End> {
    let inspection = member.inspect(&node.manner);
    tokio::pin!(inspection);
    let in_time = tokio::time::timeout(node.vote_timeout, &mut inspection).await;
    let answered = if let Ok(answered) = in_time {
        answered
    } else {
        member.silent.store(true, Ordering::Relaxed);
        common.changed.send_replace(());
        let patience = node.ttl.max(SILENCE_MIN);
        let late = tokio::time::timeout(patience, inspection).await;
        let abandoned = |_| End {
            detail: format!("has not answered for {patience:?}"),
            before: Before::Abandoned,
        };
        late.map_err(abandoned)?
    };
    answered.map_err(End::closed)?;
    member.silent.store(false, Ordering::Relaxed);
    claim(node, common, member);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound() {
        for failures in [0, 1, 5, 40] {
            let whole = PAUSE.saturating_mul(1 << failures.min(8)).min(PAUSE_MAX);
            let pause = pause("redis://a:1", failures);
            assert!(pause >= whole / 2 && pause <= whole, "{pause:?} of {whole:?}");
        }
    }
}
