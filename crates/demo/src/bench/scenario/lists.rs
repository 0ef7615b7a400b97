//! How long pages of the list of sagas take, with every filter that the API offers and the usual
//! combinations, and the counts.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use hyper::{Request, StatusCode, header};
use serde::Deserialize;
use tokio::time::{Instant, timeout};

use super::super::latency::Latencies;
use super::super::run::say;
use super::super::stage::Stage;
use super::super::wire::{Body, Connection};
use super::fill::Plan;
use super::findings::{Findings, Sheet};

/// So often each page is asked for.
const TIMES: u32 = 30;
/// No further time when one page has taken so long in all.
const PAGE_TIME_MAX: Duration = Duration::from_secs(20);
/// Longest wait for one answer.
const ANSWER_MAX: Duration = Duration::from_mins(1);
/// What a page should take at most, in milliseconds.
const TARGET_MS: f64 = 50.0;

/// Conditions as a query has them. `DAY` stands for a day three weeks back, `HOUR` for the last
/// hour, `ID` for an id of the middle.
const FILTERS: [&str; 38] = [
    "",
    "limit=500",
    "status=completed",
    "status=compensated",
    "status=abandoned",
    "status=running",
    "status=suspended",
    "status=queued,running,confirming,compensating,suspended",
    "status=compensated,abandoned",
    "status=completed,compensated,abandoned",
    "definition=bench-order",
    "definition=bench-newsletter",
    "definition=bench-unknown",
    "label=channel:web",
    "label=shop:shop-7",
    "label=customer:c-4",
    "label=customer:nobody",
    "label=shop:shop-7&label=channel:phone",
    "key=sku:sku-7",
    "key=sku:none",
    "HOUR",
    "DAY",
    "q=ID",
    "q=ID8",
    "q=ID4",
    "q=zz",
    "status=compensated&definition=bench-order",
    "status=abandoned&definition=bench-newsletter",
    "status=completed&definition=bench-newsletter",
    "status=suspended&definition=bench-order",
    "status=completed&label=shop:shop-7",
    "status=abandoned&label=customer:c-4",
    "status=compensated&key=sku:sku-7",
    "status=compensated,abandoned&DAY",
    "definition=bench-newsletter&label=shop:shop-7",
    "definition=bench-order&DAY",
    "label=channel:phone&DAY",
    "status=compensated&definition=bench-return&label=channel:app&DAY",
];

/// As much of a page as is looked at.
#[derive(Deserialize)]
pub(super) struct Page {
    pub(super) sagas: Vec<Item>,
    pub(super) next: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) status: String,
}

/// What one page took.
struct Asked {
    name: String,
    p50_ms: f64,
    worst_ms: f64,
    rows: f64,
    times: u32,
    status: StatusCode,
}

/// Asks for all pages and the counts.
pub(super) async fn measure(
    stage: &Stage,
    plan: &Plan,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let mut asker = Asker::to(stage.address()?).await?;
    let mut all = vec![asker.ask("/v1/sagas/counts", "the counts".to_owned()).await?];
    let middle = time(plan.at_us(50))?;
    let id = asker.page(&format!("before={middle}&limit=1")).await?.sagas;
    let id = id.into_iter().next().context("the middle of the list is empty")?.id;
    say(&format!("asking for pages of {} filters", FILTERS.len()));
    for filter in FILTERS {
        let conditions = conditions(filter, plan, &id)?;
        let name = if filter.is_empty() { "no filter" } else { filter };
        for (place, before) in [("first", None), ("middle", Some(50)), ("far back", Some(5))] {
            let has_time = filter.contains("DAY") || filter.contains("HOUR");
            let cursor = match before {
                None => String::new(),
                // A page within a time has no middle of the list.
                Some(_) if has_time => continue,
                Some(percent) => {
                    let at = time(plan.at_us(percent))?;
                    let one = conditions.replace("limit=500", "");
                    let page = asker.page(&format!("{one}&before={at}&limit=1")).await?;
                    let Some(next) = page.next else { continue };
                    format!("&cursor={next}")
                }
            };
            let path = format!("/v1/sagas?{conditions}{cursor}");
            all.push(asker.ask(&path, format!("{name}: {place} page")).await?);
        }
    }
    conclude(all, findings);
    Ok(())
}

