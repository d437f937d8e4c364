//! Addresses and listeners.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{fmt, fs, io, net};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::app::Endpoint;

mod inherited;

pub use inherited::keep_inherited;

/// How many connections the kernel keeps until they are accepted; as Kestrel.
const BACKLOG: i32 = 512;
/// How many ports of the system's choice are tried where both loopback addresses are to have the same.
const CHOICES: usize = 16;

/// Where to listen.
///
/// Parsed from `127.0.0.1:8080`, `[::1]:80`, `unix:/path`, `http://*:5000`,
/// `http://localhost:5000`, `http://unix:/path`, `systemd:` (all inherited
/// sockets) and `systemd:name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// An IP address and port; `[::]` takes IPv4 connections, too, as under Kestrel.
    Tcp(SocketAddr),
    /// A port of every address of the machine, IPv6 and IPv4.
    Any(u16),
    /// A port of both loopback addresses.
    Localhost(u16),
    /// A unix socket.
    Unix(PathBuf),
    /// Sockets inherited from systemd (`LISTEN_FDS`), those of one name or all that no other address has taken.
    Inherited(Option<String>),
}

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressError(String);

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://")) {
            return write!(f, "{:?}: TLS is not served; listen on http:// behind a proxy that ends it", self.0);
        }
        write!(
            f,
            "{:?} is no address to listen on; write 127.0.0.1:8080, http://*:8080, unix:/path or systemd:",
            self.0
        )
    }
}

impl std::error::Error for AddressError {}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let error = || AddressError(text.to_owned());
        if let Some(name) = text.strip_prefix("systemd:") {
            return Ok(Address::Inherited((!name.is_empty()).then(|| name.to_owned())));
        }
        let (rest, is_url) = match text.split_at_checked(7) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http://") => (rest, true),
            _ => (text, false),
        };
        if let Some(path) = rest.strip_prefix("unix:") {
            return if path.starts_with('/') { Ok(Address::Unix(path.into())) } else { Err(error()) };
        }
        let rest = if is_url { rest.strip_suffix('/').unwrap_or(rest) } else { rest };
        let (host, port) = match rest.rsplit_once(':') {
            // The last colon of an IPv6 address is within brackets.
            Some((host, port)) if !port.contains(']') => (host, port.parse().map_err(|_| error())?),
            _ if is_url => (rest, 80),
            _ => return Err(error()),
        };
        match host {
            "*" | "+" => Ok(Address::Any(port)),
            _ if host.eq_ignore_ascii_case("localhost") => Ok(Address::Localhost(port)),
            _ => {
                let ip = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                    Some(host) => host.parse::<Ipv6Addr>().map(IpAddr::V6),
                    None => host.parse::<Ipv4Addr>().map(IpAddr::V4),
                };
                match ip {
                    Ok(ip) => Ok(Address::Tcp(SocketAddr::new(ip, port))),
                    // A name in a URL is a virtual host to Kestrel, too: it listens on every address.
                    Err(_) if is_url && is_host_name(host) => Ok(Address::Any(port)),
                    Err(_) => Err(error()),
                }
            }
        }
    }
}

fn is_host_name(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Address::Tcp(address)
    }
}

/// The URL of the address.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => write!(f, "http://{address}"),
            Address::Any(port) => write!(f, "http://*:{port}"),
            Address::Localhost(port) => write!(f, "http://localhost:{port}"),
            Address::Unix(path) => write!(f, "http://unix:{}", path.display()),
            Address::Inherited(name) => write!(f, "systemd:{}", name.as_deref().unwrap_or_default()),
        }
    }
}

/// A socket that is listened on.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, Option<SocketFile>),
}

pub(crate) enum Accepted {
    Tcp(TcpStream, Endpoint, Endpoint),
    Unix(UnixStream),
}

