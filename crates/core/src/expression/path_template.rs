//! Paths of requests that hold expressions: `/orders/${saga.id}?dry=${input.dry}`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::context::Context;
use super::text::{self, Part};
use super::{ExpressionError, Reference, Scope, write};

/// Everything but RFC 3986's unreserved characters (section 2.3): no value can leave its place.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A path below a base URL, maybe with a query; each value in it is percent-encoded.
#[derive(Debug, Default)]
pub struct PathTemplate(Vec<Part>);

impl PathTemplate {
    /// Compiles `text`.
    ///
    /// # Errors
    ///
    /// Every fault, as a sentence.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        let parts = text::split(text)?;
        let literal: String = parts.iter().map(Part::shape).collect();
        let faults = literal_faults(&literal);
        if faults.is_empty() { Ok(Self(parts)) } else { Err(faults) }
    }

    /// A path in which nothing is an expression.
    pub fn literal(path: &str) -> Self {
        Self(vec![Part::Literal(path.into())])
    }

    /// What is wrong with a path in which nothing is an expression, as sentences.
    pub fn literal_faults(path: &str) -> Vec<String> {
        literal_faults(path)
    }

    /// Evaluates it.
    ///
    /// # Errors
    ///
    /// [`ExpressionError`], also when a value is empty or a dot segment and the request would so
    /// go to another resource.
    pub fn render(&self, scope: &Scope<'_>) -> Result<String, ExpressionError> {
        let context = Context::new(scope);
        let room = self.0.iter().map(Part::capacity).sum();
        let (mut out, mut value, mut in_query) =
            (String::with_capacity(room), String::new(), false);
        for part in &self.0 {
            match part {
                Part::Literal(text) => {
                    out.push_str(text);
                    in_query |= text.contains('?');
                }
                Part::Code(code) => {
                    value.clear();
                    code.write_text(&context, &mut value)?;
                    if value.is_empty() && !in_query {
                        return Err(code.error(
                            "gives an empty text, so the path would name another resource",
                        ));
                    }
                    out.extend(utf8_percent_encode(&value, ENCODED));
                    write::within_bound(&out).map_err(|why| code.error(why))?;
                }
            }
        }
        match dot_segment(&out) {
            None => Ok(out),
            Some(segment) => {
                let why = format!(
                    "the path has the segment {segment:?}, which would name another resource"
                );
                Err(ExpressionError::new(&out, why))
            }
        }
    }

    /// What its expressions name.
    pub fn references(&self) -> Vec<Reference> {
        let codes = self.0.iter().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::Code(code) => Some(code.references()),
        });
        codes.flatten().cloned().collect()
    }
}

impl Part {
    /// About how many bytes it becomes.
    fn capacity(&self) -> usize {
        match self {
            Self::Literal(text) => text.len(),
            Self::Code(_) => 40,
        }
    }

    /// The literal text, and a harmless word for a value.
    fn shape(&self) -> &str {
        match self {
            Self::Literal(text) => text,
            Self::Code(_) => "value",
        }
    }
}

fn literal_faults(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if !text.starts_with('/') || text.starts_with("//") {
        faults.push("a path starts with one /; the participant has the address".to_owned());
    }
    if let Some(c) = text.chars().find(|c| !c.is_ascii_graphic() || "\\#<>\"`{}|^".contains(*c)) {
        faults.push(format!("a path cannot hold {c:?}; percent-encode it"));
    }
    if dot_segment(text).is_some() {
        faults.push("a path cannot hold the segments . and ..".to_owned());
    }
    faults
}

/// The first segment of the path that means "here" or "up", also when it is encoded.
fn dot_segment(text: &str) -> Option<&str> {
    let path = text.split('?').next().unwrap_or_default();
    path.split('/').find(|segment| {
        let after_one = without_dot(segment);
        after_one.is_some_and(|rest| rest.is_empty() || without_dot(rest) == Some(""))
    })
}

/// What stands after a dot, encoded or not.
fn without_dot(text: &str) -> Option<&str> {
    let encoded = || text.split_at_checked(3).filter(|(dot, _)| dot.eq_ignore_ascii_case("%2e"));
    text.strip_prefix('.').or_else(|| encoded().map(|(_, rest)| rest))
}

#[cfg(test)]
mod tests {
    use super::super::sample::with_scope;
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let template = PathTemplate::parse(text).unwrap_or_else(|why| panic!("{text}: {why:?}"));
        with_scope(|scope| {
            assert_eq!(template.render(scope).ok().as_deref(), expected, "{text}");
        });
    }

    #[test]
    fn values_cannot_leave_their_place() {
        check("/orders/${saga.id}", Some("/orders/order-1"));
        check("/sku/${input.sku}/x", Some("/sku/a%2Fb%20%3F/x"));
        check("/x?sku=${input.sku}&n=${input.qty}", Some("/x?sku=a%2Fb%20%3F&n=3"));
        check("/x/${input.name}", Some("/x/Zo%C3%AB%20%22Z%22"));
        check("/x/${input.crlf}", Some("/x/a%0D%0Ab"));
        check("/x/${input.empty}", None);
        check("/x?q=${input.empty}", Some("/x?q="));
        check("/x/${input.dots}/y", None);
        check("/x/.${'.'}", None);
        check("/x/v${input.dots}", Some("/x/v.."));
        check("/x/${input.list}", None);
        check("/x/${input.nope}", None);
        check("/", Some("/"));
    }

    #[test]
    fn literal_text_is_a_path() {
        for text in [
            "", "x", "//host/x", "http://x", "/a b", "/a#b", "/a/../b", "/%2E%2e/", "/ä", "/${",
            "/a\\b",
        ] {
            assert!(PathTemplate::parse(text).is_err(), "{text}");
        }
        assert_eq!(PathTemplate::default().0.len(), 0);
    }
}
