//! An open stream of server-sent events.

use std::collections::VecDeque;
use std::time::Duration;

use reqwest::Response;
use tokio::time::{Instant, timeout_at};

use super::sse::{Decoder, Event};

/// Longest silence that is no broken connection: servers send a comment every 15 s.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// Events as they come. Cancel-safe.
#[derive(Debug)]
pub(crate) struct EventStream {
    response: Response,
    decoder: Decoder,
    ready: VecDeque<Event>,
    heard_at: Instant,
}

impl EventStream {
    pub(crate) fn new(response: Response) -> Self {
        let (decoder, ready) = (Decoder::default(), VecDeque::new());
        Self { response, decoder, ready, heard_at: Instant::now() }
    }

    /// The next event; none when the stream has ended, broken or fallen silent, which are the same to a reader
    /// that comes back.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let chunk = timeout_at(self.heard_at + SILENCE_MAX, self.response.chunk()).await;
            let bytes = chunk.ok()?.ok()??;
            self.heard_at = Instant::now();
            self.ready.extend(self.decoder.feed(&bytes));
        }
    }
}
