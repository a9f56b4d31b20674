//! A body that nobody reads to its end: what is left of it is taken in and thrown away, within limits.
//!
//! Were the connection closed on it instead, as happens when a request is refused before its body is
//! read, the system would tell the sender that the connection broke, and the answer that says why
//! would be lost.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::EXPECT;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};

/// How much is thrown away: several times what any route takes. Whoever sends more loses the answer.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// For how long, so that nobody keeps a connection by sending slowly.
const PATIENCE: Duration = Duration::from_secs(5);

/// Makes the request's body one that is taken in to its end.
pub async fn to_the_end(request: Request) -> Request {
    // Whoever asks before sending is told the answer instead.
    if request.headers().contains_key(EXPECT) {
        return request;
    }
    request.map(|body| {
        use hyper::body::Body as _;
        if body.is_end_stream() { body } else { Body::new(Lingering(Some(body))) }
    })
}

struct Lingering(Option<Body>);

impl hyper::body::Body for Lingering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.0 else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.0 = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(hyper::body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or(SizeHint::with_exact(0), hyper::body::Body::size_hint)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        if hyper::body::Body::is_end_stream(self) {
            return;
        }
        if let (Some(body), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move {
                let _ = tokio::time::timeout(PATIENCE, throw_away(body)).await; // it had its time
            });
        }
    }
}

async fn throw_away(mut body: Body) {
    let mut thrown = 0;
    while let Some(Ok(frame)) = body.frame().await {
        thrown += frame.data_ref().map_or(0, Bytes::len);
        if thrown > BYTES_MAX {
            return;
        }
    }
}
