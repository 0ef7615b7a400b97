-- What a release before 0008 writes beside this one is found, to be listed.
--
-- Readers before this release: as after 0009. Way back: drop the index.
--
-- Reads all sagas once. Nothing can be written to them meanwhile: on its own, so that this is all
-- that waits, and so that no lock is held when 0011 asks for a stronger one.

-- Serves lists as well, and leads to what is to be listed: nothing, unless a release before wrote
-- beside this one. No other index gives its order, so none is taken in its place.
CREATE INDEX saga_unlisted ON saga (listed, created_at, saga_id)
    WHERE NOT listed AND (labels IS NOT NULL OR lock_keys IS NOT NULL);
