//! A connection that sends pages by reference: the kernel reads them from where they are, and does not copy them first.
//! Invariant: what is told as sent is what the socket has taken; where this way is closed, bytes are copied as ever.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::net::sockopt::set_tcp_cork;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::connection::{First, Stream};
use crate::mapped;

/// What a pipe holds, and so what is handed over at a time: as much as the system lets everybody have.
const PIPE_BYTES: usize = 1024 * 1024;
/// What one connection is sent before the others have their turn.
const TURN_BYTES: usize = 4 * PIPE_BYTES;
/// Less than this is copied sooner than handed over.
const BYTES_MIN: usize = 64 * 1024;

thread_local! {
    /// Bytes are in it only while one of this thread's writes lasts.
    static PIPE: RefCell<Option<Pipe>> = const { RefCell::new(None) };
}

/// See the module.
#[derive(Debug)]
pub(super) struct Spliced {
    stream: TcpStream,
    /// Whether the kernel waits for whole segments, as it does from the begin of a page to its end.
    is_corked: bool,
}

impl Spliced {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, is_corked: false }
    }

    /// Segments that are filled up are fewer: the kernel would send what each call brings.
    fn cork(&mut self, is_corked: bool) {
        if self.is_corked != is_corked && set_tcp_cork(&self.stream, is_corked).is_ok() {
            self.is_corked = is_corked;
        }
    }

    fn poll_hand_over(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.cork(true);
        loop {
            ready!(self.stream.poll_write_ready(context))?;
            match self.hand_over(&bytes[..bytes.len().min(TURN_BYTES)]) {
                Ok(0) => return Pin::new(&mut self.stream).poll_write(context, bytes),
                Ok(count) => return Poll::Ready(Ok(count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Sends as many of these bytes as the socket takes; none, where they have to be copied.
    fn hand_over(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut sent = 0;
        while sent < bytes.len() {
            match self.stream.try_io(Interest::WRITABLE, || pass(&self.stream, &bytes[sent..])) {
                Ok(Some(count)) => sent += count,
                Err(error) if sent == 0 => return Err(error),
                Ok(None) | Err(_) => break,
            }
        }
        Ok(sent)
    }
}

fn is_long(bytes: &[u8]) -> bool {
    bytes.len() >= BYTES_MIN
}

/// Sends as many of these bytes as a pipe holds, and tells how many; `None` where they have to be copied.
fn pass(socket: &TcpStream, bytes: &[u8]) -> io::Result<Option<usize>> {
    PIPE.with_borrow_mut(|slot| {
        let pipe = match slot {
            Some(pipe) => pipe,
            None => match Pipe::new() {
                Ok(pipe) => slot.insert(pipe),
                Err(_) => return Ok(None),
            },
        };
        let Some(Ok(lent)) = mapped::lend(&pipe.entry, bytes) else { return Ok(None) };
        let sent = splice(&pipe.exit, None, socket, None, lent, SpliceFlags::NONBLOCK);
        if pipe.drop_first(lent - sent.unwrap_or(0)).is_err() {
            *slot = None;
        }
        match sent {
            Err(Errno::AGAIN) => Err(io::ErrorKind::WouldBlock.into()),
            // Where it is the connection that failed, the write that copies fails as well.
            Err(_) | Ok(0) => Ok(None),
            Ok(count) => Ok(Some(count)),
        }
    })
}

/// What takes memory by reference, and gives it to a socket.
struct Pipe {
    entry: OwnedFd,
    exit: OwnedFd,
    /// For what the socket does not take.
    nowhere: OwnedFd,
}

impl Pipe {
    fn new() -> io::Result<Self> {
        let (exit, entry) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // An administrator may allow less; with much less, copies are cheaper.
        if fcntl_setpipe_size(&entry, PIPE_BYTES).is_err() && fcntl_getpipe_size(&entry)? < BYTES_MIN {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let nowhere = open("/dev/null", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { entry, exit, nowhere })
    }

    /// Takes so many bytes out of it again.
    fn drop_first(&self, bytes: usize) -> io::Result<()> {
        let mut left = bytes;
        while left > 0 {
            left -= splice(&self.exit, None, &self.nowhere, None, left, SpliceFlags::NONBLOCK)?;
        }
        Ok(())
    }
}

impl AsyncWrite for Spliced {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if is_long(bytes) {
            return self.poll_hand_over(context, bytes);
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match slices.iter().position(|slice| is_long(slice)) {
            Some(0) => self.poll_hand_over(context, &slices[0]),
            Some(long) => {
                self.cork(true);
                Pin::new(&mut self.stream).poll_write_vectored(context, &slices[..long])
            }
            None => Pin::new(&mut self.stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.cork(false);
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl AsyncRead for Spliced {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl Stream for Spliced {
    async fn first(&self) -> First {
        let mut byte = [0];
        match self.stream.peek(&mut byte).await {
            Ok(1) => First::Byte(byte[0]),
            _ => First::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::net::sockopt::tcp_cork;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::mapped::Mapped;

    const PAGE_BYTES: usize = 24 * 1024 * 1024;

    /// No two places of it look the same.
    fn page(first: u32) -> Mapped {
        let page: Vec<u8> = (first..).flat_map(u32::to_le_bytes).take(PAGE_BYTES).collect();
        page.as_slice().into()
    }

    async fn connection() -> (Spliced, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Spliced::new(listener.accept().await.unwrap().0), client)
    }

    #[tokio::test]
    async fn an_answer_arrives_whole_however_slowly_it_is_read() {
        let page = page(7);
        let long = vec![5; 3 * BYTES_MIN];
        let parts =
            [&b"head"[..], &page.as_ref()[3..], b"between", &page.as_ref()[..BYTES_MIN], &long, b"end"];
        let expected = parts.concat();
        let (mut server, mut client) = connection().await;
        let reader = tokio::spawn(async move {
            let mut read = Vec::new();
            let mut buffer = vec![0; 1 << 20];
            loop {
                let count = client.read(&mut buffer[..(1 + read.len() * 7) % (1 << 20) + 1]).await.unwrap();
                if count == 0 {
                    return read;
                }
                read.extend_from_slice(&buffer[..count]);
                tokio::task::yield_now().await;
            }
        });
        let mut slices = parts.map(IoSlice::new);
        let mut left = slices.as_mut_slice();
        while !left.is_empty() {
            let count = server.write_vectored(left).await.unwrap();
            assert!(count > 0);
            IoSlice::advance_slices(&mut left, count);
        }
        assert!(tcp_cork(&server.stream).unwrap());
        server.flush().await.unwrap();
        assert!(!tcp_cork(&server.stream).unwrap(), "the end would wait for more");
        drop(server);
        assert!(reader.await.unwrap() == expected);
    }

    #[tokio::test]
    async fn what_a_socket_has_taken_stays_as_it_was_when_the_page_is_gone() {
        let first = page(1);
        let (server, mut client) = connection().await;
        server.stream.writable().await.unwrap();
        let sent = server.hand_over(first.as_ref()).unwrap();
        assert!(sent > BYTES_MIN && sent < PAGE_BYTES, "{sent}");
        let expected = first.as_ref()[..sent].to_vec();
        drop(first);
        let _others = [page(2), page(3)];
        drop(server);
        let mut read = Vec::new();
        client.read_to_end(&mut read).await.unwrap();
        assert!(read == expected);
    }

    #[tokio::test]
    async fn only_pages_are_handed_over() {
        let (server, _client) = connection().await;
        let page = page(0);
        let copy = page.as_ref().to_vec();
        assert_eq!(pass(&server.stream, &copy).unwrap(), None);
        assert_eq!(pass(&server.stream, &page.as_ref()[..10]).unwrap(), Some(10));
        let full = loop {
            if let Err(error) = pass(&server.stream, page.as_ref()) {
                break error;
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        let left = PIPE.with_borrow(|pipe| rustix::io::ioctl_fionread(&pipe.as_ref().unwrap().exit).unwrap());
        assert_eq!(left, 0, "what the socket did not take is no part of the next answer");
    }
}
