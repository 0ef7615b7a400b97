//! One endpoint as it is called: its URL taken apart once, its connections, its breaker.

use std::time::Duration;

use amends_core::participant::{Breaker as BreakerSetting, Endpoint};
use amends_core::saga::AttemptFailure;
use amends_ports::failpoint;
use http::header::HOST;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Response, Uri};
use hyper::body::Incoming;

use crate::breaker::Breaker;
use crate::config::Config;
use crate::dial::Dialer;
use crate::failure::Failure;
use crate::head_limit::HeadTooLong;
use crate::pool::{Body, Pool, Sender};
use crate::progress::Progress;

/// Idle connections that may turn out to be closed before a fresh one is made.
const STALE_MAX: usize = 3;

/// A request without a target: the endpoint is chosen when it is sent.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) path: PathAndQuery,
    /// Whether the path stands below the endpoint's own path, or already holds it.
    pub(crate) below_base: bool,
    pub(crate) request: Request<Body>,
}

/// The head of an answer, and the connection that its body comes by.
pub(crate) struct Exchange {
    pub(crate) response: Response<Incoming>,
    pub(crate) sender: Sender,
}

/// Nothing came back; if none of the request was written, it is back in its place.
pub(crate) struct Undone {
    pub(crate) failure: Failure,
    pub(crate) is_unwritten: bool,
}

#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) endpoint: Endpoint,
    pub(crate) breaker: Breaker,
    pub(crate) pool: Pool,
    http2: bool,
    scheme: Scheme,
    authority: Authority,
    host: HeaderValue,
}

impl Origin {
    /// `None` if the URL's parts are not acceptable to HTTP, which its check at registration
    /// rules out.
    pub(crate) fn new(
        endpoint: Endpoint,
        http2: bool,
        breaker: Option<BreakerSetting>,
        config: &Config,
    ) -> Option<Self> {
        let text = endpoint.authority();
        Some(Self {
            scheme: if endpoint.is_https() { Scheme::HTTPS } else { Scheme::HTTP },
            authority: text.parse().ok()?,
            host: HeaderValue::try_from(text).ok()?,
            breaker: Breaker::new(breaker),
            pool: Pool::new(config.idle_timeout, config.idle_max),
            http2,
            endpoint,
        })
    }

    /// Sends `outgoing` and waits for the head of the answer.
    ///
    /// Cancel-safe in the sense of the contract: dropping the future closes its connection.
    pub(crate) async fn send(
        &self,
        outgoing: &mut Outgoing,
        dialer: &Dialer,
        limit: Duration,
        progress: &Progress,
    ) -> Result<Exchange, Undone> {
        let mut stale = 0;
        loop {
            let warm = if stale < STALE_MAX { self.pool.take() } else { None };
            let fresh = warm.is_none();
            let mut sender = match warm {
                Some(sender) => sender,
                // Seldom, and large: a call in flight must not keep room for it.
                None => match Box::pin(self.connect(dialer, limit)).await {
                    Ok(sender) => sender,
                    Err(failure) => return Err(Undone { failure, is_unwritten: true }),
                },
            };
            if let Err(failure) = self.aim(outgoing, sender.is_http2()) {
                return Err(Undone { failure, is_unwritten: false });
            }
            progress.sent();
            failpoint!("call.before-send");
            let request = std::mem::take(&mut outgoing.request);
            let mut error = match sender.send(request).await {
                Ok(response) => return Ok(Exchange { response, sender }),
                Err(error) => error,
            };
            let Some(request) = error.take_message() else {
                let failure = self.broken(&error.into_error());
                return Err(Undone { failure, is_unwritten: false });
            };
            progress.unsent();
            outgoing.request = request;
            if fresh {
                let detail = format!("{} closed the connection before a request", self.endpoint);
                let failure = Failure::unsent(AttemptFailure::Connect, detail);
                return Err(Undone { failure, is_unwritten: true });
            }
            stale += 1;
        }
    }

    /// A fresh connection, or the shared one that somebody else has just made.
    pub(crate) async fn connect(
        &self,
        dialer: &Dialer,
        limit: Duration,
    ) -> Result<Sender, Failure> {
        if !self.http2 {
            return dialer.dial(&self.endpoint, false, limit).await;
        }
        let _only_one = self.pool.connecting.lock().await;
        if let Some(sender) = self.pool.take() {
            return Ok(sender);
        }
        let sender = dialer.dial(&self.endpoint, true, limit).await?;
        if let Sender::Http2(shared) = &sender {
            self.pool.put(Sender::Http2(shared.clone()));
        }
        Ok(sender)
    }

    /// Puts this endpoint's address on the request.
    fn aim(&self, outgoing: &mut Outgoing, http2: bool) -> Result<(), Failure> {
        let base = self.endpoint.base_path();
        let path = if base.is_empty() || !outgoing.below_base {
            outgoing.path.clone()
        } else {
            PathAndQuery::try_from(format!("{base}{}", outgoing.path)).map_err(|error| {
                Failure::unsent(AttemptFailure::Expression, format!("the path is no path: {error}"))
            })?
        };
        *outgoing.request.uri_mut() = if http2 {
            outgoing.request.headers_mut().remove(HOST);
            let (scheme, authority) = (self.scheme.clone(), self.authority.clone());
            let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(path);
            uri.build().map_err(|error| {
                Failure::unsent(AttemptFailure::Expression, format!("the URL is no URL: {error}"))
            })?
        } else {
            outgoing.request.headers_mut().insert(HOST, self.host.clone());
            Uri::from(path)
        };
        Ok(())
    }

    fn broken(&self, error: &hyper::Error) -> Failure {
        let endpoint = &self.endpoint;
        if error.is_parse() {
            let detail = format!("{endpoint} answered something that is not HTTP: {error}");
            return Failure::sent(AttemptFailure::BadAnswer, detail);
        }
        if HeadTooLong::caused(error) {
            let detail = format!("{endpoint} answered without an end: {HeadTooLong}");
            return Failure::sent(AttemptFailure::BadAnswer, detail);
        }
        let detail = format!(
            "the connection to {endpoint} broke after the request was sent, before an answer: \
             {error}"
        );
        Failure::sent(AttemptFailure::Reset, detail)
    }
}
