//! Bounds of expressions.

/// Work that one evaluation may do, in minijinja's units: one for each instruction, and one for
/// each 64 bytes made or read. The bound is some milliseconds of a core, and some MiB.
pub const FUEL: u64 = 50_000;

/// Most bytes that one rendered body, path, header or key may have: 1 MiB.
pub const OUTPUT_BYTES_MAX: usize = 1 << 20;

/// Most bytes that the text of one expression may have.
pub const EXPRESSION_BYTES_MAX: usize = 4096;

/// Deepest nesting of lists and objects in what an expression gives.
pub const OUTPUT_DEPTH_MAX: usize = 64;
