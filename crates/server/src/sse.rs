//! Reading a stream of server-sent events (WHATWG HTML, section 9.2): only what the API sends.

/// Longest event that is kept, in bytes; a longer one is dropped whole.
const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// Cuts bytes, however they arrive, into the `data` of events.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    line: Vec<u8>,
    data: String,
}

impl Decoder {
    /// Takes the next bytes and answers the data of the events that are whole now.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut events = Vec::new();
        for byte in bytes {
            if *byte != b'\n' {
                if self.line.len() < EVENT_BYTES_MAX {
                    self.line.push(*byte);
                }
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches('\r');
            if line.is_empty() {
                if !self.data.is_empty() {
                    events.push(std::mem::take(&mut self.data));
                }
            } else if let Some(data) = line.strip_prefix("data:")
                && self.data.len() + data.len() < EVENT_BYTES_MAX
            {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(data.strip_prefix(' ').unwrap_or(data));
            }
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_whole_however_the_bytes_are_cut() {
        let stream = "retry: 1000\n\n: heartbeat\n\nevent: saga\r\nid: 7\r\ndata: {\"a\":1}\r\n\r\ndata:x\ndata: y\n\ndata: open";
        for size in 1..stream.len() {
            let mut decoder = Decoder::default();
            let events: Vec<String> =
                stream.as_bytes().chunks(size).flat_map(|chunk| decoder.feed(chunk)).collect();
            assert_eq!(events, ["{\"a\":1}", "x\ny"], "in pieces of {size}");
        }
    }
}
