//! The barrier: every operation takes effect once, and in a valid order.
