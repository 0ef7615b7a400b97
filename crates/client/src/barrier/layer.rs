//! The two-call form as a layer, for handlers that know nothing of it.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use http::header;
use http_body_util::{BodyExt as _, Limited};
use tower::{Layer, Service};

use super::two_call::{ANSWER_BYTES_MAX, HOLD};
use super::{Begun, Error, Ledger, TwoCall};
use crate::participant::{Answer, Call};

/// Guards every handler below it in the two-call form.
///
/// A handler finds [`Started`](super::Started) among the request's extensions, and asks it whether
/// an earlier attempt was begun. Only status, content type and body of a response are kept.
#[derive(Clone, Debug)]
pub struct TwoCallLayer<L: Ledger> {
    ledger: L,
    hold: Duration,
    answer_bytes_max: usize,
}

impl<L: Ledger> TwoCallLayer<L> {
    /// A layer that keeps its records in this ledger.
    pub fn new(ledger: L) -> Self {
        Self { ledger, hold: HOLD, answer_bytes_max: ANSWER_BYTES_MAX }
    }

    /// As [`TwoCall::hold`].
    #[must_use]
    pub fn hold(mut self, hold: Duration) -> Self {
        self.hold = hold;
        self
    }

    /// As [`TwoCall::answer_bytes_max`].
    #[must_use]
    pub fn answer_bytes_max(mut self, bytes: usize) -> Self {
        self.answer_bytes_max = bytes;
        self
    }
}

impl<S, L: Ledger> Layer<S> for TwoCallLayer<L> {
    type Service = Guarded<S, L>;

    fn layer(&self, inner: S) -> Guarded<S, L> {
        Guarded { inner, layer: self.clone() }
    }
}

/// A service behind a [`TwoCallLayer`].
#[derive(Clone, Debug)]
pub struct Guarded<S, L: Ledger> {
    inner: S,
    layer: TwoCallLayer<L>,
}

impl<S, L> Service<Request> for Guarded<S, L>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    L: Ledger,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // The clone is not ready yet; the service that was asked is.
        let unready = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, unready);
        let layer = self.layer.clone();
        Box::pin(async move {
            let answered = layer.guard(inner, request).await;
            Ok(answered.unwrap_or_else(Error::into_response))
        })
    }
}

impl<L: Ledger> TwoCallLayer<L> {
    async fn guard<S>(self, mut inner: S, mut request: Request) -> Result<Response, Error>
    where
        S: Service<Request, Response = Response, Error = Infallible>,
    {
        let call = match Call::from_headers(request.headers()) {
            Ok(call) => call,
            Err(error) => return Ok(error.into_response()),
        };
        let barrier =
            TwoCall::new(self.ledger, call).hold(self.hold).answer_bytes_max(self.answer_bytes_max);
        let started = match barrier.begin().await? {
            Begun::Run(started) => started,
            Begun::Settled(answer) => return Ok(answer.into_response()),
        };
        request.extensions_mut().insert(started.clone());
        let response = match inner.call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let (parts, body) = response.into_parts();
        let body = match Limited::new(body, self.answer_bytes_max).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => {
                barrier.release(&started).await;
                return Err(Error::Work(error));
            }
        };
        let content_type = parts.headers.get(header::CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let answer = Answer { status: parts.status, content_type, body };
        let answer = barrier.settle(&started, answer).await?;
        Ok(Response::from_parts(parts, Body::from(answer.body)))
    }
}
