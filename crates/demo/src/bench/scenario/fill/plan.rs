//! Which saga is the n-th: its time, id, pattern, labels and keys, as expressions that both stores
//! understand alike. Everything follows from n, so that a journal needs no look at its saga.

use anyhow::Context as _;

use super::patterns::Pattern;
use super::session::Session;

/// Days over which the sagas are spread: less than what a coordinator keeps without being told.
pub(super) const DAYS: i64 = 28;
const DAY_US: i64 = 86_400_000_000;
const HOUR_US: i64 = 3_600_000_000;
/// Sagas written by one statement.
const CHUNK: u32 = 250_000;

/// What is filled in.
#[derive(Debug)]
pub(in super::super) struct Plan {
    pub(in super::super) sagas: u32,
    /// When the first one was accepted, in microseconds.
    pub(in super::super) from_us: i64,
    pub(super) partitions: i64,
    pub(super) patterns: Vec<Copied>,
}

/// A pattern with its journal.
#[derive(Debug)]
pub(super) struct Copied {
    pub(super) pattern: Pattern,
    /// When it was accepted, in microseconds.
    pub(super) created_us: i64,
    /// Its journal as it was written: rows of other sizes would leave other gaps in the database's
    /// pages, into which it puts later ones.
    pub(super) parts: Vec<Part>,
}

/// A row of a journal.
#[derive(Debug)]
pub(super) struct Part {
    /// Number of the first fact.
    pub(super) first: usize,
    /// How many facts there are.
    pub(super) count: usize,
    /// A JSON array.
    pub(super) facts: String,
}

impl Plan {
    /// Reads the journals of the patterns.
    pub(super) async fn read(
        session: &mut Session,
        patterns: Vec<Pattern>,
        sagas: u32,
    ) -> anyhow::Result<Self> {
        let of = match session {
            Session::Postgres(_) => "saga_id = ",
            Session::Sqlite(_) => "saga_no = (SELECT saga_no FROM saga WHERE saga_id = ",
        };
        let close = if of.contains('(') { ")" } else { "" };
        let mut copied = Vec::new();
        for pattern in patterns {
            let id = &pattern.saga_id;
            let sql = format!(
                "SELECT records FROM saga_journal WHERE {of}'{id}'{close} ORDER BY first_seq"
            );
            copied.push(Copied::new(pattern, session.texts(sql).await?)?);
        }
        let partitions = "SELECT CAST(value AS TEXT) FROM meta WHERE name = 'partitions'";
        let partitions = session.number(partitions).await?;
        // The last one has ended a little before the first pattern began.
        let until = copied.first().context("there are no patterns")?.created_us;
        Ok(Self {
            sagas,
            from_us: until - DAYS * DAY_US - DAY_US / 24,
            partitions,
            patterns: copied,
        })
    }

    /// When the saga at `part` of all was accepted, in microseconds.
    pub(in super::super) fn at_us(&self, part_percent: i64) -> i64 {
        self.from_us + DAYS * DAY_US * part_percent / 100
    }

    /// First and last numbers of what one statement writes.
    pub(super) fn chunks(&self) -> impl Iterator<Item = (u32, u32)> {
        let last = self.sagas;
        (1..=last).step_by(CHUNK as usize).map(move |from| (from, last.min(from + (CHUNK - 1))))
    }

    /// A query for the sagas from one number to another, with columns n, us (accepted), id, kind
    /// (of pattern), sku, shop, customer, channel.
    pub(super) fn numbered(&self, (from, to): (u32, u32), store: &Session) -> String {
        let numbers = match store {
            Session::Postgres(_) => {
                format!("SELECT n FROM generate_series({from}::bigint, {to}) AS g (n)")
            }
            Session::Sqlite(_) => format!(
                "WITH RECURSIVE g (n) AS (VALUES ({from}) UNION ALL SELECT n + 1 FROM g WHERE n < {to}) SELECT n FROM g"
            ),
        };
        let hex = |digits: u8, value: &str| match store {
            Session::Postgres(_) => format!("lpad(to_hex({value}), {digits}, '0')"),
            Session::Sqlite(_) => format!("printf('%0{digits}x', {value})"),
        };
        let (us, customers) = (self.us(), (self.sagas / 20).max(1));
        // Else each expression would be put in the place of its name, again and again.
        let as_it_is = match store {
            Session::Postgres(_) => "OFFSET 0",
            Session::Sqlite(_) => "LIMIT -1",
        };
        let (ms, random, number) = (hex(12, "us / 1000"), hex(8, "h"), hex(10, "n"));
        // A UUID of version 7: time first. Half of the sagas are of the first definition, a sixteenth
        // of the last; 94 of 100 completed, one was abandoned.
        format!(
            "SELECT n, us,
    substr(t, 1, 8) || '-' || substr(t, 9, 4) || '-7' || substr(r, 1, 3) || '-8' || substr(r, 4, 3)
        || '-' || substr(r, 7, 2) || {number} AS id,
    3 * (CASE WHEN (h / 65536) % 16 < 8 THEN 0 WHEN (h / 65536) % 16 < 12 THEN 1
        WHEN (h / 65536) % 16 < 14 THEN 2 WHEN (h / 65536) % 16 < 15 THEN 3 ELSE 4 END)
        + (CASE WHEN (h / 256) % 100 < 94 THEN 0 WHEN (h / 256) % 100 < 99 THEN 1 ELSE 2 END)
        AS kind,
    'sku-' || (h / 16 % 20000) AS sku,
    'shop-' || (h / 4096 % 50) AS shop,
    'c-' || (h / 2 % {customers}) AS customer,
    CASE WHEN h / 1024 % 10 < 7 THEN 'web' WHEN h / 1024 % 10 < 9 THEN 'app' ELSE 'phone' END
        AS channel
FROM (SELECT n, us, h, {ms} AS t, {random} AS r
    FROM (SELECT n, {us} AS us, (n * 2654435761) % 4294967296 AS h FROM ({numbers}) a {as_it_is}) b {as_it_is}) c {as_it_is}"
        )
    }

    /// When the n-th was accepted: half of a day's sagas in its last six hours.
    fn us(&self) -> String {
        let (count, from) = (self.sagas, self.from_us);
        let (day, place) = (format!("(n * {DAYS} / {count})"), format!("(n * {DAYS} % {count})"));
        let (calm, busy) = (2 * 18 * HOUR_US, 2 * 6 * HOUR_US);
        format!(
            "{from} + {day} * {DAY_US} + CASE WHEN {place} * 2 < {count} \
             THEN {place} * {calm} / {count} \
             ELSE {calm} / 2 + ({place} * 2 - {count}) * {half} / {count} END",
            half = busy / 2
        )
    }
}

impl Copied {
    fn new(pattern: Pattern, rows: Vec<String>) -> anyhow::Result<Self> {
        let mut parts: Vec<Part> = Vec::with_capacity(rows.len());
        for facts in rows {
            let first = parts.last().map_or(0, |last| last.first + last.count);
            let count = serde_json::from_str::<Vec<&serde_json::value::RawValue>>(&facts)?.len();
            parts.push(Part { first, count, facts });
        }
        let begin = parts.first().context("a pattern has no journal")?;
        let begin: serde_json::Value = serde_json::from_str(&begin.facts)?;
        let created_us = begin[0]["at"].as_i64().context("a fact has no time")?;
        Ok(Self { pattern, created_us, parts })
    }
}
