-- Two indexes that 0009 serves in place of.
--
-- Readers before this release: as after 0009. Way back: make saga_labelled and saga_locking of 0002
-- again.
--
-- Takes no time, but must have all sagas to itself for a moment: behind somebody who reads them for
-- long it gives up and is tried again, since all others would wait behind it.

SET LOCAL lock_timeout = '2s';
DROP INDEX saga_labelled;
DROP INDEX saga_locking;
