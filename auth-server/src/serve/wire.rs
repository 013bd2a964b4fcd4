//! The stream of a connection: what came is noted, and at the end it is not torn.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::activity::Activity;
use super::limits::Limits;
use super::tasks::Spawner;

/// A stream that tells of each byte, and that lingers when it is closed.
///
/// A socket that is closed while the peer still sends is reset, and a reset takes away what the peer
/// has not read yet: the refusal. So after our side is closed we read on until the peer closes,
/// within limits (RFC 9112 section 9.6). A stop does not wait for that.
pub(super) struct Wire<T> {
    stream: T,
    activity: Activity,
    limits: Limits,
    spawner: Spawner,
    closing: Closing,
}

enum Closing {
    Not,
    Lingering {
        bytes_left: usize,
        over: Pin<Box<dyn Future<Output = ()> + Send>>,
    },
    Done,
}

impl<T> Wire<T> {
    pub(super) fn new(stream: T, activity: Activity, limits: Limits, spawner: Spawner) -> Self {
        Self {
            stream,
            activity,
            limits,
            spawner,
            closing: Closing::Not,
        }
    }

    /// The end of the patience with a peer that does not close its side.
    fn over(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let (linger, stopping) = (self.limits.linger, self.spawner.clone().stopping());
        Box::pin(async move {
            tokio::select! {
                () = tokio::time::sleep(linger) => {}
                () = stopping => {}
            }
        })
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Wire<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if let Some(received) = buffer.filled().get(before..)
            && !received.is_empty()
        {
            self.activity.received(received);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            match &mut this.closing {
                Closing::Not => {
                    ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
                    this.closing = Closing::Lingering {
                        bytes_left: this.limits.linger_bytes,
                        over: this.over(),
                    };
                }
                Closing::Lingering { bytes_left, over } => {
                    if over.as_mut().poll(cx).is_pending() {
                        let mut scratch = [0; 4 * 1024];
                        let mut scratch = ReadBuf::new(&mut scratch);
                        let read = ready!(Pin::new(&mut this.stream).poll_read(cx, &mut scratch));
                        let bytes = scratch.filled().len();
                        // An error is the peer's end as well.
                        if read.is_ok() && bytes > 0 && *bytes_left > bytes {
                            *bytes_left -= bytes;
                            continue;
                        }
                    }
                    this.closing = Closing::Done;
                }
                Closing::Done => return Poll::Ready(Ok(())),
            }
        }
    }
}
