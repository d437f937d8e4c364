//! Sockets that a service manager made, in a process of its own that inherits them.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::sync::Arc;

use polyhost_http::{Address, Data, ExchangeId, HttpApp, ResponseHead, SendFlags, Server, Turn};
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};

const CHILD: &str = "POLYHOST_TEST_INHERITED";
/// The number of the first of them: above those that anything else here has.
const FIRST: i32 = 200;

#[test]
fn several_sockets_are_told_apart_by_their_names() {
    if let Ok(told) = std::env::var(CHILD) {
        return check(&told);
    }
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let tcp: Vec<_> = (0..4).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let connected = std::net::TcpStream::connect(tcp[0].local_addr().unwrap()).unwrap();
    let unix = UnixListener::bind(&socket).unwrap();
    let sockets = [tcp[0].as_fd(), unix.as_fd(), tcp[1].as_fd(), tcp[2].as_fd(), tcp[3].as_fd(), connected.as_fd()];
    let copies: Vec<_> = sockets.iter().zip(FIRST..).map(|(fd, to)| fcntl_dupfd_cloexec(fd, to).unwrap()).collect();
    for (copy, number) in copies.iter().zip(FIRST..) {
        assert_eq!(number, copy.as_raw_fd(), "another file has the number");
        fcntl_setfd(copy, FdFlags::empty()).unwrap();
    }
    // The shell becomes the child, so its number is the child's.
    let script = "LISTEN_PID=$$ exec \"$@\"";
    let told: Vec<_> = tcp.iter().map(|it| it.local_addr().unwrap().to_string()).collect();
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", "several_sockets_are_told_apart_by_their_names", "--nocapture"]);
    command.env("LISTEN_FDS", "6").env("LISTEN_FDS_FIRST_FD", FIRST.to_string());
    command.env("LISTEN_FDNAMES", "web:api:web::admin:odd").env(CHILD, told.join(" "));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(socket.exists(), "the file belongs to who made the socket");
}

#[derive(Debug)]
struct Hello;

impl HttpApp for Hello {
    fn handle(&self, exchange: ExchangeId, _: &mut Turn<'_>) {
        let head = ResponseHead { status: 200, ..ResponseHead::default() };
        let _ = exchange.send(Some(head), Data::Copied(b"hello"), SendFlags::END | SendFlags::RELEASE);
    }
}

/// In the child: takes them by name, one server after the other.
fn check(told: &str) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let tcp: Vec<Address> = told.split(' ').map(|it| Address::Tcp(it.parse::<SocketAddr>().unwrap())).collect();
    let start = |address: &str| Server::builder(Arc::new(Hello)).listen(address.parse().unwrap()).start();
    let web = start("systemd:web").unwrap();
    assert_eq!([tcp[0].clone(), tcp[1].clone()], web.addresses());
    let admin = start("systemd:admin").unwrap();
    assert_eq!([tcp[3].clone()], admin.addresses());
    for (address, parts) in [
        ("systemd:web", ["named \"web\"", "listens on it already"]),
        ("systemd:other", ["named \"other\"", "there are \"web\", \"api\", \"web\", \"\", \"admin\", \"odd\""]),
        ("systemd:odd", ["\"odd\"", "it does not listen"]),
    ] {
        let error = start(address).unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{address}: {error}");
    }
    let rest = start("systemd:").unwrap();
    assert_eq!(tcp[2], rest.addresses()[1]);
    assert!(matches!(&rest.addresses()[0], Address::Unix(path) if path.ends_with("socket")), "{:?}", rest.addresses());
    // Each of them serves.
    for server in [web, admin, rest] {
        for address in server.addresses() {
            let Address::Tcp(address) = address else { continue };
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            std::io::Write::write_all(&mut stream, b"GET / HTTP/1.0\r\n\r\n").unwrap();
            let response = std::io::read_to_string(stream).unwrap();
            assert!(response.ends_with("hello"), "{response}");
        }
    }
}
