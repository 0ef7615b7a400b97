//! Bounds of expressions.

/// Work that one evaluation may do, in minijinja's units: one for each instruction, and one for
/// each 64 bytes made or read. The bound is some milliseconds of a core, and some MiB.
pub const FUEL: u64 = 50_000;

/// Most bytes that one rendered body, path, header or key may have: 1 MiB.
pub const OUTPUT_BYTES_MAX: usize = 1 << 20;

/// Most bytes that the text of one expression may have.
pub const EXPRESSION_BYTES_MAX: usize = 4096;

/// Deepest nesting of brackets in one expression, and most tokens. Compiling recurses, and with 2 MiB
/// of stack, which threads have, some 100 levels or 1,800 tokens are safe even without optimisation.
pub const EXPRESSION_DEPTH_MAX: usize = 32;
/// See [`EXPRESSION_DEPTH_MAX`].
pub const EXPRESSION_TOKENS_MAX: usize = 512;

/// Deepest nesting of lists and objects in what an expression gives.
pub const OUTPUT_DEPTH_MAX: usize = 64;
