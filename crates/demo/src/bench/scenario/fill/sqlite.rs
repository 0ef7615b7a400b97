//! Filling SQLite: one session, as there is one writer. Indexes are made anew afterwards, and what
//! stands in an order of its own is written in that.

use super::super::super::run::say;
use super::plan::Plan;
use super::session::Session;
use super::sql;

pub(super) async fn fill(mut session: Session, plan: &Plan) -> anyhow::Result<()> {
    session.run(sql::pattern_table(plan)).await?;
    let of = "FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL
        AND tbl_name IN ('saga', 'saga_journal')";
    let makes = session.texts(format!("SELECT sql {of}")).await?;
    for name in session.texts(format!("SELECT name {of}")).await? {
        session.run(format!("DROP INDEX {name}")).await?;
    }
    let columns = "SELECT name FROM pragma_table_info('saga')".to_owned();
    let columns = session.texts(columns).await?;
    let base = session.number("SELECT CAST(max(saga_no) AS TEXT) FROM saga").await?;
    for chunk in plan.chunks() {
        let numbered = plan.numbered(chunk, &session);
        session.run(sql::sagas(&numbered, &columns, &own_columns(plan, base))).await?;
        let rows = sql::journals(plan, &numbered);
        session
            .run(format!(
                "INSERT INTO saga_journal (saga_no, first_seq, record_count, records)
SELECT {base} + j.n, j.first_seq, j.record_count, j.records FROM ({rows}) j"
            ))
            .await?;
    }
    say("sagas are written, their indexes are made");
    // The whole at once, since it has to be sorted as a whole.
    let numbered = plan.numbered((1, plan.sagas), &session);
    for label in ["channel", "customer", "shop"] {
        session
            .run(format!(
                "INSERT INTO saga_label (name, value, created_us, saga_id)
SELECT '{label}', x.{label}, x.us, x.id FROM ({numbered}) x ORDER BY 2, 3, 4"
            ))
            .await?;
    }
    let is_locked = sql::by_kind(plan, |copied| u8::from(copied.pattern.is_locked).to_string());
    session
        .run(format!(
            "INSERT INTO saga_lock_key (lock_key, created_us, saga_id)
SELECT 'sku:' || x.sku, x.us, x.id FROM ({numbered}) x WHERE {is_locked} = 1 ORDER BY 1, 2, 3"
        ))
        .await?;
    for statement in makes {
        session.run(statement).await?;
    }
    session.run("ANALYZE".to_owned()).await
}

fn own_columns(plan: &Plan, base: i64) -> Vec<(&'static str, String)> {
    let keys = sql::by_kind(plan, |copied| {
        if copied.pattern.is_locked { "json_array('sku:' || x.sku)" } else { "NULL" }.to_owned()
    });
    let labels = "json_object('channel', x.channel, 'customer', x.customer, 'shop', x.shop)";
    vec![
        ("saga_no", format!("{base} + x.n")),
        ("saga_id", "x.id".to_owned()),
        ("partition", format!("x.n / 256 % {}", plan.partitions)),
        ("labels", labels.to_owned()),
        ("lock_keys", keys),
        ("idempotency_key", "'bench-' || x.n".to_owned()),
        ("created_us", "x.us".to_owned()),
        ("updated_us", "x.us + (p.updated_us - p.created_us)".to_owned()),
        ("ended_us", "x.us + (p.ended_us - p.created_us)".to_owned()),
    ]
}
