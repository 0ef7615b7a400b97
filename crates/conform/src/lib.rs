//! Probes a participant: whether it keeps what the contract asks of it.
