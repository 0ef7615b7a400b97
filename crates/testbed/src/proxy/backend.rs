//! What a PostgreSQL server says, read far enough to see its answers end.

use super::frontend::{Foreign, message_bytes};

/// Reads what one server says.
#[derive(Debug, Default)]
pub(super) struct Backend {
    /// Type, length and first byte of the present message, as far as they are here.
    head: Vec<u8>,
    skip: usize,
    answers: u64,
}

/// The end of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ready {
    /// Its number, from 1.
    pub(super) answer: u64,
    /// Whether no transaction is open.
    pub(super) is_idle: bool,
}

impl Backend {
    /// Takes further bytes and answers the newest end of an answer in them.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Result<Option<Ready>, Foreign> {
        let mut ready = None;
        while !bytes.is_empty() {
            if self.skip > 0 {
                let passing = bytes.split_off(..self.skip.min(bytes.len())).ok_or(Foreign)?;
                self.skip -= passing.len();
                continue;
            }
            self.head.extend(bytes.split_off_first());
            if self.head.len() < 5 {
                continue;
            }
            let body = message_bytes(&self.head)? - 5;
            let is_ready = self.head.first() == Some(&b'Z');
            if is_ready && self.head.len() < 6 {
                continue;
            }
            if is_ready {
                self.answers += 1;
                let is_idle = self.head.get(5) == Some(&b'I');
                ready = Some(Ready { answer: self.answers, is_idle });
            }
            self.skip = if is_ready { 0 } else { body };
            self.head.clear();
        }
        Ok(ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_however_they_are_split() {
        let said = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05IT\0\0\0\x06ZZC\0\0\0\x04Z\0\0\0\x05T";
        for chunk in [1, 2, 5, 64] {
            let mut backend = Backend::default();
            let chunks = said.chunks(chunk);
            let ready: Vec<Ready> = chunks.filter_map(|part| backend.feed(part).unwrap()).collect();
            assert_eq!(ready.last(), Some(&Ready { answer: 2, is_idle: false }), "by {chunk}");
        }
        assert!(Backend::default().feed(b"H\0\0\0\0").is_err());
    }
}
