//! Sending a request until it has a final answer.
//!
//! An attempt has one of three outcomes: an answer that is final; a failure that certainly had no
//! effect; a failure that may have had one. The last is repeated only where that is safe.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use reqwest::{RequestBuilder, Response};
use tokio::time::Instant;
use url::Url;

use super::client::Client;
use super::error::{Error, Problem, Result};
use super::outgoing::{ACTOR, Answer, Outgoing, Safety, Target};

/// Longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most bytes of a strange answer that an error quotes.
const QUOTE_BYTES_MAX: usize = 200;

/// How an attempt failed.
struct Failure {
    error: Error,
    /// Whether it may have taken effect.
    maybe_done: bool,
    /// Whether a later attempt may fare better.
    is_transient: bool,
    /// Whether no connection came about: another server may be there.
    is_away: bool,
    retry_after: Option<Duration>,
}

impl Client {
    /// Sends the request, again where that is safe and may help.
    pub(crate) async fn send(&self, outgoing: Outgoing) -> Result<Answer> {
        let (mut attempts, mut away, start) = (0_u32, 0_usize, Instant::now());
        let mut maybe_done = false;
        loop {
            let index = self.0.preferred.load(Ordering::Relaxed);
            attempts += 1;
            let failure = match self.attempt(&outgoing, index).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let repeats = failure.is_transient
                && (outgoing.safety == Safety::Repeatable || !failure.maybe_done);
            let pause = repeats
                .then(|| self.0.retry.pause(attempts, start.elapsed(), failure.retry_after))
                .flatten();
            let Some(pause) = pause else {
                return Err(told(failure.error, attempts, maybe_done));
            };
            maybe_done |= failure.maybe_done;
            self.move_on(index);
            away = if failure.is_away { away + 1 } else { 0 };
            // A server that is away is no reason to let the next one wait.
            if away == 0 || away.is_multiple_of(self.0.bases.len()) {
                tokio::time::sleep(pause).await;
            }
        }
    }

    /// Sends the request once and answers before the body is read: for streams. `None` is 204.
    pub(crate) async fn open(&self, outgoing: Outgoing) -> Result<Option<Response>> {
        let index = self.0.preferred.load(Ordering::Relaxed);
        let builder = self.request(&outgoing, index)?;
        let builder = builder.header(ACCEPT, HeaderValue::from_static("text/event-stream"));
        let url = self.shown(&outgoing, index);
        let sent = tokio::time::timeout(self.0.answer_timeout, builder.send()).await;
        let opened = match sent {
            Ok(Ok(response)) if response.status() == StatusCode::NO_CONTENT => return Ok(None),
            Ok(Ok(response)) if response.status().is_success() => return Ok(Some(response)),
            Ok(Ok(response)) => refused(response, &url).await,
            Ok(Err(error)) => unheard(error, &url),
            Err(elapsed) => no_answer(Box::new(elapsed), &url, true),
        };
        if opened.is_transient {
            self.move_on(index);
        }
        Err(told(opened.error, 1, false))
    }

    /// Sends the request once; the answer whatever its status is.
    pub(crate) async fn ask_once(&self, outgoing: &Outgoing) -> Result<Answer> {
        let index = self.0.preferred.load(Ordering::Relaxed);
        let url = self.shown(outgoing, index);
        let builder = self.request(outgoing, index)?.timeout(self.0.answer_timeout);
        let heard = async {
            let response = builder.send().await.map_err(|error| unheard(error, &url))?;
            Ok::<_, Failure>((response.status(), read(response, &url).await?))
        };
        let (status, body) = heard.await.map_err(|failure| failure.error)?;
        Ok(Answer { status, body, url })
    }

    async fn attempt(
        &self,
        outgoing: &Outgoing,
        index: usize,
    ) -> std::result::Result<Answer, Failure> {
        let url = self.shown(outgoing, index);
        let timeout = self.0.answer_timeout.saturating_add(outgoing.wait);
        let builder = self.request(outgoing, index).map_err(Failure::of_caller)?.timeout(timeout);
        let response = builder.send().await.map_err(|error| unheard(error, &url))?;
        if !response.status().is_success() {
            return Err(refused(response, &url).await);
        }
        let status = response.status();
        let body = read(response, &url).await?;
        Ok(Answer { status, body, url })
    }

