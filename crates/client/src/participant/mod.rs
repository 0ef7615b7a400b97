//! What a participant reads from a call, and what it answers.
