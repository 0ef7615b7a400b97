//! A layer that lets only signed calls through.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt as _, Limited};
use tower::{Layer, Service};

use super::{Answer, Verifier};

/// Bytes of a call's body that are read, unless another bound is given: 1 MiB.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Answers 401 to every request whose signature does not fit, before a handler sees it.
///
/// It reads the whole body, up to a bound (413 beyond it), and passes it on.
#[derive(Clone, Debug)]
pub struct SignedLayer {
    verifier: Arc<Verifier>,
    body_bytes_max: usize,
}

impl SignedLayer {
    /// A layer that checks with this verifier.
    pub fn new(verifier: Verifier) -> Self {
        Self { verifier: Arc::new(verifier), body_bytes_max: BODY_BYTES_MAX }
    }

    /// Reads bodies up to so many bytes instead of 1 MiB.
    #[must_use]
    pub fn body_bytes_max(mut self, bytes: usize) -> Self {
        self.body_bytes_max = bytes;
        self
    }
}

impl<S> Layer<S> for SignedLayer {
    type Service = Signed<S>;

    fn layer(&self, inner: S) -> Signed<S> {
        Signed { inner, layer: self.clone() }
    }
}

/// A service behind a [`SignedLayer`].
#[derive(Clone, Debug)]
pub struct Signed<S> {
    inner: S,
    layer: SignedLayer,
}

impl<S> Service<Request> for Signed<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
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
        let mut inner = std::mem::replace(&mut self.inner, unready);
        let layer = self.layer.clone();
        Box::pin(async move {
            match layer.check(request).await {
                Ok(request) => inner.call(request).await,
                Err(answer) => Ok(answer.into_response()),
            }
        })
    }
}

impl SignedLayer {
    async fn check(&self, request: Request) -> Result<Request, Answer> {
        let (parts, body) = request.into_parts();
        let body = read(body, self.body_bytes_max).await?;
        self.verifier
            .verify(&parts.headers, &body, now())
            .map_err(|error| refused(StatusCode::UNAUTHORIZED, "bad-signature", &error))?;
        Ok(Request::from_parts(parts, Body::from(body)))
    }
}

async fn read(body: Body, bytes_max: usize) -> Result<Bytes, Answer> {
    let read = Limited::new(body, bytes_max).collect().await;
    read.map(http_body_util::Collected::to_bytes).map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            refused(StatusCode::PAYLOAD_TOO_LARGE, "body-too-long", &error)
        } else {
            // The caller went away in the middle: whoever hears this may ask again.
            refused(StatusCode::REQUEST_TIMEOUT, "body-broken-off", &error)
        }
    })
}

fn refused(status: StatusCode, code: &str, error: &dyn std::fmt::Display) -> Answer {
    Answer::refused(status, code, &error.to_string())
}

#[expect(clippy::disallowed_methods, reason = "a signature is checked against the clock here")]
fn now() -> SystemTime {
    SystemTime::now()
}