impl Listener {
    /// Listens on an address, which may be several sockets.
    pub(crate) fn bind(address: &Address) -> io::Result<Vec<Self>> {
        let listeners = match address {
            Address::Tcp(address) => vec![bind_tcp(*address)?],
            Address::Any(port) => vec![bind_any(*port)?],
            Address::Localhost(port) => bind_localhost(*port)?,
            Address::Unix(path) => vec![bind_unix(path)?],
            Address::Inherited(name) => inherited::take(name.as_deref())?,
        };
        Ok(listeners)
    }

    pub(crate) fn address(&self) -> Address {
        match self {
            Listener::Tcp(listener) => match listener.local_addr() {
                Ok(address) => Address::Tcp(address),
                Err(_) => Address::Any(0),
            },
            Listener::Unix(listener, file) => {
                let path = listener.local_addr().ok().and_then(|address| address.as_pathname().map(Path::to_owned));
                Address::Unix(path.or_else(|| file.as_ref().map(|file| file.path.clone())).unwrap_or_default())
            }
        }
    }

    pub(crate) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, remote) = listener.accept().await?;
                // Both fail only for a connection that is gone already, as its first read will tell.
                let _ = stream.set_nodelay(true);
                let local = stream.local_addr().map_or(Endpoint::Unnamed, Endpoint::Ip);
                Ok(Accepted::Tcp(stream, local, remote.into()))
            }
            Listener::Unix(listener, _) => Ok(Accepted::Unix(listener.accept().await?.0)),
        }
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<Listener> {
    listen_tcp(address).map_err(|error| explain(error, &Address::Tcp(address)))
}

/// One socket for both families, or, on a machine without IPv6, one for IPv4.
fn bind_any(port: u16) -> io::Result<Listener> {
    let dual = listen_tcp(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)));
    let listener = match dual {
        Err(error) if lacks_family(&error) => listen_tcp(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))),
        dual => dual,
    };
    listener.map_err(|error| explain(error, &Address::Any(port)))
}

fn bind_localhost(port: u16) -> io::Result<Vec<Listener>> {
    // Ports chosen by the system that were all in use under IPv6: kept, so that each is another.
    let mut left = Vec::new();
    loop {
        let v4 = bind_tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        // With port 0 the system chooses one, and the second socket gets the same.
        let chosen = match v4.address() {
            Address::Tcp(address) => address.port(),
            _ => port,
        };
        let address = SocketAddr::from((Ipv6Addr::LOCALHOST, chosen));
        match listen_tcp(address) {
            Ok(v6) => return Ok(vec![v4, v6]),
            Err(error) if lacks_family(&error) => return Ok(vec![v4]),
            Err(error) if port == 0 && error.kind() == io::ErrorKind::AddrInUse && left.len() < CHOICES => {
                left.push(v4)
            }
            Err(error) => return Err(explain(error, &Address::Tcp(address))),
        }
    }
}

fn lacks_family(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL))
}

fn listen_tcp(address: SocketAddr) -> io::Result<Listener> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, !address.ip().is_unspecified())?;
    }
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(Listener::Tcp(TcpListener::from_std(net::TcpListener::from(socket))?))
}

fn bind_unix(path: &Path) -> io::Result<Listener> {
    listen_unix(path).map_err(|error| explain(error, &Address::Unix(path.to_owned())))
}

fn listen_unix(path: &Path) -> io::Result<Listener> {
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_stale(path) => {
            fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        bound => bound?,
    };
    let file = SocketFile::new(path)?;
    Ok(Listener::Unix(listener, Some(file)))
}

/// Whether a path is a socket that nobody listens on: what a process leaves that was killed.
fn is_stale(path: &Path) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    is_socket && connect(path) == Err(Errno::CONNREFUSED)
}

/// Without waiting where the queue of whoever listens is full.
fn connect(path: &Path) -> Result<(), Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)
}

/// Removes the file of a socket, unless it is another's meanwhile.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    id: (u64, u64),
}

