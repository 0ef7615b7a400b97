//! Warm connections to one endpoint: a stack of idle HTTP/1.1 connections, or one HTTP/2
//! connection that all calls share.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use parking_lot::Mutex;
use tokio::time::Instant;

/// What every request carries: the whole body, or none.
pub(crate) type Body = Full<Bytes>;

/// The right to send on one connection. Dropping it while a call is in flight closes the
/// connection (HTTP/2: the stream).
pub(crate) enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

impl Sender {
    pub(crate) const fn is_http2(&self) -> bool {
        matches!(self, Self::Http2(_))
    }

    /// Sends `request`; an error that holds the request means that none of it was written.
    pub(crate) async fn send(
        &mut self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Body>>> {
        match self {
            Self::Http1(sender) => sender.try_send_request(request).await,
            Self::Http2(sender) => sender.try_send_request(request).await,
        }
    }
}

struct Idle {
    sender: http1::SendRequest<Body>,
    since: Instant,
}

/// The idle connections of one endpoint.
pub(crate) struct Pool {
    idle_timeout: Duration,
    idle_max: usize,
    idle: Mutex<VecDeque<Idle>>,
    shared: Mutex<Option<http2::SendRequest<Body>>>,
    /// Held while the one HTTP/2 connection is made, so that a cold start makes just one.
    pub(crate) connecting: tokio::sync::Mutex<()>,
}

impl Pool {
    pub(crate) fn new(idle_timeout: Duration, idle_max: usize) -> Self {
        Self {
            idle_timeout,
            idle_max,
            idle: Mutex::new(VecDeque::new()),
            shared: Mutex::new(None),
            connecting: tokio::sync::Mutex::new(()),
        }
    }

    /// A connection that can take a request now, the one used last first.
    pub(crate) fn take(&self) -> Option<Sender> {
        {
            let mut shared = self.shared.lock();
            match shared.as_ref() {
                Some(sender) if !sender.is_closed() => return Some(Sender::Http2(sender.clone())),
                Some(_) => *shared = None,
                None => {}
            }
        }
        let now = Instant::now();
        let mut idle = self.idle.lock();
        let mut at = idle.len();
        while at > 0 {
            at -= 1;
            let (closed, ready) = {
                let own = &idle[at];
                let old = now.saturating_duration_since(own.since) > self.idle_timeout;
                (old || own.sender.is_closed(), own.sender.is_ready())
            };
            // One that is neither has just answered: its task will say in a moment that it may
            // be used again.
            if (closed || ready)
                && let Some(own) = idle.remove(at)
                && !closed
            {
                return Some(Sender::Http1(own.sender));
            }
        }
        None
    }

    /// Takes back a connection whose answer was read to its end.
    pub(crate) fn put(&self, sender: Sender) {
        match sender {
            Sender::Http2(sender) => self.share(sender),
            Sender::Http1(sender) => {
                if sender.is_closed() {
                    return;
                }
                let now = Instant::now();
                let mut idle = self.idle.lock();
                idle.push_back(Idle { sender, since: now });
                let too_old =
                    |own: &Idle| now.saturating_duration_since(own.since) > self.idle_timeout;
                while idle.len() > self.idle_max || idle.front().is_some_and(too_old) {
                    idle.pop_front();
                }
            }
        }
    }

    fn share(&self, sender: http2::SendRequest<Body>) {
        let mut shared = self.shared.lock();
        if shared.as_ref().is_none_or(http2::SendRequest::is_closed) {
            *shared = Some(sender);
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("idle", &self.idle.lock().len()).finish_non_exhaustive()
    }
}
