//! Every fixed statement by name, for the tests that prepare, explain and read them all.

use super::{
    accept, append, connect, definition, inbox, lease, list, load, lock, participant, saga,
};

/// Statements that run per saga, per batch or per look at what is due: none may cost more the
/// more sagas have ended.
pub const HOT: &[(&str, &str)] = &[
    ("accept", accept::ACCEPT),
    ("accept_plain", accept::ACCEPT_PLAIN),
    ("existing", accept::EXISTING),
    ("append", append::APPEND),
    ("fence", lease::FENCE),
    ("stale", lease::STALE),
    ("reserve", lock::RESERVE),
    ("release", lock::RELEASE),
    ("wake", lock::WAKE),
    ("grant", lock::GRANT),
    ("post", inbox::POST),
    ("open", inbox::OPEN),
    ("settle", inbox::SETTLE),
    ("result", inbox::RESULT),
    ("due", load::DUE),
    ("parked", load::PARKED),
    ("claim", load::CLAIM),
    ("unclaim", load::UNCLAIM),
    ("recover", load::RECOVER),
    ("saga", saga::SAGA),
    ("summary", saga::SUMMARY),
    ("journal", saga::JOURNAL),
    ("delete_ended", saga::DELETE_ENDED),
    ("delete_settled", saga::DELETE_SETTLED),
];

/// The others: leases, lists, definitions, participants.
pub const COLD: &[(&str, &str)] = &[
    ("heartbeat", lease::HEARTBEAT),
    ("members", lease::MEMBERS),
    ("acquire", lease::ACQUIRE),
    ("raise", lease::RAISE),
    ("release_leases", lease::RELEASE),
    ("leave", lease::LEAVE),
    ("counts", list::COUNTS),
    ("put_definition", definition::PUT),
    ("definition_by_digest", definition::BY_DIGEST),
    ("definition_by_version", definition::BY_VERSION),
    ("definition_newest", definition::NEWEST),
    ("definitions", definition::LIST),
    ("definitions_naming", definition::NAMING),
    ("raise_revision", participant::RAISE_REVISION),
    ("revision", participant::REVISION),
    ("stored_revision", participant::STORED_REVISION),
    ("put_participant", participant::PUT),
    ("delete_participant", participant::DELETE),
    ("participants", participant::LIST),
    ("initialise", connect::INITIALISE),
    ("initialise_leases", connect::INITIALISE_LEASES),
    ("fact", connect::FACT),
    ("durability", connect::DURABILITY),
    ("schema", connect::SCHEMA),
];
