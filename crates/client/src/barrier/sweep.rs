//! Deleting old rows.

use std::time::Duration;

use sqlx::Pool;

use super::dialect::Table;
use super::{Error, SqlStore};

/// The least age that may be swept: a day.
pub const AGE_MIN: Duration = Duration::from_hours(24);
/// Rows of one transaction.
const BATCH_ROWS: i64 = 1_000;

/// Deletes what did not change for `older_than`, and answers how many rows that were.
///
/// **A row may go only when no call of its saga can come any more.** If an action's row is swept
/// and its undo comes after all, the undo finds nothing to undo and answers success. So take an
/// age longer than any saga lives, counting the time for which one may stand suspended; 90 days is
/// a good beginning.
///
/// It works in batches of 1,000 rows, one short transaction each, and may run beside calls and
/// in several instances at once. Dropping it between two batches loses nothing.
///
/// # Errors
///
/// [`Error::Misuse`] for an age below a day ([`AGE_MIN`]); else the database's. Batches before the
/// error stay done.
pub async fn sweep<DB: SqlStore>(pool: &Pool<DB>, older_than: Duration) -> Result<u64, Error> {
    if older_than < AGE_MIN {
        return Err(Error::Misuse(
            "rows younger than a day may not be swept: their sagas can still be running",
        ));
    }
    let age_ms = i64::try_from(older_than.as_millis()).unwrap_or(i64::MAX / 2);
    let mut swept = 0;
    for table in [Table::Barrier, Table::Fence] {
        loop {
            let rows = DB::sweep(pool, table, age_ms, BATCH_ROWS).await?;
            swept += rows;
            if rows < BATCH_ROWS.unsigned_abs() {
                break;
            }
        }
    }
    Ok(swept)
}