impl SocketFile {
    fn new(path: &Path) -> io::Result<Self> {
        Ok(SocketFile { path: path.to_owned(), id: file_id(path)? })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if file_id(&self.path).is_ok_and(|id| id == self.id) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn file_id(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

fn explain(error: io::Error, address: &Address) -> io::Error {
    let cause = match error.kind() {
        io::ErrorKind::AddrInUse if matches!(address, Address::Unix(_)) => {
            "a file of this name is there that is no socket, or another process listens on it; remove it, stop that, or \
             listen elsewhere"
                .to_owned()
        }
        io::ErrorKind::AddrInUse => {
            "the address is in use by another process; stop that, or listen on another".to_owned()
        }
        io::ErrorKind::PermissionDenied if !matches!(address, Address::Unix(_)) => {
            format!("{error}; ports below 1024 need the capability CAP_NET_BIND_SERVICE")
        }
        _ => error.to_string(),
    };
    io::Error::new(error.kind(), format!("cannot listen on {address}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses() {
        let ip = |text: &str| Ok(Address::Tcp(text.parse().unwrap()));
        for (text, expected) in [
            ("127.0.0.1:8080", ip("127.0.0.1:8080")),
            ("[::1]:80", ip("[::1]:80")),
            ("http://[::1]", ip("[::1]:80")),
            ("http://127.0.0.1:5000/", ip("127.0.0.1:5000")),
            ("http://*:5000", Ok(Address::Any(5000))),
            ("http://+:5000", Ok(Address::Any(5000))),
            ("HTTP://Localhost:5000", Ok(Address::Localhost(5000))),
            ("http://example.org", Ok(Address::Any(80))),
            ("unix:/run/a", Ok(Address::Unix("/run/a".into()))),
            ("http://unix:/run/a", Ok(Address::Unix("/run/a".into()))),
            ("systemd:", Ok(Address::Inherited(None))),
            ("systemd:web", Ok(Address::Inherited(Some("web".to_owned())))),
        ] {
            assert_eq!(expected, text.parse(), "{text}");
        }
        for text in
            ["", "8080", "example.org:80", "unix:a", "127.0.0.1", "127.0.0.1:x", "::1:80", "https://a", "http://"]
        {
            assert_eq!(Err(AddressError(text.to_owned())), text.parse::<Address>(), "{text}");
        }
    }

    #[tokio::test]
    async fn listens_on_both_loopback_addresses_with_one_port() {
        let listeners = Listener::bind(&Address::Localhost(0)).unwrap();
        let ports: Vec<_> = listeners
            .iter()
            .map(|listener| match listener.address() {
                Address::Tcp(address) => address.port(),
                other => panic!("{other}"),
            })
            .collect();
        assert!(ports.iter().all(|port| *port == ports[0]));
    }

    #[tokio::test]
    async fn any_address_of_ipv6_is_any_of_ipv4_too() {
        if let Err(error) = net::TcpListener::bind("[::1]:0") {
            println!("skipped: this machine has no IPv6: {error}");
            return;
        }
        for text in ["http://*:0", "http://+:0", "http://[::]:0", "[::]:0", "http://example.org:0"] {
            let listeners = Listener::bind(&text.parse().unwrap()).unwrap();
            let [listener] = &listeners[..] else { panic!("{text}: {listeners:?}") };
            let Address::Tcp(address) = listener.address() else { panic!("{text}: {listener:?}") };
            for ip in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
                net::TcpStream::connect((ip, address.port())).unwrap_or_else(|error| panic!("{text} {ip}: {error}"));
            }
        }
        let [listener] = &Listener::bind(&"[::1]:0".parse().unwrap()).unwrap()[..] else { panic!("one socket") };
        let Address::Tcp(address) = listener.address() else { panic!("{listener:?}") };
        net::TcpStream::connect((Ipv4Addr::LOCALHOST, address.port())).unwrap_err();
    }

    #[test]
    fn tls_is_told_apart() {
        let error = "HTTPS://a".parse::<Address>().unwrap_err().to_string();
        assert!(error.contains("TLS is not served"), "{error}");
    }

    #[tokio::test]
    async fn tells_that_nothing_was_inherited() {
        let error = Listener::bind(&"systemd:web".parse().unwrap()).unwrap_err();
        assert!(error.to_string().starts_with("no listening socket named \"web\" was inherited"), "{error}");
    }
}
