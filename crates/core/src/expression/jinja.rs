//! Jinja expressions: which of them are allowed, and how they are compiled.
//!
//! One environment serves all. It knows no templates, no functions and only filters and tests
//! whose work minijinja charges to [`limit::FUEL`]; anything else is refused when the definition
//! is read, not when a saga runs.

use std::sync::LazyLock;

use minijinja::{Environment, ErrorKind, Expression, UndefinedBehavior};

use super::error::shortened;
use super::lexer::{Token, tokens};
use super::limit;
use super::path::{Segment, next_segment};
use super::reference::Reference;

/// Filters that expressions may use.
const FILTERS: &[&str] = &[
    "abs",
    "bool",
    "capitalize",
    "count",
    "d",
    "default",
    "dictsort",
    "first",
    "float",
    "format",
    "int",
    "items",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "select",
    "selectattr",
    "sort",
    "split",
    "string",
    "sum",
    "title",
    "trim",
    "unique",
    "upper",
];

/// Tests that expressions may use.
const TESTS: &[&str] = &[
    "boolean",
    "defined",
    "divisibleby",
    "endingwith",
    "eq",
    "equalto",
    "even",
    "false",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "int",
    "integer",
    "iterable",
    "le",
    "lessthan",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sameas",
    "sequence",
    "startingwith",
    "string",
    "true",
    "undefined",
    "upper",
];

/// Filters of minijinja that are taken out: they mark text as HTML, look members up by computed
/// names, or make lists of lists.
const FILTERS_REMOVED: &[&str] = &[
    "attr", "batch", "chain", "e", "escape", "groupby", "indent", "lines", "pprint", "safe",
    "slice", "zip",
];

/// Tests of minijinja that are taken out: they ask about the environment or about HTML.
const TESTS_REMOVED: &[&str] = &["escaped", "filter", "safe", "test"];

/// Words that are no names.
const KEYWORDS: &[&str] = &[
    "and", "else", "false", "False", "if", "in", "is", "none", "None", "not", "or", "true", "True",
];

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(limit::FUEL));
    for name in FILTERS_REMOVED {
        environment.remove_filter(name);
    }
    for name in TESTS_REMOVED {
        environment.remove_test(name);
    }
    for name in ["range", "dict", "debug", "namespace"] {
        environment.remove_global(name);
    }
    environment
});

/// A compiled expression and what it names.
pub(super) struct Compiled {
    /// To be evaluated.
    pub(super) expression: Expression<'static, 'static>,
    /// What it names.
    pub(super) references: Vec<Reference>,
}

/// Compiles `text`.
///
/// # Errors
///
/// A sentence that says what is wrong with it.
pub(super) fn compile(text: &str) -> Result<Compiled, String> {
    let tokens = tokens(text);
    check_size(&tokens)?;
    let expression = ENVIRONMENT
        .compile_expression_owned(text.to_owned())
        .map_err(|error| error.detail().unwrap_or("it does not parse").to_owned())?;
    check_words(&tokens)?;
    let mut references = names(&tokens);
    // A second opinion: nothing that minijinja would look up goes unseen.
    for root in expression.undeclared_variables(false) {
        if !references.iter().any(|reference| reference.root == root) {
            references.push(Reference { root, path: Vec::new(), guarded: false });
        }
    }
    Ok(Compiled { expression, references })
}

/// The sentence for an error of an evaluation.
pub(super) fn why(error: &minijinja::Error) -> String {
    let kind = error.kind();
    if kind == ErrorKind::OutOfFuel {
        "it takes too long or makes too much text".to_owned()
    } else if kind == ErrorKind::UndefinedError {
        super::write::undefined()
    } else {
        shortened(&error.to_string(), 300)
    }
}