    fn request(&self, outgoing: &Outgoing, index: usize) -> Result<RequestBuilder> {
        if let Some(fault) = &outgoing.fault {
            return Err(Error::Invalid(fault.clone()));
        }
        let mut url = self.url(&outgoing.target, index)?;
        if !outgoing.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&outgoing.query);
        }
        // A URL that somebody handed out is given no secret of ours, unless it is a server's own.
        let is_ours = self.0.bases.iter().any(|base| base.origin() == url.origin());
        let mut builder = self.0.http.request(outgoing.method.clone(), url);
        if let Some(token) = self.0.token.as_ref().filter(|_| is_ours) {
            builder = builder.header(AUTHORIZATION, token.clone());
        }
        if let Some(actor) = self.0.actor.as_ref().filter(|_| is_ours) {
            builder = builder.header(ACTOR, actor.clone());
        }
        builder = builder.headers(outgoing.headers.clone());
        Ok(match &outgoing.body {
            Some(body) => builder.body(body.clone()),
            None => builder,
        })
    }

    fn url(&self, target: &Target, index: usize) -> Result<Url> {
        let segments = match target {
            Target::Absolute(url) => return Ok(url.clone()),
            Target::Segments(segments) => segments,
        };
        // In a URL these are not names but places.
        if let Some(bad) = segments.iter().find(|own| matches!(own.as_str(), "" | "." | "..")) {
            return Err(Error::Invalid(format!("{bad:?} cannot be a name or an id")));
        }
        let mut url = self.base(index).clone();
        // Base URLs are checked to be of http or https, so they have a path.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        Ok(url)
    }

    fn base(&self, index: usize) -> &Url {
        &self.0.bases[index % self.0.bases.len()]
    }

    /// The next requests go to another server, unless somebody saw to that already.
    fn move_on(&self, index: usize) {
        let next = (index + 1) % self.0.bases.len();
        let order = Ordering::Relaxed;
        // Whoever lost the race has no better idea of whom to ask.
        let _ = self.0.preferred.compare_exchange(index, next, order, order);
    }

    /// The URL for errors: without the query, and without a callback's secret token.
    fn shown(&self, outgoing: &Outgoing, index: usize) -> String {
        match &outgoing.target {
            Target::Segments(_) => self
                .url(&outgoing.target, index)
                .map_or_else(|_| self.base(index).to_string(), |url| url.to_string()),
            Target::Absolute(url) => url.origin().ascii_serialization(),
        }
    }
}

/// The error with what only the whole request knows.
fn told(error: Error, attempts: u32, maybe_done: bool) -> Error {
    match error {
        Error::Problem(problem) => Error::Problem(Box::new(Problem {
            attempts,
            maybe_done_before: maybe_done,
            ..*problem
        })),
        Error::NoAnswer { url, maybe_sent, source, .. } => {
            Error::NoAnswer { url, attempts, maybe_sent: maybe_sent || maybe_done, source }
        }
        other @ (Error::Invalid(_)
        | Error::Unexpected { .. }
        | Error::NotRunning { .. }
        | Error::CommitUnknown { .. }) => other,
    }
}

impl Failure {
    fn of_caller(error: Error) -> Self {
        let retry_after = None;
        Self { error, maybe_done: false, is_transient: false, is_away: false, retry_after }
    }
}

fn unheard(error: reqwest::Error, url: &str) -> Failure {
    let error = error.without_url();
    if error.is_builder() {
        return Failure::of_caller(Error::Invalid(error.to_string()));
    }
    let is_away = error.is_connect();
    no_answer(Box::new(error), url, !is_away)
}

fn no_answer(
    source: Box<dyn std::error::Error + Send + Sync>,
    url: &str,
    maybe_done: bool,
) -> Failure {
    let error =
        Error::NoAnswer { url: url.to_owned(), attempts: 1, maybe_sent: maybe_done, source };
    Failure { error, maybe_done, is_transient: true, is_away: !maybe_done, retry_after: None }
}

/// Reads a refusal: its problem document, if it is one.
async fn refused(response: Response, url: &str) -> Failure {
    let status = response.status();
    let retry_after = retry_after(&response);
    let body = match read(response, url).await {
        Ok(body) => body,
        Err(failure) => return failure,
    };
    let is_transient = matches!(status.as_u16(), 408 | 429 | 502..=504);
    let (error, maybe_done) = match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) if !problem.code.is_empty() => {
            let problem = Problem { status: status.as_u16(), retry_after, ..problem };
            let maybe_done = problem.is_undecided();
            (Error::Problem(Box::new(problem)), maybe_done)
        }
        Ok(_) | Err(_) => {
            let (url, detail) = (url.to_owned(), quote(&body));
            let error = Error::Unexpected { url, status: status.as_u16(), detail };
            let maybe_done = status.is_server_error();
            (error, maybe_done)
        }
    };
    Failure { error, maybe_done, is_transient, is_away: false, retry_after }
}

async fn read(mut response: Response, url: &str) -> std::result::Result<Vec<u8>, Failure> {
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unheard(error, url))? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            let detail = format!("its body is longer than {ANSWER_BYTES_MAX} bytes");
            let error = Error::Unexpected { url: url.to_owned(), status, detail };
            return Err(Failure { maybe_done: true, ..Failure::of_caller(error) });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// `Retry-After` in seconds. The server sends no dates; a proxy's date is passed over.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn quote(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    if text.is_empty() {
        return "its body is empty".to_owned();
    }
    let end = text.floor_char_boundary(QUOTE_BYTES_MAX);
    format!("its body is {:?}", &text[..end])
}
