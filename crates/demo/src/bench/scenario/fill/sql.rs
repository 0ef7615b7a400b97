//! SQL for copies of patterns, of rows `x` that [`Plan::numbered`] gives.

use super::patterns::{CHANNEL, CUSTOMER, SHOP, SKU};
use super::plan::{Copied, Part, Plan};

/// Words of a pattern's journal, and what a copy has in their place.
const WORDS: [(&str, &str); 4] =
    [(SKU, "x.sku"), (SHOP, "x.shop"), (CUSTOMER, "x.customer"), (CHANNEL, "x.channel")];
/// Digits of a time in microseconds.
const TIME_DIGITS: usize = 16;
/// No pattern takes longer.
const PATTERN_US_MAX: i64 = 3_600_000_000;

/// Rows of the journals of copies: all columns of the copy, first_seq, record_count, records.
pub(super) fn journals(plan: &Plan, numbered: &str) -> String {
    let (mut values, mut cases) = (Vec::new(), Vec::new());
    for (kind, copied) in plan.patterns.iter().enumerate() {
        for part in &copied.parts {
            let (place, Part { first, count, .. }) = (values.len(), part);
            values.push(format!("({kind}, {place}, {first}, {count})"));
            cases.push(format!(" WHEN {place} THEN {}", copy_of(copied, part)));
        }
    }
    let (values, cases) = (values.join(", "), cases.concat());
    format!(
        "SELECT x.*, v.column3 AS first_seq, v.column4 AS record_count,
    CASE v.column2{cases} END AS records
FROM ({numbered}) x CROSS JOIN (VALUES {values}) v WHERE v.column1 = x.kind"
    )
}

/// An expression for each kind of pattern.
pub(super) fn by_kind(plan: &Plan, of: impl Fn(&Copied) -> String) -> String {
    let cases = plan.patterns.iter().enumerate();
    let cases = cases.map(|(kind, copied)| format!(" WHEN {kind} THEN {}", of(copied)));
    format!("CASE x.kind{} END", cases.collect::<String>())
}

/// A table `bench_pattern` of this session: the rows of the patterns, and the kind of each.
pub(super) fn pattern_table(plan: &Plan) -> String {
    let ids: Vec<String> =
        plan.patterns.iter().map(|copied| text(&copied.pattern.saga_id)).collect();
    let kinds = ids.iter().enumerate().map(|(kind, id)| format!(" WHEN {id} THEN {kind}"));
    let (kinds, ids) = (kinds.collect::<String>(), ids.join(", "));
    format!(
        "CREATE TEMP TABLE bench_pattern AS
SELECT CASE saga_id{kinds} END AS kind, s.* FROM saga s WHERE saga_id IN ({ids})"
    )
}

/// Rows of `saga`: each column as `own` says, or as the pattern has it.
pub(super) fn sagas(numbered: &str, columns: &[String], own: &[(&str, String)]) -> String {
    let value = |column: &String| {
        let own = own.iter().find(|(name, _)| name == column).map(|(_, value)| value.clone());
        own.unwrap_or_else(|| format!("p.{column}"))
    };
    let values: Vec<String> = columns.iter().map(value).collect();
    let (columns, values) = (columns.join(", "), values.join(", "));
    format!(
        "INSERT INTO saga ({columns}) SELECT {values}
FROM ({numbered}) x CROSS JOIN bench_pattern p WHERE p.kind = x.kind"
    )
}

/// A text as SQL writes it.
pub(super) fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A part of a pattern's journal as an expression: its id, times and words are those of the copy.
fn copy_of(copied: &Copied, part: &Part) -> String {
    let id = copied.pattern.saga_id.as_str();
    let words: Vec<(&str, &str)> = WORDS.into_iter().chain([(id, "x.id")]).collect();
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = part.facts.as_str();
    while let Some(first) = rest.chars().next() {
        let word = words.iter().find(|(word, _)| rest.starts_with(word));
        let found = word.map(|(word, own)| (word.len(), (*own).to_owned()));
        let found = found.or_else(|| {
            let delta = time(rest, copied.created_us)?;
            Some((TIME_DIGITS, format!("(x.us + {delta})")))
        });
        if let Some((length, own)) = found {
            parts.extend([text(&std::mem::take(&mut literal)), own]);
            rest = &rest[length..];
        } else {
            literal.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    parts.push(text(&literal));
    parts.join(" || ")
}

/// How long after the pattern's begin the time is that a text begins with.
fn time(from: &str, created_us: i64) -> Option<i64> {
    let digits = from.get(..TIME_DIGITS)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let delta = digits.parse::<i64>().ok()? - created_us;
    (0..PATTERN_US_MAX).contains(&delta).then_some(delta)
}

#[cfg(test)]
mod tests {
    use super::super::patterns::Pattern;
    use super::*;

    #[test]
    fn a_copy_has_its_own_id_words_and_times() {
        let created_us = 1_795_402_695_193_325;
        let facts = format!(
            r#"[{{"at":{created_us},"id":"s-1","key":"sku:{SKU}","it's":2}},{{"at":{}}}]"#,
            created_us + 7
        );
        let pattern = Pattern { saga_id: "s-1".to_owned(), is_locked: true };
        let copied = Copied { pattern, created_us, parts: Vec::new() };
        let part = Part { first: 0, count: 2, facts };
        let expected = r#"'[{"at":' || (x.us + 0) || ',"id":"' || x.id || '","key":"sku:' || x.sku || '","it''s":2},{"at":' || (x.us + 7) || '}]'"#;
        assert_eq!(copy_of(&copied, &part), expected);
    }
}
