-- Which sagas are found by label and lock key in tables of their own, which come next.
--
-- Readers before this release: may go on beside it. What they accept is not listed, by the default
-- of the column; coordinators of this release find it all the same, and list it by and by. Way back:
-- drop the column, after the tables of 0009.

-- Sagas that are there are listed by 0009. The column takes no time, however many they are.
ALTER TABLE saga ADD COLUMN listed BOOLEAN NOT NULL DEFAULT true;
ALTER TABLE saga ALTER COLUMN listed SET DEFAULT false;

COMMENT ON COLUMN saga.listed IS
    'Whether saga_label and saga_lock_key have its labels and lock keys. False: a release before them has written it.';
