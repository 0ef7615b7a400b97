//! Streams of items that come page by page, or as they happen.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::{BoxStream, Stream, StreamExt as _, unfold};

use super::error::Result;

/// A stream of items. After an error it ends.
///
/// [`next`](Self::next) needs no trait; with `futures::StreamExt` it is a [`Stream`] like others.
/// Dropping it stops it.
#[must_use = "nothing is asked before `next`"]
pub struct Items<T>(BoxStream<'static, Result<T>>);

/// One page: its items, and where the next one starts.
pub(crate) type Page<T, C> = (Vec<T>, Option<C>);

impl<T: Send + 'static> Items<T> {
    /// From a stream.
    pub(crate) fn new(stream: impl Stream<Item = Result<T>> + Send + 'static) -> Self {
        Self(stream.boxed())
    }

    /// From pages: `fetch` gets each page by its cursor, none for the first.
    pub(crate) fn paged<C, F>(fetch: impl Fn(Option<C>) -> F + Send + Sync + 'static) -> Self
    where
        C: Send + 'static,
        F: Future<Output = Result<Page<T, C>>> + Send + 'static,
    {
        let start = Paging { fetched: VecDeque::new(), cursor: None, has_more: true };
        Self::new(unfold((start, fetch), |(mut paging, fetch)| async move {
            loop {
                if let Some(item) = paging.fetched.pop_front() {
                    return Some((Ok(item), (paging, fetch)));
                }
                if !std::mem::take(&mut paging.has_more) {
                    return None;
                }
                match fetch(paging.cursor.take()).await {
                    Ok((items, cursor)) => {
                        let has_more = cursor.is_some();
                        paging = Paging { fetched: items.into(), cursor, has_more };
                    }
                    Err(error) => return Some((Err(error), (paging, fetch))),
                }
            }
        }))
    }

    /// The next item; none at the end. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<T>> {
        self.0.next().await
    }

    /// All items that are left, or the first error. Bound lists by their `limit` of pages, or by
    /// counting what `next` gives.
    ///
    /// # Errors
    ///
    /// The stream's.
    pub async fn all(mut self) -> Result<Vec<T>> {
        let mut items = Vec::new();
        while let Some(item) = self.next().await {
            items.push(item?);
        }
        Ok(items)
    }
}

/// Where a paged stream is.
struct Paging<T, C> {
    fetched: VecDeque<T>,
    /// The cursor of the next page; none for the first.
    cursor: Option<C>,
    has_more: bool,
}

impl<T> Stream for Items<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        self.0.as_mut().poll_next(context)
    }
}

impl<T> fmt::Debug for Items<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").finish_non_exhaustive()
    }
}