/// Keeps minijinja's recursion within the stack: a deep expression would end the whole process.
fn check_size(tokens: &[Token<'_>]) -> Result<(), String> {
    if tokens.len() > limit::EXPRESSION_TOKENS_MAX {
        let (count, max) = (tokens.len(), limit::EXPRESSION_TOKENS_MAX);
        return Err(format!("it has {count} words and signs; at most {max} are allowed"));
    }
    let mut depth = 0_usize;
    for token in tokens {
        match token {
            Token::Sign('(' | '[' | '{') => depth += 1,
            Token::Sign(')' | ']' | '}') => depth = depth.saturating_sub(1),
            Token::Name(_) | Token::Text(_) | Token::Number(_) | Token::Sign(_) => {}
        }
        if depth > limit::EXPRESSION_DEPTH_MAX {
            let max = limit::EXPRESSION_DEPTH_MAX;
            return Err(format!("it is nested deeper than {max} levels"));
        }
    }
    Ok(())
}

/// Refuses filters, tests and calls that would fail when a saga runs.
fn check_words(tokens: &[Token<'_>]) -> Result<(), String> {
    for (index, token) in tokens.iter().enumerate() {
        let Token::Name(name) = token else { continue };
        let before = &tokens[..index];
        if matches!(before, [.., Token::Sign('|')]) {
            known("filter", name, FILTERS)?;
        } else if is_test(before) && *name != "not" {
            known("test", name, TESTS)?;
        } else if tokens.get(index + 1) == Some(&Token::Sign('(')) && !KEYWORDS.contains(name) {
            return Err(format!("{name}(…) cannot be called; there are filters such as `| upper`"));
        }
    }
    Ok(())
}

fn known(what: &str, name: &str, all: &[&str]) -> Result<(), String> {
    if all.contains(&name) {
        return Ok(());
    }
    Err(format!("there is no {what} {name:?}; there are {}", all.join(", ")))
}

/// Whether a test's name stands after these tokens.
fn is_test(before: &[Token<'_>]) -> bool {
    matches!(before, [.., Token::Name("is")] | [.., Token::Name("is"), Token::Name("not")])
}

/// Every name that is read, with the constant members after it.
fn names(tokens: &[Token<'_>]) -> Vec<Reference> {
    let guarded = tokens.iter().any(|token| {
        matches!(token, Token::Name("defined" | "undefined" | "default" | "d" | "if"))
    });
    let mut references = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let (before, after) = (&tokens[..index], &tokens[index + 1..]);
        if let Token::Name(name) = token
            && !KEYWORDS.contains(name)
            && !matches!(before, [.., Token::Sign('.' | '|')])
            && !is_test(before)
            && !is_argument_name(after)
        {
            references.push(Reference { root: (*name).to_owned(), path: members(after), guarded });
        }
    }
    references
}

/// `name=` within a call of a filter.
fn is_argument_name(after: &[Token<'_>]) -> bool {
    matches!(after, [Token::Sign('='), rest @ ..] if rest.first() != Some(&Token::Sign('=')))
}

fn members(mut tokens: &[Token<'_>]) -> Vec<String> {
    let mut path = Vec::new();
    while let Some((segment, rest)) = next_segment(tokens) {
        path.push(match segment {
            Segment::Name(name) => name.into_string(),
            Segment::Index(index) => index.to_string(),
        });
        tokens = rest;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let compiled = compile(text).unwrap_or_else(|why| panic!("{text}: {why}"));
        let mut found: Vec<_> = compiled.references.iter().map(ToString::to_string).collect();
        found.dedup();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn every_name_is_found_with_its_members() {
        check("input.email is defined", &["input.email"]);
        check("input.a + steps.b.output.c", &["input.a", "steps.b.output.c"]);
        check(r#"steps["my-step"].output ~ 'input.x'"#, &[r#"steps["my-step"].output"#]);
        check("steps.my-step.output", &["steps.my", "step.output"]);
        check("steps[input.which].output", &["steps", "input.which"]);
        check("input.items | map(attribute='id') | join(',')", &["input.items"]);
        check("input.n if input.n is not none else other", &["input.n", "other"]);
        check("{'a': input.a, 'b': [1, saga.id]}", &["input.a", "saga.id"]);
        check("1 + 2", &[]);
        check("input.x == 1 and not input.y", &["input.x", "input.y"]);
        check("input.x is divisibleby input.y", &["input.x", "input.y"]);
        check("(input).x", &["input"]);
    }

    #[test]
    fn what_would_fail_later_is_refused_now() {
        for text in [
            "input.",
            "input.a |",
            "input.a | nope",
            "input.a | pprint",
            "input.a is nice",
            "input.a.upper()",
            "range(100000000)",
            "a b",
            "%}",
            "}} {{",
            "[1,",
        ] {
            assert!(compile(text).is_err(), "{text}");
        }
    }

    /// Where there was no bound, each of these ended the process.
    #[test]
    fn no_expression_is_too_deep_for_the_stack() {
        for part in ["input[", "-", "a.b", "(", "not ", "{'a':", "1 if 1 else ", "1 ** ", "a|d("] {
            for bytes in [2000, limit::EXPRESSION_BYTES_MAX] {
                let text = part.repeat(bytes / part.len());
                assert!(compile(&text).is_err(), "{text}");
            }
        }
        let nested = |depth| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(compile(&nested(limit::EXPRESSION_DEPTH_MAX)).is_ok());
        assert!(compile(&nested(limit::EXPRESSION_DEPTH_MAX + 1)).is_err());
        let chain = |names| ["a"].repeat(names).join(".");
        assert!(compile(&chain(limit::EXPRESSION_TOKENS_MAX / 2)).is_ok());
        assert!(compile(&chain(limit::EXPRESSION_TOKENS_MAX / 2 + 1)).is_err());
        let negated = format!("{}1", "-".repeat(limit::EXPRESSION_TOKENS_MAX - 1));
        assert!(compile(&negated).is_ok());
    }

    #[test]
    fn every_listed_word_exists() {
        for filter in FILTERS {
            assert!(FILTERS_REMOVED.iter().all(|removed| removed != filter));
            let failed = ENVIRONMENT.compile_expression_owned(format!("'a' | {filter}"));
            let error = failed.unwrap().eval(()).err().map(|error| error.kind());
            assert_ne!(error, Some(ErrorKind::UnknownFilter), "{filter}");
        }
        for test in TESTS {
            let failed = ENVIRONMENT.compile_expression_owned(format!("'a' is {test}"));
            let error = failed.unwrap().eval(()).err().map(|error| error.kind());
            assert_ne!(error, Some(ErrorKind::UnknownTest), "{test}");
        }
    }
}
