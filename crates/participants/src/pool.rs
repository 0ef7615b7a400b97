//! Warm connections to one endpoint: a stack of idle HTTP/1.1 connections, or one HTTP/2
//! connection that all calls share.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::dial::HEADER_BYTES_MAX;
use crate::head_limit::HeadBudget;

/// Most bytes that are read before the head of an answer is there: the head itself and interim
/// answers, and what was read of the body with them.
const BYTES_BEFORE_HEAD_MAX: usize = 2 * HEADER_BYTES_MAX;

/// What every request carries: the whole body, or none.
pub(crate) type Body = Full<Bytes>;

/// One HTTP/1.1 connection, driven by whoever uses it and not by a task of its own: a call then needs
/// no word between tasks, each of which may mean waking another thread.
pub(crate) struct Http1 {
    sender: http1::SendRequest<Body>,
    /// None once it has ended.
    connection: Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>,
    budget: HeadBudget,
}

impl Http1 {
    pub(crate) fn new(
        sender: http1::SendRequest<Body>,
        connection: impl Future<Output = hyper::Result<()>> + Send + 'static,
        budget: HeadBudget,
    ) -> Self {
        Self { sender, connection: Some(Box::pin(connection)), budget }
    }

    /// Lets the connection do what it can. How it ends, the call on it learns by itself.
    fn poll(&mut self, context: &mut Context<'_>) {
        let ended = self.connection.as_mut().map(|own| own.as_mut().poll(context).is_ready());
        if ended == Some(true) {
            self.connection = None;
        }
    }

    /// Whether it can take a request now.
    fn is_ready(&mut self) -> bool {
        self.poll(&mut Context::from_waker(Waker::noop()));
        self.connection.is_some() && self.sender.is_ready()
    }

    /// Drives the connection until `work` on it is done, which moves on only when the connection
    /// does: so nobody has to be woken for it.
    async fn drive<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|context| {
            let mut quiet = Context::from_waker(Waker::noop());
            // Twice, since what the work asks for may be there already.
            for _ in 0..2 {
                self.poll(context);
                if let Poll::Ready(done) = work.as_mut().poll(&mut quiet) {
                    return Poll::Ready(done);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// The right to send on one connection. Dropping it while a call is in flight closes the
/// connection (HTTP/2: the stream).
pub(crate) enum Sender {
    Http1(Http1),
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
            Self::Http1(own) => {
                own.budget.set(BYTES_BEFORE_HEAD_MAX);
                let answer = own.sender.try_send_request(request);
                let answer = own.drive(answer).await;
                own.budget.lift();
                answer
            }
            Self::Http2(sender) => sender.try_send_request(request).await,
        }
    }

    /// Waits for `work` that reads from this connection.
    pub(crate) async fn drive<T>(&mut self, work: impl Future<Output = T>) -> T {
        match self {
            Self::Http1(own) => own.drive(work).await,
            Self::Http2(_) => work.await,
        }
    }
}

struct Idle {
    own: Http1,
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
        loop {
            let Idle { mut own, since } = self.idle.lock().pop_back()?;
            let is_old = now.saturating_duration_since(since) > self.idle_timeout;
            if !is_old && own.is_ready() {
                return Some(Sender::Http1(own));
            }
        }
    }

    /// Closes idle connections that are old, or that the other side has closed.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        let is_old = |idle: &Idle| now.saturating_duration_since(idle.since) > self.idle_timeout;
        self.idle.lock().retain_mut(|idle| !is_old(idle) && idle.own.is_ready());
    }

    /// Takes back a connection whose answer was read to its end.
    pub(crate) fn put(&self, sender: Sender) {
        match sender {
            Sender::Http2(sender) => self.share(sender),
            Sender::Http1(own) => {
                let mut idle = self.idle.lock();
                idle.push_back(Idle { own, since: Instant::now() });
                if idle.len() > self.idle_max {
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
