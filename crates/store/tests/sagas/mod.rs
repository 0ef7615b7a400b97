//! Sagas that consist of nothing but a number.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::BTreeMap;

use amends_core::definition::Digest;
use amends_core::saga::{Event, Record, Status};
use amends_core::{DefinitionName, LockKey, SagaId, Timestamp};
use amends_ports::store::{Append, GrantAtOnce, Header, NewSaga, Partition, Tickets, Wake};

pub(crate) fn id(text: &str) -> SagaId {
    SagaId::new(text).unwrap()
}

/// One fact that can be found in a message by its number.
pub(crate) fn fact(number: u64) -> String {
    let record = Record { at: Timestamp(0), event: Event::Recovered { epoch: number } };
    serde_json::to_string(&[record]).unwrap()
}

pub(crate) fn new_saga(text: &str, number: u64, wake: Wake) -> NewSaga {
    NewSaga {
        saga_id: id(text),
        partition: Partition(0),
        definition: Digest("d".to_owned()),
        definition_name: DefinitionName::new("transfer").unwrap(),
        definition_version: Some(1),
        labels: BTreeMap::new(),
        lock_keys: Vec::new(),
        grant: Some(GrantAtOnce::untold(Status::Running)),
        idempotency_key: None,
        request_digest: "r".to_owned(),
        created_at: Timestamp(0),
        header: Header {
            status: Status::Running,
            paused: false,
            step: None,
            reason: None,
            updated_at: Timestamp(0),
            ended_at: None,
            wake,
        },
        records: fact(number),
        record_count: 1,
    }
}

/// One that needs a transaction of several statements.
pub(crate) fn locking_saga(text: &str, number: u64) -> NewSaga {
    let lock_keys = vec![LockKey::new(format!("key of {text}")).unwrap()];
    NewSaga { lock_keys, ..new_saga(text, number, Wake::InMemory) }
}

pub(crate) fn append_of(text: &str, from: u64, number: u64) -> Append {
    Append {
        saga_id: id(text),
        partition: Partition(0),
        from,
        records: fact(number),
        record_count: 1,
        header: None,
        tickets: Tickets::Keep,
    }
}
