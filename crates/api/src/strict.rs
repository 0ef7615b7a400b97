//! What JSON from outside must not hold: names that stand twice, NUL characters, more than 64
//! levels, more than 10,000 members. One pass over the text, which builds nothing.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::{ErrorCode, Problem};

/// Levels of arrays and objects that may stand in one another.
pub(crate) const DEPTH_MAX: usize = 64;

/// Members and entries that all objects and arrays of a body may have together.
const MEMBERS_MAX: usize = 10_000;

/// Checks that `text` is one acceptable JSON value.
///
/// # Errors
///
/// A problem with a 400 code and the place, or 422 when there are too many members.
pub(crate) fn check(text: &str) -> Result<(), Problem> {
    let found = RefCell::new(Found { violation: None, members: 0 });
    let mut reader = serde_json::Deserializer::from_str(text);
    let root = Place { parent: None, token: Token::Index(0), depth: 0 };
    let read = Value { place: &root, found: &found }.deserialize(&mut reader);
    match (read.and_then(|()| reader.end()), found.into_inner().violation) {
        (Ok(()), _) => Ok(()),
        (Err(_), Some((violation, pointer))) => Err(violation.problem().at(pointer)),
        (Err(error), None) => Err(syntax(text, &error)),
    }
}

/// The problem of a text that is not JSON.
fn syntax(text: &str, error: &serde_json::Error) -> Problem {
    let detail = if text.trim().is_empty() {
        "the body is empty; this request needs a JSON value".to_owned()
    } else if text.starts_with('\u{feff}') {
        "the body starts with a byte order mark; leave it out".to_owned()
    } else {
        format!("the body is not JSON: {error}")
    };
    Problem::new(ErrorCode::JsonSyntax, detail)
}

/// What was found, with its place; the text of the parser's own error is then not of interest.
struct Found {
    violation: Option<(Violation, String)>,
    members: usize,
}

#[derive(Clone, Copy)]
enum Violation {
    TooDeep,
    Nul,
    Duplicate,
    TooMany,
}

impl Violation {
    fn problem(self) -> Problem {
        match self {
            Self::TooDeep => Problem::new(
                ErrorCode::TooDeep,
                format!("the body is nested deeper than {DEPTH_MAX} levels"),
            ),
            Self::Nul => Problem::new(
                ErrorCode::NulCharacter,
                "a text of the body holds the character U+0000, which cannot be stored",
            ),
            Self::Duplicate => Problem::new(
                ErrorCode::DuplicateName,
                "an object of the body has two members of this name",
            ),
            Self::TooMany => Problem::new(
                ErrorCode::OutOfRange,
                format!("the body has more than {MEMBERS_MAX} members and entries"),
            ),
        }
    }
}

/// Where a value stands; written as a pointer only when something is wrong there.
struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    token: Token<'a>,
    depth: usize,
}

enum Token<'a> {
    Index(usize),
    Name(&'a str),
}

impl Place<'_> {
    fn pointer(&self) -> String {
        let Some(parent) = self.parent else { return String::new() };
        match self.token {
            Token::Index(index) => format!("{}/{index}", parent.pointer()),
            Token::Name(name) => {
                let shown: String = name.chars().take(64).filter(|c| *c != '\0').collect();
                format!("{}/{}", parent.pointer(), shown.replace('~', "~0").replace('/', "~1"))
            }
        }
    }
}

/// Reads one value and keeps nothing of it.
#[derive(Clone, Copy)]
struct Value<'a> {
    place: &'a Place<'a>,
    found: &'a RefCell<Found>,
}

impl Value<'_> {
    fn fail<E: de::Error>(self, violation: Violation) -> E {
        self.found.borrow_mut().violation = Some((violation, self.place.pointer()));
        E::custom("refused")
    }

    fn text<E: de::Error>(self, text: &str) -> Result<(), E> {
        if text.contains('\0') { Err(self.fail(Violation::Nul)) } else { Ok(()) }
    }

    /// Counts one more member, on the way down.
    fn enter<E: de::Error>(self) -> Result<(), E> {
        let members = {
            let mut found = self.found.borrow_mut();
            found.members += 1;
            found.members
        };
        if members > MEMBERS_MAX { Err(self.fail(Violation::TooMany)) } else { Ok(()) }
    }

    fn check_depth<E: de::Error>(self) -> Result<(), E> {
        if self.place.depth >= DEPTH_MAX { Err(self.fail(Violation::TooDeep)) } else { Ok(()) }
    }

    fn below<'b>(&'b self, token: Token<'b>) -> Place<'b> {
        Place { parent: Some(self.place), token, depth: self.place.depth + 1 }
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        self.text(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.check_depth()?;
        for index in 0.. {
            let place = self.below(Token::Index(index));
            let entry = Value { place: &place, found: self.found };
            if list.next_element_seed(entry)?.is_none() {
                break;
            }
            entry.enter()?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.check_depth()?;
        let mut names: BTreeSet<Cow<'de, str>> = BTreeSet::new();
        while let Some(name) = map.next_key_seed(Name)? {
            let place = self.below(Token::Name(&name));
            let member = Value { place: &place, found: self.found };
            member.enter()?;
            member.text(&name)?;
            if names.contains(&name) {
                return Err(member.fail(Violation::Duplicate));
            }
            map.next_value_seed(member)?;
            names.insert(name);
        }
        Ok(())
    }
}

/// Reads a name without copying it where that is possible.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Option<ErrorCode> {
        check(text).err().map(|problem| problem.code())
    }

    #[test]
    fn what_must_not_enter_is_named() {
        let many = format!("[{}1]", "1,".repeat(10_000));
        for (text, expected) in [
            ("", Some(ErrorCode::JsonSyntax)),
            ("{", Some(ErrorCode::JsonSyntax)),
            ("{} {}", Some(ErrorCode::JsonSyntax)),
            ("\u{feff}{}", Some(ErrorCode::JsonSyntax)),
            ("NaN", Some(ErrorCode::JsonSyntax)),
            (r#"{"a":1e400}"#, Some(ErrorCode::JsonSyntax)),
            (r#""\ud800""#, Some(ErrorCode::JsonSyntax)),
            ("\"a\0b\"", Some(ErrorCode::JsonSyntax)),
            (r#"{"a":"\u0000"}"#, Some(ErrorCode::NulCharacter)),
            (r#"{"a\u0000":1}"#, Some(ErrorCode::NulCharacter)),
            (r#"{"a":1,"b":{"c":1,"c":2}}"#, Some(ErrorCode::DuplicateName)),
            (r#"{"a":1,"\u0061":2}"#, Some(ErrorCode::DuplicateName)),
            (&many, Some(ErrorCode::OutOfRange)),
            (r#"{"a":[1,-0,9007199254740993,1.10000000000000000001],"b":{"a":null}}"#, None),
            (r#"{"a":"\\u0000"}"#, None),
        ] {
            assert_eq!(code(text), expected, "{text}");
        }
    }

    #[test]
    fn depth_is_counted_before_the_stack_is() {
        let nested = |depth| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(code(&nested(64)), None);
        assert_eq!(code(&nested(65)), Some(ErrorCode::TooDeep));
        assert_eq!(code(&"[".repeat(100_000)), Some(ErrorCode::TooDeep));
        assert_eq!(code(&r#"{"a":"#.repeat(65)), Some(ErrorCode::TooDeep));
    }
}
