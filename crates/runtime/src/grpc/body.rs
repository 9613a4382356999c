//! A response body that ends when its time does.
//!
//! It also turns a connection that broke under it into UNAVAILABLE. Surprising: it ends with trailers, as a handler's own error would, and not by an error of the body, because that would
//! reset the stream and lose the status.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures::future::BoxFuture;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tonic::{Status, body::Body};

use super::status;

/// Passes `inner` on until `end` yields a status, which then closes it; keeps `held` until it is dropped.
pub(crate) struct EndingBody<T> {
    inner: Option<Body>,
    end: BoxFuture<'static, Status>,
    _held: T,
}

impl<T: Unpin + Send + 'static> EndingBody<T> {
    pub(crate) fn wrap(inner: Body, end: BoxFuture<'static, Status>, held: T) -> Body {
        Body::new(Self { inner: Some(inner), end, _held: held })
    }
}

impl<T: Unpin> http_body::Body for EndingBody<T> {
    type Data = <Body as http_body::Body>::Data;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Status>>> {
        let Some(inner) = self.inner.as_mut() else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(frame) = Pin::new(inner).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(|error| status::broken(error.into()))));
        }
        let Poll::Ready(status) = self.end.as_mut().poll(context) else {
            return Poll::Pending;
        };
        self.inner = None;
        let mut trailers = HeaderMap::new();
        Poll::Ready(Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
