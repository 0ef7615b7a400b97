//! Releases of different age: what the first one left is read and brought to its end, two of them
//! work side by side, and one that is too old is refused.
//!
//! `make upgrade` names the binary of the first release in `AMENDS_FIRST_RELEASE`; without it the
//! current one stands in for both.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "test code"
)]

mod fixture;
mod refusal;
mod rolling;

use amends_testbed::{Postgres, PostgresOptions};

async fn durable_postgres() -> Postgres {
    let options = PostgresOptions { durable: true, ..PostgresOptions::default() };
    Postgres::start_with(options).await.unwrap()
}
