//! Why an expression gave nothing.

/// An expression that failed on the values it was given.
///
/// The same values give the same error, so trying again does not help: the definition or the
/// input is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the expression `{expression}` failed: {why}")]
pub struct ExpressionError {
    /// The expression's text, shortened.
    pub expression: String,
    /// What is wrong, and what to do where that is known.
    pub why: String,
}

/// Most characters of an expression that an error repeats.
const EXPRESSION_CHARS_MAX: usize = 120;

/// Most characters of a reason; values that participants sent may be part of it.
const WHY_CHARS_MAX: usize = 400;

impl ExpressionError {
    /// Of `expression`, for the reason `why`.
    pub(super) fn new(expression: &str, why: impl AsRef<str>) -> Self {
        Self {
            expression: shortened(expression, EXPRESSION_CHARS_MAX),
            why: shortened(why.as_ref(), WHY_CHARS_MAX),
        }
    }
}

/// The first characters of a text, and a mark where it goes on.
pub(super) fn shortened(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
