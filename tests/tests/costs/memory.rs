//! Allocations of core and engine. Those of the in-memory store, which reads every fact that it is
//! given, are counted with them.

use std::sync::Arc;

use amends_ports::testing::{MemoryStore, TestClock};

use crate::ceilings::Line;
use crate::sagas::{PARTITIONS, Sagas, share};

/// Allocations and allocated bytes a saga.
pub(crate) fn per_saga(line: &Line) -> Vec<f64> {
    let runtime = crate::runtime();
    let mut sagas = runtime.block_on(async {
        let store = MemoryStore::new(PARTITIONS, Arc::new(TestClock::new()));
        Sagas::warmed_up(Arc::new(store), line.case).await
    });
    // It counts those of this thread, which runs everything.
    let counted =
        allocation_counter::measure(|| runtime.block_on(sagas.run(line.sagas(), line.at_once)));
    vec![share(counted.count_total, line.sagas()), share(counted.bytes_total, line.sagas())]
}
