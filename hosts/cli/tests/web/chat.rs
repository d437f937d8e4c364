//! The chat of hosts/examples/chat, by the npm client of SignalR.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Stdio};

use crate::running::{serve, serve_inherited};
use crate::tools::{self, example, node};

#[test]
fn people_talk_over_websockets() {
    check_rooms("WebSockets");
}

#[test]
fn people_talk_over_server_sent_events() {
    check_rooms("ServerSentEvents");
}

#[test]
fn people_talk_over_long_polling() {
    check_rooms("LongPolling");
}

fn check_rooms(transport: &str) {
    let (Some(app), Some(mut client)) = (example("Chat"), node("chat_client.js")) else { return };
    let server = tools::start(serve(&app, &["--listen", "127.0.0.1:0"]), &app);
    let output = client.arg("rooms").arg(server.address().to_string()).arg(transport).output().expect("Node starts");
    let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", told(&output.stdout), told(&output.stderr));
    server.stop();
}

/// Over each transport; once the server says goodbye, and once it does not.
#[test]
fn people_come_back_when_the_server_does() {
    let (Some(app), Some(mut client)) = (example("Chat"), node("chat_client.js")) else { return };
    // Ours all the time, so that nobody else gets the port while there is no server.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let mut server = tools::start(serve_inherited(&app, &listener), &app);
    client.arg("returns").arg(address.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut people = client.spawn().expect("Node starts");
    let mut lines = BufReader::new(people.stdout.take().expect("piped")).lines().map_while(Result::ok);
    for is_polite in [true, false] {
        assert_eq!(Some("end the server"), lines.next().as_deref(), "{}", end(&mut people));
        if is_polite {
            server.stop();
        } else {
            drop(server);
        }
        server = tools::start(serve_inherited(&app, &listener), &app);
        writeln!(people.stdin.as_ref().expect("piped"), "another is there").expect("it reads");
    }
    assert_eq!(Some("done"), lines.next().as_deref(), "{}", end(&mut people));
    assert!(people.wait().expect("it ends").success());
    server.stop();
}

/// What somebody who has gone wrong has to say.
fn end(people: &mut Child) -> String {
    // It may have ended by itself.
    let _ = people.kill();
    let mut said = String::new();
    people.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
    said
}
