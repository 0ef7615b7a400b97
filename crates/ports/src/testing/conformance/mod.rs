//! What every adapter of a port must do, as tests that any adapter can run.
