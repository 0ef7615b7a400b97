//! Expressions: how a definition reads inputs and outputs.
//!
//! They are Jinja expressions without blocks. They cannot loop without bound, do I/O or read a
//! clock; see [`limit`] for their bounds.

mod code;
mod condition;
mod context;
mod error;
mod jinja;
mod lexer;
pub mod limit;
mod path;
mod path_template;
mod reference;
#[cfg(test)]
mod sample;
mod scope;
mod template;
mod text;
mod write;

pub use condition::Condition;
pub use error::ExpressionError;
pub use path_template::PathTemplate;
pub use reference::Reference;
pub use scope::{Scope, ScopeForward, ScopeStep};
pub use template::Template;
