//! Filling PostgreSQL: two sessions, one for sagas and one for their journals and keys. Indexes are
//! made anew afterwards, which takes a third of the time.

use tokio::try_join;

use super::super::super::run::say;
use super::plan::Plan;
use super::session::Session;
use super::sql;

/// What speeds a session up that may be repeated as a whole. Compiling its long expressions takes
/// longer than they do.
const SETTINGS: &str = "SET synchronous_commit = off; SET maintenance_work_mem = '512MB'; \
     SET work_mem = '64MB'; SET jit = off";

pub(super) async fn fill(session: Session, url: &str, plan: &Plan) -> anyhow::Result<()> {
    let other = Session::open(url).await?;
    try_join!(sagas(session, plan), journals(other, plan))?;
    let mut session = Session::open(url).await?;
    // As a server is that has been looked after: nothing of it is left to do during a run.
    for table in ["saga", "saga_label", "saga_lock_key", "saga_journal", "idempotency"] {
        session.run(format!("VACUUM (ANALYZE) {table}")).await?;
    }
    session.run("CHECKPOINT".to_owned()).await
}

async fn sagas(mut session: Session, plan: &Plan) -> anyhow::Result<()> {
    session.run(SETTINGS.to_owned()).await?;
    session.run(sql::pattern_table(plan)).await?;
    let columns = session
        .texts(
            "SELECT attname::text FROM pg_attribute
             WHERE attrelid = 'saga'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''"
                .to_owned(),
        )
        .await?;
    let indexes = drop_indexes(&mut session, "saga").await?;
    let created = "timestamptz 'epoch' + x.us * interval '1 microsecond'";
    let keys = sql::by_kind(plan, |copied| {
        if copied.pattern.is_locked { "ARRAY['sku:' || x.sku]" } else { "NULL" }.to_owned()
    });
    let own = [
        ("saga_id", "x.id".to_owned()),
        ("partition", format!("x.n / 256 % {}", plan.partitions)),
        (
            "labels",
            "jsonb_build_object('shop', x.shop, 'customer', x.customer, 'channel', x.channel)"
                .to_owned(),
        ),
        ("lock_keys", keys),
        ("idempotency_key", "'bench-' || x.n".to_owned()),
        ("created_at", created.to_owned()),
        ("updated_at", format!("{created} + (p.updated_at - p.created_at)")),
        ("ended_at", format!("{created} + (p.ended_at - p.created_at)")),
    ];
    for chunk in plan.chunks() {
        let numbered = plan.numbered(chunk, &session);
        session.run(sql::sagas(&numbered, &columns, &own)).await?;
    }
    say("sagas are written, their indexes are made");
    make(&mut session, indexes).await?;
    found_by(&mut session).await
}

/// What sagas are found by in lists, those of the patterns again.
async fn found_by(session: &mut Session) -> anyhow::Result<()> {
    let labels = "INSERT INTO saga_label (name, value, created_at, saga_id)
SELECT l.key, l.value, s.created_at, s.saga_id
FROM saga s CROSS JOIN LATERAL jsonb_each_text(s.labels) l";
    let lock_keys = "INSERT INTO saga_lock_key (lock_key, created_at, saga_id)
SELECT k, s.created_at, s.saga_id FROM saga s CROSS JOIN LATERAL unnest(s.lock_keys) k";
    for (table, fill) in [("saga_label", labels), ("saga_lock_key", lock_keys)] {
        let indexes = drop_indexes(session, table).await?;
        session.run(format!("TRUNCATE {table}")).await?;
        session.run(fill.to_owned()).await?;
        make(session, indexes).await?;
    }
    Ok(())
}

async fn journals(mut session: Session, plan: &Plan) -> anyhow::Result<()> {
    session.run(SETTINGS.to_owned()).await?;
    let mut indexes = drop_indexes(&mut session, "saga_journal").await?;
    indexes.extend(drop_indexes(&mut session, "idempotency").await?);
    let partitions = plan.partitions;
    for chunk in plan.chunks() {
        let numbered = plan.numbered(chunk, &session);
        session
            .run(format!(
                "INSERT INTO saga_journal (partition, saga_id, first_seq, record_count, records)
SELECT j.n / 256 % {partitions}, j.id, j.first_seq, j.record_count, j.records FROM ({rows}) j",
                rows = sql::journals(plan, &numbered),
            ))
            .await?;
        session
            .run(format!(
                "INSERT INTO idempotency (idempotency_key, saga_id)
SELECT 'bench-' || x.n, x.id FROM ({numbered}) x"
            ))
            .await?;
    }
    say("journals are written, their indexes are made");
    make(&mut session, indexes).await
}

/// Drops a table's indexes, primary key included; the statements that make them again.
async fn drop_indexes(session: &mut Session, table: &str) -> anyhow::Result<Vec<String>> {
    let constraints = format!(
        "FROM pg_constraint WHERE conrelid = '{table}'::regclass AND contype IN ('p', 'u')"
    );
    let plain = format!(
        "FROM pg_index i WHERE indrelid = '{table}'::regclass
         AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)"
    );
    let mut makes = session
        .texts(format!("SELECT format('ALTER TABLE {table} ADD CONSTRAINT %I %s', conname, pg_get_constraintdef(oid)) {constraints}"))
        .await?;
    makes.extend(session.texts(format!("SELECT pg_get_indexdef(indexrelid) {plain}")).await?);
    let mut drops = session
        .texts(format!(
            "SELECT format('ALTER TABLE {table} DROP CONSTRAINT %I', conname) {constraints}"
        ))
        .await?;
    let own = format!("SELECT format('DROP INDEX %s', indexrelid::regclass) {plain}");
    drops.extend(session.texts(own).await?);
    make(session, drops).await?;
    Ok(makes)
}

async fn make(session: &mut Session, statements: Vec<String>) -> anyhow::Result<()> {
    for statement in statements {
        session.run(statement).await?;
    }
    Ok(())
}
