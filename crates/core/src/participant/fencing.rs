//! Fencing tokens in headers: the same for calls of ours and for those that a client makes itself.

use std::fmt::Write as _;

use crate::LockKey;
use crate::saga::Token;

/// The value of `Saga-Fencing-Token`: a list of integers (RFC 8941) in the order of the keys; of
/// one key it is a plain integer, which is the same list of one.
pub fn fencing_token_header(tokens: &[(LockKey, Token)]) -> String {
    list(tokens, |text, (_, token)| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{}", token.0);
    })
}

/// The value of `Saga-Lock-Keys`: a list of strings (RFC 8941) in the same order. Bytes that are
/// not visible ASCII, and `"`, `%` and `\`, are percent-encoded.
pub fn lock_keys_header(tokens: &[(LockKey, Token)]) -> String {
    list(tokens, |text, (key, _)| {
        text.push('"');
        for byte in key.as_str().bytes() {
            if byte.is_ascii_graphic() && !matches!(byte, b'"' | b'%' | b'\\') {
                text.push(char::from(byte));
            } else {
                let _ = write!(text, "%{byte:02X}");
            }
        }
        text.push('"');
    })
}

fn list(tokens: &[(LockKey, Token)], put: impl Fn(&mut String, &(LockKey, Token))) -> String {
    let mut text = String::new();
    for (index, token) in tokens.iter().enumerate() {
        text.push_str(if index == 0 { "" } else { ", " });
        put(&mut text, token);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_tokens_stand_in_one_order_and_nothing_breaks_out_of_its_quotes() {
        let pair = |key: &str, token| (LockKey::new(key).unwrap(), Token(token));
        let one = [pair("sku:42", 42)];
        assert_eq!(fencing_token_header(&one), "42");
        assert_eq!(lock_keys_header(&one), r#""sku:42""#);
        let three = [pair("sku:42", 42), pair("user:1", 7), pair("a \"b\"\\5%ä", 1)];
        assert_eq!(fencing_token_header(&three), "42, 7, 1");
        assert_eq!(lock_keys_header(&three), r#""sku:42", "user:1", "a%20%22b%22%5C5%25%C3%A4""#);
        assert_eq!(fencing_token_header(&[]), "");
    }
}
