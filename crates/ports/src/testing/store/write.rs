//! One batch: checked whole, then written whole.

use std::collections::BTreeSet;

use amends_core::Timestamp;
use amends_core::mutant::Mutant;
use amends_core::saga::Record;

use super::state::State;
use crate::store::{Append, Batch, Header, Partition, Tickets, WriteError, Written};

impl State {
    pub(super) fn write(&mut self, batch: &Batch, now: Timestamp) -> Result<Written, WriteError> {
        self.check_leases(batch)?;
        let appended = self.check_appends(batch)?;
        let accepted = batch
            .accepts
            .iter()
            .map(|new| {
                if let Some(facts) = new.grant_facts() {
                    parse_records(&facts.records(&[]), facts.record_count)?;
                }
                parse_records(&new.records, new.record_count)
            })
            .collect::<Result<Vec<_>, _>>()?;

        // Nothing below can fail: a batch happens whole or not at all.
        let mut freed = BTreeSet::new();
        for (append, records) in batch.appends.iter().zip(appended) {
            self.append(append, records);
            match append.tickets {
                Tickets::Keep => {}
                Tickets::Release => freed.extend(self.give_back(&append.saga_id)),
                Tickets::Requeue => freed.extend(self.requeue(&append.saga_id, now)),
            }
        }
        if Mutant::NotWoken.is_on() {
            freed.clear();
        }
        let (successors, woken) = self.follow(batch, &freed, now);
        let accepts = batch
            .accepts
            .iter()
            .zip(accepted)
            .map(|(new, records)| self.accept(new, records, now))
            .collect();
        let grants = batch.grants.iter().map(|grant| self.grant(&grant.saga_id)).collect();
        for settle in &batch.settles {
            if let Some(row) = self.inbox_row(&settle.id) {
                row.result.get_or_insert_with(|| settle.result.clone());
            }
        }
        self.batches_written += 1;
        let written = Written { accepts, grants, woken, successors };
        self.show(batch, &written, now);
        Ok(written)
    }

    /// Ends transactions that are still running, those that are meant; answers how many happened.
    pub(super) fn finish_late_writes(
        &mut self,
        now: Timestamp,
        is_meant: impl Fn(&Batch) -> bool,
    ) -> usize {
        if self.late.is_empty() {
            return 0;
        }
        let late = std::mem::take(&mut self.late);
        let (ending, running): (Vec<Batch>, Vec<Batch>) = late.into_iter().partition(is_meant);
        self.late = running;
        // One that no longer fits is rolled back; its writer was never told otherwise.
        ending.iter().filter(|batch| self.write(batch, now).is_ok()).count()
    }

    fn check_leases(&self, batch: &Batch) -> Result<(), WriteError> {
        let stale: Vec<Partition> = batch
            .leases
            .iter()
            .filter(|lease| !self.is_newest(**lease))
            .map(|lease| lease.partition)
            .collect();
        if stale.is_empty() || Mutant::NoEpochCheck.is_on() {
            Ok(())
        } else {
            Err(WriteError::Fenced(stale))
        }
    }

    fn check_appends(&self, batch: &Batch) -> Result<Vec<Vec<Record>>, WriteError> {
        let check = |append: &Append| {
            let row = self
                .sagas
                .get(&append.saga_id)
                .filter(|row| row.partition == append.partition)
                .ok_or_else(|| refused(format!("there is no saga {}", append.saga_id)))?;
            if row.records.len() as u64 != append.from {
                return Err(refused(format!(
                    "facts of saga {} from number {} do not follow on its {} facts",
                    append.saga_id,
                    append.from,
                    row.records.len()
                )));
            }
            parse_records(&append.records, append.record_count)
        };
        batch.appends.iter().map(check).collect()
    }

    fn append(&mut self, append: &Append, records: Vec<Record>) {
        let Some(row) = self.sagas.get_mut(&append.saga_id) else { return };
        row.records.extend(records);
        if let Some(header) = &append.header {
            row.header = Header::clone(header);
            if header.ended_at.is_some() {
                self.live.remove(&append.saga_id);
            }
        }
    }
}

pub(super) fn parse_records(text: &str, count: u32) -> Result<Vec<Record>, WriteError> {
    let records: Vec<Record> = serde_json::from_str(text)
        .map_err(|error| refused(format!("facts cannot be read: {error}")))?;
    if records.len() as u64 == u64::from(count) {
        return Ok(records);
    }
    Err(refused(format!("{} facts were given where {count} were announced", records.len())))
}

/// A batch that breaks its contract: nothing of it was written.
fn refused(what: String) -> WriteError {
    WriteError::Unavailable(what.into())
}
