//! The sockets that systemd gave this process.

use std::io;
use std::sync::{Mutex, OnceLock, PoisonError};

use listenfd::ListenFd;
use rustix::net::sockopt;
use tokio::net::{TcpListener, UnixListener};

use super::Listener;

/// They are taken one by one, by the addresses that name them.
static INHERITED: OnceLock<Mutex<Inherited>> = OnceLock::new();

struct Inherited {
    sockets: ListenFd,
    names: Vec<String>,
}

/// Takes over the sockets that systemd gave this process, and removes its variables `LISTEN_FDS` and `LISTEN_PID`.
///
/// The first inherited [`Address`](super::Address) that is listened on does this, too. Where other threads read the
/// environment by then, such as those of a runtime, this is to be called before.
pub fn keep_inherited() {
    inherited();
}

fn inherited() -> &'static Mutex<Inherited> {
    INHERITED.get_or_init(|| {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let names = names.split(':').map(str::to_owned).collect();
        Mutex::new(Inherited { sockets: ListenFd::from_env(), names })
    })
}

/// Those of one name, or all, that nobody has taken yet.
pub(super) fn take(name: Option<&str>) -> io::Result<Vec<Listener>> {
    inherited().lock().unwrap_or_else(PoisonError::into_inner).take(name)
}

impl Inherited {
    fn name(&self, index: usize) -> &str {
        self.names.get(index).map_or("", |name| name)
    }

    fn take(&mut self, name: Option<&str>) -> io::Result<Vec<Listener>> {
        let all = 0..self.sockets.len();
        let named: Vec<usize> = all.filter(|index| name.is_none_or(|name| name == self.name(*index))).collect();
        let mut listeners = Vec::new();
        for index in &named {
            let listener = self.take_one(*index).map_err(|error| {
                let name = self.name(*index);
                io::Error::new(
                    error.kind(),
                    format!("cannot listen on the inherited socket {index} ({name:?}): {error}"),
                )
            })?;
            listeners.extend(listener);
        }
        if listeners.is_empty() { Err(self.none(name, !named.is_empty())) } else { Ok(listeners) }
    }

    fn take_one(&mut self, index: usize) -> io::Result<Option<Listener>> {
        let listener = match self.sockets.take_tcp_listener(index) {
            Ok(None) => return Ok(None),
            Ok(Some(listener)) => {
                check(&listener)?;
                listener.set_nonblocking(true)?;
                Listener::Tcp(TcpListener::from_std(listener)?)
            }
            Err(_) => match self.sockets.take_unix_listener(index) {
                Ok(None) => return Ok(None),
                Ok(Some(listener)) => {
                    check(&listener)?;
                    listener.set_nonblocking(true)?;
                    // The file belongs to whoever made the socket.
                    Listener::Unix(UnixListener::from_std(listener)?, None)
                }
                Err(_) => return Err(invalid("it is neither a TCP nor a unix stream socket")),
            },
        };
        Ok(Some(listener))
    }

    /// Why there is none.
    fn none(&self, name: Option<&str>, taken: bool) -> io::Error {
        let which = name.map_or_else(String::new, |name| format!(" named {name:?}"));
        let why = if taken {
            "another address listens on it already".to_owned()
        } else if self.sockets.len() == 0 {
            "LISTEN_FDS and LISTEN_PID must be set, as systemd does".to_owned()
        } else {
            let names: Vec<_> = (0..self.sockets.len()).map(|index| format!("{:?}", self.name(index))).collect();
            format!("there are {}; set FileDescriptorName= in the socket unit", names.join(", "))
        };
        io::Error::new(io::ErrorKind::NotFound, format!("no listening socket{which} was inherited: {why}"))
    }
}

fn check(socket: impl std::os::fd::AsFd) -> io::Result<()> {
    if sockopt::socket_acceptconn(socket)? {
        return Ok(());
    }
    Err(invalid("it does not listen; the socket unit needs Accept=no"))
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}
