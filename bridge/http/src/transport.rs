//! Byte streams under a connection.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// The most that one system call sends of a file, so that other connections have their turn.
const TURN: usize = 512 * 1024;

/// A byte stream a connection can run on.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// Sends a part of a file without copying it through this process. `None`: this stream cannot.
    fn poll_send_file(
        &mut self,
        cx: &mut Context<'_>,
        file: &File,
        offset: u64,
        count: u64,
    ) -> Option<Poll<io::Result<usize>>> {
        let _ = (cx, file, offset, count);
        None
    }

    /// Makes the end of the stream, which follows, one that the peer cannot take for a proper one.
    fn reset(&mut self) {}
}

impl Transport for TcpStream {
    fn poll_send_file(
        &mut self,
        cx: &mut Context<'_>,
        file: &File,
        offset: u64,
        count: u64,
    ) -> Option<Poll<io::Result<usize>>> {
        Some(send_file(
            || self.poll_write_ready(cx),
            |send| self.try_io(Interest::WRITABLE, || send(self.as_fd())),
            file,
            offset,
            count,
        ))
    }

    fn reset(&mut self) {
        // Without it a response that ends with the connection would look complete. A failure means it is reset already.
        let _ = rustix::net::sockopt::set_socket_linger(&*self, Some(std::time::Duration::ZERO));
    }
}

impl Transport for UnixStream {
    fn poll_send_file(
        &mut self,
        cx: &mut Context<'_>,
        file: &File,
        offset: u64,
        count: u64,
    ) -> Option<Poll<io::Result<usize>>> {
        Some(send_file(
            || self.poll_write_ready(cx),
            |send| self.try_io(Interest::WRITABLE, || send(self.as_fd())),
            file,
            offset,
            count,
        ))
    }
}

impl Transport for DuplexStream {}

fn send_file(
    mut ready: impl FnMut() -> Poll<io::Result<()>>,
    try_io: impl Fn(&dyn Fn(std::os::fd::BorrowedFd<'_>) -> io::Result<usize>) -> io::Result<usize>,
    file: &File,
    offset: u64,
    count: u64,
) -> Poll<io::Result<usize>> {
    let count = usize::try_from(count).unwrap_or(TURN).min(TURN);
    loop {
        ready!(ready())?;
        let sent = try_io(&|socket| {
            let mut at = offset;
            Ok(rustix::fs::sendfile(socket, file, Some(&mut at), count)?)
        });
        match sent {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            sent => return Poll::Ready(sent),
        }
    }
}

/// Any byte stream, such as a TLS session, as a [`Transport`].
#[derive(Debug)]
pub struct Stream<T>(pub T);

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Transport for Stream<T> {}

impl<T: AsyncRead + Unpin> AsyncRead for Stream<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Stream<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
}
