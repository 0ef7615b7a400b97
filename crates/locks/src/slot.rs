//! Which of a Redis Cluster's hash slots a key belongs to (Redis Cluster specification, *Key
//! distribution model* and *Hash tags*).

/// Number of slots of every cluster.
pub(crate) const SLOTS: u16 = 16_384;

/// The slot of `key`: of the part between its first braces, if there is one.
pub(crate) fn of(key: &str) -> u16 {
    let tag = key
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'))
        .map(|(tag, _)| tag)
        .filter(|tag| !tag.is_empty());
    crc16(tag.unwrap_or(key).as_bytes()) % SLOTS
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(of("foo"), 12_182);
        assert_eq!(of("{user1000}.following"), of("user1000"));
        assert_eq!(of("foo{}{bar}"), crc16(b"foo{}{bar}") % SLOTS);
        assert_eq!(of("foo{{bar}}zap"), crc16(b"{bar") % SLOTS);
        assert_eq!(of("foo{bar}{zap}"), of("bar"));
    }
}
