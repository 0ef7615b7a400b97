-- Which releases may work on this file.
--
-- Readers before this release: none, the file belongs to one process; they refuse a schema that is
-- newer than their own. Those from here on go by oldest_reader. Way back: drop the column, and
-- delete both rows of meta.

-- Newest format of facts that it reads.
ALTER TABLE coordinator ADD COLUMN journal_format INTEGER NOT NULL DEFAULT 1
    CHECK (journal_format > 0);

-- journal_format: newest format of facts that may be in journals; grows when all live coordinators
-- read more. oldest_reader: the migration that a release must know at least; a migration that breaks
-- older ones sets it to its own number.
INSERT INTO meta (name, value) VALUES ('journal_format', 1), ('oldest_reader', 6);
