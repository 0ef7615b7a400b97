//! Payloads as text: indented without changing a digit, and cut to a bound.
//!
//! They are never parsed into anything here and never become markup: templates escape them.

use amends_core::Json;

/// A payload to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Payload {
    /// The text, indented.
    pub(crate) text: String,
    /// Bytes of the whole payload, if the text is only its beginning.
    pub(crate) cut_from: Option<usize>,
}

impl Payload {
    /// `json`, at most about `bytes_max` bytes of it.
    pub(crate) fn new(json: &Json, bytes_max: usize) -> Self {
        Self::from_text(json.as_str(), bytes_max)
    }

    /// The same for JSON text.
    pub(crate) fn from_text(raw: &str, bytes_max: usize) -> Self {
        let kept = &raw[..raw.floor_char_boundary(bytes_max)];
        let cut_from = (kept.len() < raw.len()).then_some(raw.len());
        Self { text: indented(kept), cut_from }
    }
}

/// Puts each member and element on a line of its own. Deeper than 40 levels nothing is indented
/// further, so that the text grows by a bounded factor.
fn indented(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let mut characters = raw.chars().peekable();
    while let Some(c) = characters.next() {
        if in_string {
            text.push(c);
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '"' => {
                in_string = true;
                text.push(c);
            }
            '{' | '[' => {
                text.push(c);
                while characters.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(close) = characters.next_if(|next| matches!(next, '}' | ']')) {
                    text.push(close);
                } else {
                    depth += 1;
                    new_line(&mut text, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut text, depth);
                text.push(c);
            }
            ',' => {
                text.push(c);
                new_line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            white if white.is_ascii_whitespace() => {}
            other => text.push(other),
        }
    }
    text
}

fn new_line(text: &mut String, depth: usize) {
    text.push('\n');
    text.extend(std::iter::repeat_n("  ", depth.min(40)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_and_strings_survive() {
        let raw =
            r#"{"n":1.10000000000000000000001,"s":"a,{\"b\": \\","e":[],"o":{ },"l":[1,[2]]}"#;
        let payload = Payload::from_text(raw, 1_000);
        assert_eq!(
            payload.text,
            "{\n  \"n\": 1.10000000000000000000001,\n  \"s\": \"a,{\\\"b\\\": \\\\\",\n  \"e\": [],\n  \
             \"o\": {},\n  \"l\": [\n    1,\n    [\n      2\n    ]\n  ]\n}"
        );
        assert_eq!(payload.cut_from, None);
    }

    #[test]
    fn long_payloads_are_cut_between_characters() {
        let payload = Payload::from_text("\"äää\"", 2);
        assert_eq!(payload, Payload { text: "\"".to_owned(), cut_from: Some(8) });
    }

    #[test]
    fn depth_does_not_blow_the_text_up() {
        let raw = "[".repeat(5_000);
        assert!(Payload::from_text(&raw, 5_000).text.len() < 5_000 * 100);
    }
}
