//! Lines of the list that are about things which the server does not have. Whoever adds one of
//! these things moves its lines from here to rows or scenarios.

/// Number of the line, and why it does not apply.
pub(crate) const ABSENT: &[(u8, &str)] = &[
    (21, "there are no namespaces: every id is seen by whoever reaches the server"),
    (29, "there is no sign-in: no route wants an Authorization header"),
    (30, "there is no sign-in: there are no keys that could be revoked or expire"),
    (31, "there is no sign-in: there are no environments that keys belong to"),
    (32, "there is no sign-in: tokens (JWT) are not read"),
    (33, "there is no sign-in: tokens (JWT) are not read"),
    (34, "there is no sign-in: tokens (JWT) are not read"),
    (35, "there is no sign-in: no key sets are fetched"),
    (36, "there is no sign-in: a long header is line 24, whatever its name"),
    (37, "there are no roles: whoever reaches the server may do everything"),
    (38, "there are no roles: whoever reaches the server may do everything"),
    (39, "there is no sign-in: there are no keys to be guessed"),
    (40, "no route requires an Idempotency-Key: an id of one's own does the same"),
    (45, "there are no namespaces: keys are unique in the whole store"),
    (94, "there are no commands over many sagas at once"),
];
