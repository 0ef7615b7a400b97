-- Which releases may work on this database together.
--
-- Readers before this release: drain them first. They refuse any schema that is newer than their
-- own at their next start, and say so in /readyz. Those from here on go by oldest_reader. Way back:
-- drop the column, and delete both rows of meta.

ALTER TABLE coordinator ADD COLUMN journal_format BIGINT NOT NULL DEFAULT 1
    CHECK (journal_format > 0);

COMMENT ON COLUMN coordinator.journal_format IS
    'Newest format of facts that it reads. The default is what releases read that do not say so.';
COMMENT ON TABLE meta IS
    'partitions: how many, never changed. secret: signs callback URLs. participants_revision: grows with every change of a participant. lock_token_floor: no token of a forgotten key was greater; missing: none was forgotten. server: which server and timeline was written to last. journal_format: newest format of facts that may be in journals; grows when all live coordinators read more. oldest_reader: the migration that a release must know at least; a migration that breaks older ones sets it to its own number.';

INSERT INTO meta (name, value) VALUES ('journal_format', '1'), ('oldest_reader', '6');
