//! Guards of lock keys: Redlock over independent Redis masters.
