//! What answers are made of: mostly of bytes that are all there, sometimes of bytes that come as time goes by.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body_util::Full;
use hyper::body::{self, Bytes, Frame, SizeHint};
use tokio::sync::mpsc;

/// An answer's body.
pub enum ResponseBody {
    /// All of it.
    Whole(Full<Bytes>),
    /// As it comes.
    Streamed(StreamedBody),
}

/// A body that comes piece by piece, until its sender is dropped.
pub struct StreamedBody {
    pieces: mpsc::Receiver<Bytes>,
    /// What lasts as long as it does.
    kept: Option<Box<dyn Send>>,
}

impl ResponseBody {
    /// A body of what comes here.
    pub fn streamed(pieces: mpsc::Receiver<Bytes>) -> ResponseBody {
        ResponseBody::Streamed(StreamedBody { pieces, kept: None })
    }

    /// Keeps something to the end of a body that is still to come. With one that is there it is dropped at once.
    pub fn keep(&mut self, guard: impl Send + 'static) {
        if let ResponseBody::Streamed(streamed) = self {
            streamed.kept = Some(Box::new(guard));
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
