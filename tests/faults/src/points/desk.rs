//! One server for the participants of all runs: the first part of a path says which run.

use std::collections::HashMap;
use std::sync::Arc;

use amends_tests::Serving;
use anyhow::Context as _;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use parking_lot::Mutex;

use super::book::{Book, Call};

/// The run that is prepared, and left in the middle of something.
pub(super) const PRELUDE: &str = "prelude";
/// The saga whose first call is never answered there.
pub(super) const HANGING: &str = "left-2";

type Books = Arc<Mutex<HashMap<String, Arc<Book>>>>;

/// The server; dropping it ends it.
#[derive(Debug)]
pub(super) struct Desk {
    serving: Serving,
    books: Books,
}

impl Desk {
    pub(super) async fn open() -> anyhow::Result<Self> {
        let books = Books::default();
        let service = Router::new().fallback(answer).with_state(Arc::clone(&books));
        Ok(Self { serving: Serving::start(service).await?, books })
    }

    /// Opens the book of a run; its base URL.
    pub(super) fn lay_out(&self, run: &str, book: &Arc<Book>) -> String {
        self.books.lock().insert(run.to_owned(), Arc::clone(book));
        format!("{}/{run}", self.serving.url())
    }

    pub(super) fn put_away(&self, run: &str) {
        self.books.lock().remove(run);
    }
}

async fn answer(State(books): State<Books>, request: Request) -> StatusCode {
    let (run, path) = match request.uri().path().trim_start_matches('/').split_once('/') {
        Some((run, path)) => (run.to_owned(), format!("/{path}")),
        None => return StatusCode::NOT_FOUND,
    };
    // A run that is over, or that is not this coordinator's any more.
    let Some(book) = books.lock().get(&run).cloned() else {
        return StatusCode::SERVICE_UNAVAILABLE;
    };
    let Ok(call) = read(&request, path) else { return StatusCode::BAD_REQUEST };
    if run == PRELUDE && call.saga == HANGING {
        book.take(&call).await;
        std::future::pending::<()>().await;
    }
    StatusCode::from_u16(book.take(&call).await).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn read(request: &Request, path: String) -> anyhow::Result<Call> {
    let text = |name: &str| {
        let value = request.headers().get(name).with_context(|| format!("no header {name}"))?;
        Ok::<_, anyhow::Error>(value.to_str()?.to_owned())
    };
    Ok(Call {
        saga: text("saga-id")?,
        step: text("saga-step")?,
        op: text("saga-operation")?,
        attempt: text("saga-attempt")?.parse()?,
        callback: text("saga-callback-url").ok(),
        path,
    })
}
