//! Conditions: `input.email is defined`.

use super::code::Code;
use super::context::Context;
use super::{ExpressionError, Reference, Scope};

/// One expression that gives true or false, written without `${ }`.
#[derive(Debug)]
pub struct Condition(Code);

impl Condition {
    /// Compiles `text`.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.trim_start().starts_with("${") {
            return Err("a condition is an expression itself; write it without ${ }".to_owned());
        }
        Code::parse(text).map(Self)
    }

    /// Evaluates it.
    ///
    /// # Errors
    ///
    /// [`ExpressionError`] when something it names is missing, or when it gives neither true nor
    /// false.
    pub fn eval(&self, scope: &Scope<'_>) -> Result<bool, ExpressionError> {
        self.0.as_bool(&Context::new(scope))
    }

    /// What it names.
    pub fn references(&self) -> Vec<Reference> {
        self.0.references().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::with_scope;
    use super::*;

    #[test]
    fn a_condition_is_true_or_false_and_nothing_else() {
        for (text, expected) in [
            ("input.flag", Some(true)),
            ("input.nope is defined", Some(false)),
            ("input.none is none", Some(true)),
            ("input.qty > 2 and input.qty < 9", Some(true)),
            ("input.sku in ['a/b ?', 'c']", Some(true)),
            ("steps.charge.status == 'succeeded'", Some(true)),
            ("true", Some(true)),
            ("input.qty", None),
            ("input.sku", None),
            ("input.nope", None),
            ("input.nope == 1", None),
            ("'x' * 100000000 == 'y'", None),
        ] {
            let condition = Condition::parse(text).unwrap();
            with_scope(|scope| assert_eq!(condition.eval(scope).ok(), expected, "{text}"));
        }
        assert!(Condition::parse("${input.flag}").is_err());
        assert!(Condition::parse("").is_err());
    }

    #[test]
    fn compiled_expressions_are_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Condition>();
        shared::<super::super::Template>();
        shared::<super::super::PathTemplate>();
    }
}
