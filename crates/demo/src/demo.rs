//! The demo: three participants, many sagas, some trouble, and an audit.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::sync::watch;

use crate::audit::{End, audit};
use crate::books::Books;
use crate::coordinator::Coordinator;
use crate::fleet::{Fleet, check_exe};
use crate::masters::Masters;
use crate::plan::{Plan, Workload};
use crate::progress::{Progress, Show};
use crate::report::Summary;

/// The definition that the demo runs.
pub const PLACE_ORDER: &str = include_str!("place-order.yaml");

/// How long the killed participant stays away.
const DOWNTIME: Duration = Duration::from_millis(300);

/// What a demo needs.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// How much it does.
    pub workload: Workload,
    /// Base URLs of the coordinators, such as `http://127.0.0.1:8650`; at least one. They may be
    /// killed and started again while the demo runs.
    pub coordinator_urls: Vec<String>,
    /// The program whose `demo-participant` is the participants: usually the current one.
    pub participant_exe: PathBuf,
    /// A folder of this run goes in here, with the participants' databases.
    pub data_dir: PathBuf,
    /// Where people can look at the sagas.
    pub page_url: Option<String>,
    /// How progress is shown.
    pub show: Show,
    /// The masters that the coordinators guard lock keys on, if the demo has some of its own: one
    /// of them stands still for a while.
    pub masters: Option<Masters>,
}

/// A demo that has ended. Its participants run until it is dropped.
#[derive(Debug)]
pub struct DemoReport {
    /// The ends, and what the audit found. Displays as what the demo prints.
    pub summary: Summary,
    _fleet: Fleet,
}

/// Runs a demo against coordinators that are up, or will be soon.
///
/// Starts the participants, registers them under `inventory`, `payment` and `orders`, posts
/// `place-order`, runs the sagas, kills a participant meanwhile and starts it again, and audits.
///
/// # Errors
///
/// The participants can't be started, or no coordinator takes the definition. A saga that is
/// refused or lost is no error but an open saga in the report.
pub async fn run(options: DemoOptions) -> anyhow::Result<DemoReport> {
    run_watched(options, watch::Sender::new(0)).await
}

/// As [`run`], and says in `ended` how many sagas have ended: whoever causes trouble meanwhile
/// sets its pace by it.
///
/// # Errors
///
/// As [`run`].
pub async fn run_watched(
    options: DemoOptions,
    ended: watch::Sender<u32>,
) -> anyhow::Result<DemoReport> {
    check_exe(&options.participant_exe)?;
    let run = name_of_run(options.workload.seed);
    let plan = Plan::new(&options.workload, &run);
    let dir = options.data_dir.join(&run);
    let books = Books::open(dir.clone(), &plan).await?;
    let mut fleet = Fleet::start(options.participant_exe, books.clone(), &plan).await?;
    let coordinator = Coordinator::new(options.coordinator_urls)?;
    for (kind, url) in fleet.urls() {
        coordinator.register(kind.name(), url).await?;
    }
    coordinator.define(PLACE_ORDER).await?;

    let progress = Progress::new(options.workload.sagas, options.show);
    let (ends_seen, masters_ends_seen) = (ended.subscribe(), ended.subscribe());
    let in_flight = usize::from(options.workload.concurrency);
    let pause_master = async {
        match &options.masters {
            Some(masters) => {
                masters.pause_one(options.workload.sagas / 2, masters_ends_seen, &progress).await
            }
            None => Ok(()),
        }
    };
    let (ends, outage, pause) = tokio::join!(
        run_sagas(&coordinator, &plan, in_flight, &progress, ended),
        cause_outage(&mut fleet, &plan, ends_seen, &progress),
        pause_master,
    );
    progress.finish();
    outage?;
    pause?;

    let ledger = books.read().await?;
    let faults = audit(&plan, &ledger, &ends);
    let mut summary = Summary::new(&plan, &ends, faults);
    if options.masters.is_some() {
        summary.fenced_keys = ledger.fenced_keys;
    }
    summary.page_url = options.page_url;
    summary.books = dir;
    Ok(DemoReport { summary, _fleet: fleet })
}

/// Runs every saga to its end, `in_flight` at a time.
async fn run_sagas(
    coordinator: &Coordinator,
    plan: &Plan,
    in_flight: usize,
    progress: &Progress,
    ended: watch::Sender<u32>,
) -> BTreeMap<String, End> {
    let ended = &ended;
    let one = |saga| async move {
        let end = coordinator.run(&plan.run, saga).await;
        let end = end.unwrap_or_else(|error| End::Open(format!("{error:#}")));
        let count = progress.ended(&end);
        // Sagas may report out of turn: the count never goes back.
        ended.send_if_modified(|seen| std::mem::replace(seen, count.max(*seen)) < count);
        (saga.id.clone(), end)
    };
    stream::iter(&plan.sagas).map(one).buffer_unordered(in_flight).collect().await
}

/// Kills the participant that the plan names when its time has come, and starts it again.
async fn cause_outage(
    fleet: &mut Fleet,
    plan: &Plan,
    mut ends_seen: watch::Receiver<u32>,
    progress: &Progress,
) -> anyhow::Result<()> {
    let outage = plan.outage;
    if ends_seen.wait_for(|ends| *ends >= outage.after_ends).await.is_err() {
        return Ok(());
    }
    let name = outage.kind.name();
    progress.note(&format!("{name} is killed, and started again in {} ms", DOWNTIME.as_millis()));
    fleet.kill_and_restart(outage.kind, DOWNTIME).await
}

/// A name that no other run has: a coordinator may keep the sagas of many.
#[expect(clippy::disallowed_methods, reason = "a client's name for itself decides nothing")]
fn name_of_run(seed: u64) -> String {
    let unique = uuid::Uuid::new_v4().simple().to_string();
    format!("demo-{seed}-{}", &unique[..8])
}
