//! Texts that hold expressions: `sku:${input.sku}`.

use std::sync::Arc;

use super::code::Code;
use super::context::Context;
use super::error::ExpressionError;
use super::lexer::string_len;
use super::write;

/// A piece of a text.
#[derive(Clone, Debug)]
pub(super) enum Part {
    /// As it stands.
    Literal(Box<str>),
    /// To be replaced by its value.
    Code(Arc<Code>),
}

/// Cuts a text at its expressions; `$${` is a literal `${`.
///
/// # Errors
///
/// One sentence for each expression that is none.
pub(super) fn split(text: &str) -> Result<Vec<Part>, Vec<String>> {
    let (mut parts, mut faults) = (Vec::new(), Vec::new());
    let (mut literal, mut rest) = (String::new(), text);
    while let Some(dollar) = rest.find('$') {
        literal.push_str(&rest[..dollar]);
        rest = &rest[dollar..];
        if let Some(after) = rest.strip_prefix("$${") {
            literal.push_str("${");
            rest = after;
        } else if let Some(after) = rest.strip_prefix("${") {
            let Some(end) = closing_brace(after) else {
                faults.push(
                    "`${` is never closed by `}`; a literal `${` is written `$${`".to_owned(),
                );
                break;
            };
            match Code::parse(&after[..end]) {
                Ok(code) => {
                    flush(&mut literal, &mut parts);
                    parts.push(Part::Code(Arc::new(code)));
                }
                Err(why) => faults.push(why),
            }
            rest = &after[end + 1..];
        } else {
            literal.push('$');
            rest = &rest[1..];
        }
    }
    literal.push_str(rest);
    flush(&mut literal, &mut parts);
    if faults.is_empty() { Ok(parts) } else { Err(faults) }
}

/// Writes the parts one after the other.
pub(super) fn render(
    parts: &[Part],
    context: &Context<'_>,
    out: &mut String,
) -> Result<(), ExpressionError> {
    for part in parts {
        match part {
            Part::Literal(text) => {
                out.push_str(text);
                write::within_bound(out).map_err(|why| ExpressionError::new(text, why))?;
            }
            Part::Code(code) => code.write_text(context, out)?,
        }
    }
    Ok(())
}

fn flush(literal: &mut String, parts: &mut Vec<Part>) {
    if !literal.is_empty() {
        parts.push(Part::Literal(std::mem::take(literal).into_boxed_str()));
    }
}

/// Where the brace stands that closes an expression: strings and object literals may hold others.
fn closing_brace(text: &str) -> Option<usize> {
    let (mut depth, mut index) = (0_usize, 0);
    while let Some(c) = text[index..].chars().next() {
        match c {
            '"' | '\'' => index += 1 + string_len(&text[index + 1..], c),
            '{' => depth += 1,
            '}' if depth == 0 => return Some(index),
            '}' => depth -= 1,
            _ => {}
        }
        index = (index + c.len_utf8()).min(text.len());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let found = split(text).map(|parts| {
            parts
                .iter()
                .map(|part| match part {
                    Part::Literal(text) => text.to_string(),
                    Part::Code(code) => format!("{code:?}"),
                })
                .collect::<Vec<_>>()
        });
        assert_eq!(found.unwrap(), expected, "{text}");
    }

    #[test]
    fn expressions_end_at_their_own_brace() {
        check("", &[]);
        check("plain", &["plain"]);
        check("sku:${input.sku}", &["sku:", "${input.sku}"]);
        check("${ input.a }${input.b}", &["${input.a}", "${input.b}"]);
        check("${'}' ~ \"}\"}!", &["${'}' ~ \"}\"}", "!"]);
        check("${{'a': {'b': 1}}}", &["${{'a': {'b': 1}}}"]);
        check("$${input.a} costs 5$ or $$", &["${input.a} costs 5$ or $$"]);
    }

    #[test]
    fn every_bad_expression_is_reported() {
        assert_eq!(split("${} ${a b} ${input.a} ${'").unwrap_err().len(), 3);
    }
}
