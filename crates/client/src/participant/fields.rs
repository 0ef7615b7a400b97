//! Values of headers as RFC 9651 (structured fields) writes them: lists of integers and strings.
//!
//! Only what the coordinator sends is read: no parameters, no inner lists.

use percent_encoding::percent_decode_str;

/// Digits that a structured-field integer has at most.
const INTEGER_DIGITS_MAX: usize = 15;

/// `42` or `42, 7`; none if it is anything else.
pub(super) fn integers(text: &str) -> Option<Vec<i64>> {
    text.split(',').map(|item| integer(item.trim_matches([' ', '\t']))).collect()
}

/// `"sku:42", "user:1"`, whose items may hold percent-encoded bytes; none if it is anything else.
pub(super) fn strings(text: &str) -> Option<Vec<String>> {
    let mut found = Vec::new();
    let mut rest = text.trim_matches(' ');
    loop {
        let (item, after) = string(rest)?;
        found.push(percent_decode_str(&item).decode_utf8().ok()?.into_owned());
        let after = after.trim_start_matches([' ', '\t']);
        if after.is_empty() {
            return Some(found);
        }
        rest = after.strip_prefix(',')?.trim_start_matches([' ', '\t']);
    }
}

fn integer(item: &str) -> Option<i64> {
    let is_plain = item.len() <= INTEGER_DIGITS_MAX && item.bytes().all(|b| b.is_ascii_digit());
    item.parse().ok().filter(|_| is_plain)
}

/// The string that `text` begins with, unescaped, and what comes after it.
pub(super) fn string(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix('"')?;
    let mut value = String::new();
    let mut characters = inner.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &inner[at + 1..])),
            '\\' => {
                let (_, escaped) = characters.next()?;
                value.push(Some(escaped).filter(|c| matches!(c, '"' | '\\'))?);
            }
            ' '..='~' => value.push(character),
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_integers() {
        assert_eq!(integers("42"), Some(vec![42]));
        assert_eq!(integers("42, 7"), Some(vec![42, 7]));
        assert_eq!(integers("42 ,\t7"), Some(vec![42, 7]));
        for bad in ["", "42,", "-1", "+1", "4.2", "x", "1234567890123456", "42 7"] {
            assert_eq!(integers(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn lists_of_strings() {
        let of = |text| strings(text).map(|found| found.join("|"));
        assert_eq!(of(r#""sku:42""#).as_deref(), Some("sku:42"));
        assert_eq!(of(r#""a,b", "user:1""#).as_deref(), Some("a,b|user:1"));
        assert_eq!(of(r#""sku%3A%C3%A4%20%25%22""#).as_deref(), Some("sku:ä %\""));
        assert_eq!(of(r#""a\"b\\c""#).as_deref(), Some("a\"b\\c"));
        for bad in ["", "sku", "\"sku", "\"a\" \"b\"", "\"a\",", "\"%ff\"", "\"a\\b\"", "\"ä\""] {
            assert_eq!(of(bad), None, "{bad:?}");
        }
    }
}
