//! One connection, from the handshake to its end. Invariant: at every moment it either makes progress or has a deadline.

use std::error::Error;
use std::pin::pin;
use std::sync::Arc;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::activity::{Activity, Noted};
use super::{Cut, Front, gate};

/// Requests at a time on one connection of HTTP/2.
const STREAMS_MAX: u32 = 32;
/// What a client without TLS is told where there is TLS.
const NO_TLS: &[u8] = b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\
    this server speaks TLS; ask with https://\n";

/// The first byte of a TLS handshake; no request of HTTP begins with it.
const HANDSHAKE: u8 = 22;

/// What of a client without TLS is read and dropped, so that it gets to read its answer: to close a connection with unread
/// bytes resets it.
const NO_TLS_BYTES_MAX: u64 = 64 * 1024;

/// What bytes come and go by.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// What comes first, left in place.
    fn first(&self) -> impl Future<Output = First> + Send;
}

/// What comes first on a connection.
pub(super) enum First {
    Byte(u8),
    /// The client is gone.
    Nothing,
    /// There is no way to know.
    Unknown,
}

impl Stream for UnixStream {
    async fn first(&self) -> First {
        First::Unknown
    }
}

/// See the module.
pub(super) struct Connection {
    front: Arc<Front>,
    activity: Activity,
    drain: CancellationToken,
    end: CancellationToken,
}

impl Connection {
    /// At `drain` it takes no further request, at `end` it is over.
    pub(super) fn new(front: Arc<Front>, drain: CancellationToken, end: CancellationToken) -> Self {
        Self { front, activity: Activity::new(), drain, end }
    }

    /// Serves it to its end.
    ///
    /// # Errors
    /// Where it was cut. That a client goes away is none.
    pub(super) async fn serve(self, stream: impl Stream) -> Result<(), Cut> {
        let Some(tls) = self.front.web.as_ref().and_then(|web| web.armed().tls.clone()) else {
            return self.http1(stream).await;
        };
        let shaken = tokio::select! {
            shaken = tokio::time::timeout(self.front.limits.head_timeout, shake(tls, stream)) => shaken,
            () = self.drain.cancelled() => return Ok(()),
        };
        match shaken.map_err(|_| Cut::Handshake)?? {
            Some(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => self.http2(stream).await,
            Some(stream) => self.http1(stream).await,
            None => Ok(()),
        }
    }

    async fn http1<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(self, stream: S) -> Result<(), Cut> {
        let (front, activity) = (Arc::clone(&self.front), self.activity.clone());
        let service = service_fn(move |request| gate::answer(Arc::clone(&front), activity.clone(), request));
        let stream = Noted::new(stream, self.activity.clone(), true);
        let connection = http1::Builder::new()
            // Limits of time are kept here.
            .header_read_timeout(None)
            // Who says that no request follows still wants the answer to the last one.
            .half_close(true)
            .max_buf_size(self.front.limits.head_bytes_max)
            .serve_connection(TokioIo::new(stream), service);
        self.drive(connection).await
    }

    async fn http2<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(self, stream: S) -> Result<(), Cut> {
        let (front, activity) = (Arc::clone(&self.front), self.activity.clone());
        let service = service_fn(move |request| gate::answer(Arc::clone(&front), activity.clone(), request));
        let stream = Noted::new(stream, self.activity.clone(), false);
        // Beyond what the gate refuses and counts: the library's own answer to a much larger one.
        let head_bytes_max = u32::try_from(self.front.limits.head_bytes_max * 4).unwrap_or(u32::MAX);
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(head_bytes_max)
            .serve_connection(TokioIo::new(stream), service);
        self.drive(connection).await
    }

    async fn drive<C>(self, connection: C) -> Result<(), Cut>
    where
        C: GracefulConnection<Error = hyper::Error>,
    {
        let mut connection = pin!(connection);
        let mut is_draining = false;
        loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => return ended.or_else(|error| cause(&error)),
                cut = self.activity.overdue(&self.front.limits) => return Err(cut),
                () = self.drain.cancelled(), if !is_draining => {
                    if !self.activity.is_answering() {
                        return Ok(());
                    }
                    is_draining = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = self.end.cancelled() => return Err(Cut::Drain),
            }
        }
    }
}

/// A handshake that came to its end, if the client began one. A client that speaks plain HTTP is told so.
async fn shake<S: Stream>(tls: Arc<ServerConfig>, mut stream: S) -> Result<Option<TlsStream<S>>, Cut> {
    match stream.first().await {
        // Whoever only looks whether the port is open is none that was refused.
        First::Nothing => return Ok(None),
        First::Byte(byte) if byte != HANDSHAKE => {
            let told = tell(&mut stream, NO_TLS).await;
            told.unwrap_or_else(|error| tracing::debug!(%error, "a client without TLS was not told so"));
            return Err(Cut::Handshake);
        }
        First::Byte(_) | First::Unknown => {}
    }
    match TlsAcceptor::from(tls).accept(stream).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) => {
            tracing::debug!(%error, "a TLS handshake failed");
            Err(Cut::Handshake)
        }
    }
}

fn cause(error: &hyper::Error) -> Result<(), Cut> {
    if error.is_parse_too_large() {
        return Err(Cut::LargeHead);
    }
    if error.is_parse() {
        return Err(Cut::Malformed);
    }
    tracing::debug!(error = error.source().unwrap_or(error).to_string(), "a connection ended early");
    Ok(())
}

/// Writes a last word, and waits until the client has it.
async fn tell<S: Stream>(stream: &mut S, word: &[u8]) -> std::io::Result<()> {
    stream.write_all(word).await?;
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(NO_TLS_BYTES_MAX), &mut tokio::io::sink()).await?;
    Ok(())
}
