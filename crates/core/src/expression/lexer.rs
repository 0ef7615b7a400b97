//! The tokens of an expression, as far as finding names needs them.
//!
//! minijinja keeps its own lexer private. This one is coarser: whatever minijinja accepts is cut
//! into the same names, strings and signs.

/// One token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A name or keyword.
    Name(&'a str),
    /// A string's text between its quotes, escapes and all.
    Text(&'a str),
    /// A number.
    Number(&'a str),
    /// Any other character.
    Sign(char),
}

/// Cuts `text` into tokens; an unclosed string ends with the text.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, len) = if first == '"' || first == '\'' {
            let inner = string_len(&rest[1..], first);
            (Token::Text(&rest[1..=inner]), (inner + 2).min(rest.len()))
        } else if first.is_ascii_alphabetic() || first == '_' {
            let len = len_while(rest, |c| c.is_ascii_alphanumeric() || c == '_');
            (Token::Name(&rest[..len]), len)
        } else if first.is_ascii_digit() {
            let len = len_while(rest, |c| c.is_ascii_alphanumeric() || c == '_');
            (Token::Number(&rest[..len]), len)
        } else {
            (Token::Sign(first), first.len_utf8())
        };
        tokens.push(token);
        rest = rest[len..].trim_start();
    }
    tokens
}

/// Bytes up to the closing `quote`, or all.
pub(super) fn string_len(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (index, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return index,
            _ => {}
        }
    }
    text.len()
}

fn len_while(text: &str, holds: fn(char) -> bool) -> usize {
    text.find(|c| !holds(c)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_hide_what_they_hold() {
        let found = tokens(r#"a.b ~ "x\" input" [0]"#);
        let expected = [
            Token::Name("a"),
            Token::Sign('.'),
            Token::Name("b"),
            Token::Sign('~'),
            Token::Text(r#"x\" input"#),
            Token::Sign('['),
            Token::Number("0"),
            Token::Sign(']'),
        ];
        assert_eq!(found, expected);
        assert_eq!(tokens("'"), [Token::Text("")]);
        assert_eq!(tokens("'ä"), [Token::Text("ä")]);
    }
}
