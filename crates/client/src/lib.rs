//! For services that use amends: a typed client, and the barrier for participants.
