//! nginx in front of a server, as the proxy that ASP.NET Core's documentation advises.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Signal, set_parent_process_death_signal};
use tempfile::TempDir;
use tokio::net::TcpSocket;

use super::process::{End, Process};
use super::server::this_program;

/// An nginx of its own folder, with nothing of the machine's configuration.
#[derive(Debug)]
pub(super) struct Nginx {
    pub(super) address: SocketAddr,
    pids: Vec<u32>,
    _process: Process,
    _folder: TempDir,
    /// Holds the port until nginx is gone.
    _port: TcpSocket,
}

/// Where nginx is: on PATH, or where distributions put it, which is not on everybody's.
///
/// # Errors
/// Says that it is not there.
pub(super) fn program() -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    program_in(std::env::split_paths(&path).chain(["/usr/sbin".into()]))
}

/// What it says of itself: `nginx/1.22.1`.
///
/// # Errors
/// Why it does not.
pub(super) fn version() -> Result<String, String> {
    let said = Command::new(program()?).arg("-v").output().map_err(|e| format!("nginx: {e}"))?;
    let said = String::from_utf8_lossy(&said.stderr);
    let version = said.trim().rsplit_once("nginx version: ").map(|(_, version)| version.to_owned());
    version.ok_or_else(|| format!("nginx -v says: {said}"))
}

fn program_in(folders: impl Iterator<Item = PathBuf>) -> Result<PathBuf, String> {
    let found = folders.map(|folder| folder.join("nginx")).find(|program| program.is_file());
    found.ok_or_else(|| "no nginx on PATH or in /usr/sbin; install it (Debian: apt-get install nginx)".to_owned())
}

impl Nginx {
    /// Starts one before `upstream`, with as many workers as Polyhost has threads, and waits for all of them.
    ///
    /// # Errors
    /// What it has said last, where it ends before.
    pub(super) fn start(upstream: SocketAddr) -> Result<Nginx, String> {
        let said = |e: std::io::Error| format!("nginx: {e}");
        let workers = std::thread::available_parallelism().map_err(said)?.get();
        let (port, address) = free_port().map_err(said)?;
        let folder = tempfile::tempdir().map_err(said)?;
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, configuration(address, upstream, workers)).map_err(said)?;
        let this = this_program()?;
        let process = Process::start(Command::new(this).args(["serve-one", "nginx"]).arg(file), End::Terminate)?;
        let mut pids = vec![process.pid()];
        for _ in 0..workers {
            pids.push(process.wait_for(worker).map_err(|e| format!("nginx: {e}"))?);
        }
        Ok(Nginx { address, pids, _process: process, _folder: folder, _port: port })
    }

    /// The master and its workers.
    pub(super) fn pids(&self) -> &[u32] {
        &self.pids
    }
}

/// Becomes an nginx that ends with the process that started this one, however that ends.
pub(super) fn become_one(file: &Path) -> std::io::Result<()> {
    let program = program().map_err(std::io::Error::other)?;
    set_parent_process_death_signal(Some(Signal::TERM))?;
    let mut command = Command::new(program);
    // Else it opens the log of the machine's own nginx before it reads the configuration.
    command.args(["-e", "stderr", "-p"]).arg(file.parent().unwrap_or(Path::new("/"))).arg("-c").arg(file);
    Err(command.exec())
}

/// A port that is ours until the socket is dropped: bound, but not listened on, so that whoever else binds it with
/// SO_REUSEPORT gets all its connections.
fn free_port() -> std::io::Result<(TcpSocket, SocketAddr)> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseport(true)?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

/// The id of a worker, from the line that tells of its start.
fn worker(line: &str) -> Option<u32> {
    line.rsplit_once("start worker process ")?.1.trim().parse().ok()
}

/// Whatever is not needed is left out, in favour of nginx: no access log (Polyhost writes none either), no
/// X-Forwarded-For, no file for a body that is longer than its buffers. Connections are kept on both sides for as long as the bench runs.
fn configuration(address: SocketAddr, upstream: SocketAddr, workers: usize) -> String {
    format!(
        "daemon off;
worker_processes {workers};
pid nginx.pid;
error_log stderr notice;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_max_body_size 0;
    client_body_buffer_size 1m;
    proxy_max_temp_file_size 0;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    keepalive_requests 1000000000;
    keepalive_timeout 3600;
    upstream application {{
        server {upstream};
        keepalive 64;
        keepalive_requests 1000000000;
        keepalive_timeout 3600;
    }}
    server {{
        listen {address} reuseport;
        location / {{
            proxy_pass http://application;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_set_header Host $host;
        }}
    }}
}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_nginx_that_is_not_there_is_missed_by_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let search = || program_in([folder.path().to_owned()].into_iter());
        assert!(search().is_err_and(|error| error.contains("no nginx")));
        std::fs::write(folder.path().join("nginx"), "").expect("a file");
        assert_eq!(Ok(folder.path().join("nginx")), search());
    }

    #[test]
    fn workers_are_known_by_the_line_of_their_start() {
        assert_eq!(Some(4712), worker("2026/01/02 03:04:05 [notice] 4711#4711: start worker process 4712"));
        assert_eq!(None, worker("2026/01/02 03:04:05 [notice] 4711#4711: start worker processes"));
    }

    #[test]
    fn a_port_is_not_given_away_before_it_is_used() {
        let (_held, address) = free_port().expect("there are ports");
        std::net::TcpListener::bind(address).expect_err("it is held");
    }
}
