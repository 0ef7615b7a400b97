-- What every saga paid for and nobody needed: constraints that only the store itself could break,
-- and indexes that were wider or more than what they serve asks for.
--
-- Readers before this release: may go on beside it; their statements find the new indexes. Way
-- back: drop the two new indexes, and make those of 0002 and its constraints again.

-- The store is the only writer, and writes these columns from types that have no other values. To
-- check them cost a twentieth of what a saga costs the database.
ALTER TABLE saga
    DROP CONSTRAINT saga_partition_check,
    DROP CONSTRAINT saga_definition_version_check,
    DROP CONSTRAINT saga_status_check,
    DROP CONSTRAINT ended_is_terminal,
    DROP CONSTRAINT ended_never_wakes;
ALTER TABLE saga_journal
    DROP CONSTRAINT saga_journal_first_seq_check,
    DROP CONSTRAINT saga_journal_record_count_check;

-- Serves lists and retention. Sagas of the same microsecond are few: they are put in order of id
-- when they are read.
DROP INDEX saga_created;
CREATE INDEX saga_created ON saga (created_at);
-- Serves lists and counts by status, but for completed: those are found among all.
DROP INDEX saga_live;
DROP INDEX saga_undone;
CREATE INDEX saga_not_completed ON saga (status, created_at) WHERE status <> 'completed';
