//! Reading a stream of server-sent events (WHATWG HTML, section 9.2): only what the API sends.

/// Longest event that is kept, in bytes; what goes beyond is dropped.
const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// `event:`; empty without one.
    pub(crate) name: String,
    /// `data:`, its lines joined.
    pub(crate) data: String,
}

/// Cuts bytes, however they arrive, into events.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    line: Vec<u8>,
    event: Event,
}

impl Decoder {
    /// Takes the next bytes and answers the events that are whole now.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        for byte in bytes {
            if *byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                events.extend(self.take(&String::from_utf8_lossy(&line)));
            } else if self.line.len() < EVENT_BYTES_MAX {
                self.line.push(*byte);
            }
        }
        events
    }

    fn take(&mut self, line: &str) -> Option<Event> {
        let line = line.trim_end_matches('\r');
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return (!event.data.is_empty()).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "data" if self.event.data.len() + value.len() < EVENT_BYTES_MAX => {
                if !self.event.data.is_empty() {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            // Comments, and fields of which the API makes no use: `id` stands in the data too.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_whole_however_the_bytes_are_cut() {
        let stream = "retry: 1000\n\n: heartbeat\n\nevent: saga\r\nid: 7\r\ndata: {\"a\":1}\r\n\r\n\
                      data:x\ndata: y\n\ndata: open";
        let event = |name: &str, data: &str| Event { name: name.into(), data: data.into() };
        for size in 1..stream.len() {
            let mut decoder = Decoder::default();
            let events: Vec<Event> =
                stream.as_bytes().chunks(size).flat_map(|chunk| decoder.feed(chunk)).collect();
            assert_eq!(events, [event("saga", "{\"a\":1}"), event("", "x\ny")], "by {size}");
        }
    }
}
