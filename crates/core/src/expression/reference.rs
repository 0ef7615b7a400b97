//! What an expression names, known without evaluating it.

use std::fmt;

/// One name that an expression reads, with the members that are written out after it.
///
/// `steps["my-step"].output.id` has the root `steps` and the path `my-step`, `output`, `id`; a
/// member that is itself computed ends the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// `input`, `steps`, `saga`, `step`, `forward` or a name that does not exist.
    pub root: String,
    /// The members that are read from it, as far as they are constant.
    pub path: Vec<String>,
    /// Whether the expression provides for the value to be missing: it asks whether something is
    /// defined, has a default, or chooses.
    pub guarded: bool,
}

impl Reference {
    /// The id of the step that is named.
    pub fn step_id(&self) -> Option<&str> {
        if self.root == "steps" { self.path.first().map(String::as_str) } else { None }
    }

    /// Whether `path` is what is read, or lies above it.
    pub fn is_within(&self, root: &str, path: &[&str]) -> bool {
        self.root == root
            && path.len() <= self.path.len()
            && path.iter().zip(&self.path).all(|(asked, own)| asked == own)
    }
}

/// The reference as an expression writes it.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.root)?;
        for member in &self.path {
            let plain = member.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && member.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if plain { write!(f, ".{member}")? } else { write!(f, "[{member:?}]")? }
        }
        Ok(())
    }
}
