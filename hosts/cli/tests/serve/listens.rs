//! Where a server listens, and by whose word.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use crate::running::{Running, body, exchange, inheriting, over_unix, request, serve, serve_inherited, takeover};

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port").port()
}

/// Writes settings into a folder of its own, which is where the server is started.
fn folder(file: &str, text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join(file), text).expect("written");
    folder
}

fn check(mut command: Command, port: u16, by: &str) {
    command.env_remove("NO_COLOR");
    let running = Running::start(command);
    assert!(running.get("/hello").starts_with("HTTP/1.1 200 "));
    assert_eq!(port, running.address().port());
    let said = running.stop();
    assert!(said.contains(&format!(":{port} ({by})")), "{said}");
}

#[test]
fn at_a_url_of_the_arguments_or_of_a_variable() {
    let Some(app) = takeover() else { return };
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    check(serve(&app, &["--", "--urls", &url]), port, "the application's urls");
    let mut command = serve(&app, &[]);
    command.env("ASPNETCORE_URLS", &url);
    check(command, port, "the application's urls");
    let mut command = serve(&app, &[]);
    command.env("ASPNETCORE_HTTP_PORTS", port.to_string()).env("TAKEOVER_WAY", "create");
    check(command, port, "the application's urls");
}

#[test]
fn at_endpoints_of_appsettings_before_urls() {
    let Some(app) = takeover() else { return };
    let port = free_port();
    let endpoints =
        format!(r#"{{ "Kestrel": {{ "Endpoints": {{ "Http": {{ "Url": "http://127.0.0.1:{port}" }} }} }} }}"#);
    let folder = folder("appsettings.json", &endpoints);
    let mut command = serve(&app, &["--", "--urls", "http://127.0.0.1:1"]);
    command.current_dir(folder.path());
    check(command, port, "the application's Kestrel endpoints");
}

#[test]
fn at_what_the_file_says_before_the_application_and_after_the_command_line() {
    let Some(app) = takeover() else { return };
    let [port, other] = [free_port(), free_port()];
    let folder = folder("polyhost.toml", &format!("[server]\nlisten = [\"127.0.0.1:{port}\"]\n"));
    let mut command = serve(&app, &["--", "--urls", "http://127.0.0.1:1"]);
    command.current_dir(folder.path());
    check(command, port, "polyhost.toml");
    let mut command = serve(&app, &["--listen", &format!("127.0.0.1:{other}")]);
    command.current_dir(folder.path());
    check(command, other, "--listen");
}

#[test]
fn the_file_names_the_application_its_arguments_and_variables() {
    let Some(app) = takeover() else { return };
    let text = format!(
        "[app]\npath = {app:?}\nargs = [\"--setting\", \"of the file\"]\nenvironment = {{ TAKEOVER_SETTING = \"its own\" }}\n\
         [server]\nlisten = [\"127.0.0.1:0\"]\n[limits]\nmax_request_body_size = 3\n"
    );
    let folder = folder("other.toml", &text);
    let mut command = serve(Path::new("--config"), &["other.toml"]);
    command.current_dir(folder.path());
    let running = Running::start(command);
    let env = running.env();
    for (name, expected) in
        [("from the arguments", "of the file"), ("from a variable", "its own"), ("before Main", "its own")]
    {
        assert_eq!(expected, env[name], "{name}");
    }
    assert!(post(&running, "1234").starts_with("HTTP/1.1 413 "));
    running.stop();
}

#[test]
fn after_it_has_asked_for_what_the_file_says() {
    let Some(app) = takeover() else { return };
    let text = "[server]\nlisten = [\"127.0.0.1:0\"]\nwarm_up = [\"/count\", \"/count?again\", \"/nothing\"]\n";
    let folder = folder("polyhost.toml", text);
    let mut command = serve(&app, &[]);
    command.current_dir(folder.path());
    let running = Running::start(command);
    assert_eq!("3", body(&running.get("/count")));
    let said = running.stop();
    assert!(said.contains("note: GET /nothing to warm up was answered with 404"), "{said}");
    // Nobody asks for anything of their own accord.
    let running = Running::start(serve(&app, &["--listen", "127.0.0.1:0"]));
    assert_eq!("1", body(&running.get("/count")));
    running.stop();
}

fn post(running: &Running, body: &str) -> String {
    let stream = TcpStream::connect(running.address()).expect("it listens");
    let length = body.len();
    exchange(
        stream,
        &format!("POST /length HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"),
    )
}

#[test]
fn with_the_limits_and_endpoints_of_configure_kestrel() {
    let Some(app) = takeover() else { return };
    for way in ["create", "slim", "empty", "generic", "legacy"] {
        let port = free_port();
        let mut command = serve(&app, &["--", "--urls", "http://127.0.0.1:1"]);
        command.env("TAKEOVER_KESTREL", "limits").env("TAKEOVER_PORT", port.to_string()).env("TAKEOVER_WAY", way);
        let running = Running::start(command);
        assert_eq!(vec![format!("http://localhost:{port}")], running.urls, "{way}");
        let answer = post(&running, "1234567890");
        assert!(answer.starts_with("HTTP/1.1 200 ") && body(&answer) == "10", "{way}: {answer}");
        assert!(!answer.contains("Server:"), "{answer}");
        assert!(post(&running, "12345678901").starts_with("HTTP/1.1 413 "), "{way}");
        let said = running.stop();
        assert!(said.contains("not listening at http://127.0.0.1:1: "), "{way}: {said}");
    }
}

#[test]
fn without_the_tls_that_it_can_not_serve() {
    let Some(app) = takeover() else { return };
    let mut command = serve(&app, &[]);
    command.env("TAKEOVER_KESTREL", "mixed");
    let running = Running::start(command);
    assert_eq!(1, running.urls.len(), "{:?}", running.urls);
    assert!(running.get("/hello").starts_with("HTTP/1.1 200 "));
    let said = running.stop();
    assert!(said.contains("17185") || said.contains("certificate"), "{said}");
}

#[test]
fn at_a_unix_socket() {
    let Some(app) = takeover() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("app.sock");
    let by_argument = serve(&app, &["--listen", &format!("unix:{}", socket.display())]);
    let mut by_code = serve(&app, &[]);
    by_code.env("TAKEOVER_KESTREL", "unix").env("TAKEOVER_SOCKET", &socket);
    let by_url = serve(&app, &["--", "--urls", &format!("http://unix:{}", socket.display())]);
    for command in [by_argument, by_code, by_url] {
        let running = Running::start(command);
        assert_eq!("Hello", body(&over_unix(&socket, "/hello")));
        running.stop();
        assert!(!socket.exists(), "the socket is left behind");
    }
}

#[test]
fn at_an_inherited_listener() {
    let Some(app) = takeover() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let running = Running::start(serve_inherited(&app, &listener));
    assert_eq!(listener.local_addr().expect("an address").port(), running.address().port());
    assert_eq!("Hello", body(&running.get("/hello")));
    running.stop();
}

#[test]
fn at_several_inherited_listeners_by_their_names() {
    let Some(app) = takeover() else { return };
    let sockets = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    let [admin, first, second] = [0, 1, 2].map(|n: usize| sockets[n].local_addr().expect("an address"));
    let listen = ["--listen", "systemd:second", "--listen", "systemd:first", "--admin", "systemd:admin"];
    let mut running = Running::start(inheriting(&sockets, "admin:first:second", &serve(&app, &listen)));
    assert_eq!(vec![format!("http://{second}"), format!("http://{first}")], running.urls);
    assert_eq!(admin, running.admin());
    for address in [first, second] {
        let stream = TcpStream::connect(address).expect("it listens");
        assert_eq!("Hello", body(&request(stream, "/hello")));
    }
    let stream = TcpStream::connect(admin).expect("it listens");
    assert_eq!("ready\n", body(&request(stream, "/readyz")));
    running.stop();
}
