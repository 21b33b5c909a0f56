//! The bodies of answers: complete, or streamed over time.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body_util::Full;
use hyper::Response;
use hyper::body::{self, Bytes, Frame, SizeHint};
use tokio::sync::mpsc;

/// An HTTP response of the server.
pub type HttpResponse = Response<ResponseBody>;

/// The body of an answer.
pub enum ResponseBody {
    /// A complete body.
    Whole(Full<Bytes>),
    /// A body that is sent piece by piece.
    Streamed(StreamedBody),
}

/// A body that is sent piece by piece and ends when its sender is dropped.
pub struct StreamedBody {
    pieces: mpsc::Receiver<Bytes>,
    /// A guard that is dropped together with the body.
    guard: Option<Box<dyn Send>>,
}

impl ResponseBody {
    /// Returns a body that consists of the pieces from this channel.
    pub fn streamed(pieces: mpsc::Receiver<Bytes>) -> ResponseBody {
        ResponseBody::Streamed(StreamedBody { pieces, guard: None })
    }

    /// Keeps a guard until the end of a streamed body. With a complete body, the guard is dropped at once.
    pub fn attach_guard(&mut self, guard: impl Send + 'static) {
        if let ResponseBody::Streamed(streamed) = self {
            streamed.guard = Some(Box::new(guard));
        }
    }
}

impl Default for ResponseBody {
    fn default() -> ResponseBody {
        ResponseBody::Whole(Full::default())
    }
}

impl<T: Into<Full<Bytes>>> From<T> for ResponseBody {
    fn from(whole: T) -> ResponseBody {
        ResponseBody::Whole(whole.into())
    }
}

impl body::Body for ResponseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            ResponseBody::Whole(whole) => Pin::new(whole).poll_frame(context),
            ResponseBody::Streamed(streamed) => {
                streamed.pieces.poll_recv(context).map(|piece| piece.map(Frame::data).map(Ok))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            ResponseBody::Whole(whole) => whole.is_end_stream(),
            ResponseBody::Streamed(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            ResponseBody::Whole(whole) => whole.size_hint(),
            ResponseBody::Streamed(_) => SizeHint::default(),
        }
    }
}
