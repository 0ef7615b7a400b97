//! Runs kinds of faults, one after another, and says what came of each.

fn main() {}