fn conclude(mut all: Vec<Asked>, findings: &mut Findings) {
    all.sort_by(|a, b| b.worst_ms.total_cmp(&a.worst_ms));
    let columns = ["filter", "p50_ms", "worst_ms", "rows", "times", "failed_with"];
    let mut sheet = Sheet::new(&columns);
    for asked in &all {
        let failed = (!asked.status.is_success()).then(|| f64::from(asked.status.as_u16()));
        let known = [asked.p50_ms, asked.worst_ms, asked.rows, f64::from(asked.times)].map(Some);
        sheet.add(asked.name.clone(), &[&known[..], &[failed]].concat());
    }
    findings.tables.push(sheet);
    let slow = all.iter().filter(|asked| asked.worst_ms >= TARGET_MS).count();
    if let Some(worst) = all.first() {
        let text = format!(
            "{} pages, worst {:.1} ms of '{}', {slow} at {TARGET_MS:.0} ms or more (target none)",
            all.len(),
            worst.worst_ms,
            worst.name
        );
        findings.conclude("lists", &text);
    }
}

/// The words of a filter as the API reads them.
fn conditions(filter: &str, plan: &Plan, id: &str) -> anyhow::Result<String> {
    // 28 days in percent: a day of the first week, and what remains of the last hour of a day.
    let day = format!("from={}&before={}", time(plan.at_us(25))?, time(plan.at_us(28))?);
    let hour = format!("from={}", time(plan.at_us(100) - 3_600_000_000)?);
    let texts = [
        ("DAY", day.as_str()),
        ("HOUR", &hour),
        ("ID8", &id[..id.len().min(8)]),
        ("ID4", &id[..id.len().min(4)]),
        ("ID", id),
    ];
    Ok(texts.into_iter().fold(filter.to_owned(), |text, (word, own)| text.replace(word, own)))
}

/// A time as the API reads it.
fn time(us: i64) -> anyhow::Result<String> {
    Ok(jiff::Timestamp::from_microsecond(us)?.to_string())
}

/// One kept-alive connection to the coordinator.
struct Asker {
    address: String,
    connection: Connection,
}

impl Asker {
    async fn to(address: String) -> anyhow::Result<Self> {
        Ok(Self { connection: Connection::open(&address).await?, address })
    }

    /// Asks often enough to tell the middle from the worst.
    async fn ask(&mut self, path: &str, name: String) -> anyhow::Result<Asked> {
        let (begin, mut latencies, mut times) = (Instant::now(), Latencies::default(), 0);
        let (mut status, mut body) = (StatusCode::OK, Bytes::new());
        while times < TIMES && begin.elapsed() < PAGE_TIME_MAX && status.is_success() {
            let one = Instant::now();
            (status, body) = self.get(path).await?;
            latencies.record(one.elapsed());
            times += 1;
        }
        latencies.sort();
        let page = serde_json::from_slice::<Page>(&body);
        let rows = page.map_or(0, |page| page.sagas.len());
        Ok(Asked {
            name,
            p50_ms: latencies.percentile_ms(500),
            worst_ms: latencies.percentile_ms(1_000),
            rows: f64::from(u32::try_from(rows)?),
            times,
            status,
        })
    }

    async fn page(&mut self, conditions: &str) -> anyhow::Result<Page> {
        let conditions = conditions.trim_start_matches('&');
        let (status, body) = self.get(&format!("/v1/sagas?{conditions}")).await?;
        let text = || String::from_utf8_lossy(&body);
        anyhow::ensure!(status.is_success(), "{conditions} was answered {status}: {}", text());
        Ok(serde_json::from_slice(&body)?)
    }

    async fn get(&mut self, path: &str) -> anyhow::Result<(StatusCode, Bytes)> {
        if !self.connection.is_open() {
            self.connection = Connection::open(&self.address).await?;
        }
        let request = Request::get(path.replace("?&", "?"))
            .header(header::HOST, &self.address)
            .body(Body::new(Bytes::new()))?;
        let answer = timeout(ANSWER_MAX, self.connection.send(request)).await;
        answer.with_context(|| format!("{path} was not answered within {ANSWER_MAX:?}"))?
    }
}
