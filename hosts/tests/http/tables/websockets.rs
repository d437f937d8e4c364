//! WebSockets: the handshake, and frames, by ASP.NET's own middleware on the server's duplex stream.

use crate::case::{Case, End, Script, case, events, request, scripted};

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";

/// The operation codes of frames.
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

pub(crate) fn cases() -> Vec<Case> {
    let mut all = handshakes();
    let hello = frame(TEXT, b"hello");
    let bye = frame(CLOSE, &[3, 232]);
    let talk = |name: &str, script: Script| {
        let ask = request("GET", "/websocket", &[UPGRADE, KEY, VERSION].concat());
        let steps = Script::new().send(ask).until("\r\n\r\n").steps.into_iter().chain(script.steps).collect();
        scripted(name, Script { steps, end: End::Read, ..Script::new() })
    };
    let large = vec![b'x'; 60_000];
    let larger = vec![b'y'; 70_000];
    all.extend([
        talk("a message", Script::new().send(hello.clone()).until("hello").send(bye.clone())),
        talk("an empty message", Script::new().send(frame(TEXT, b"")).send(bye.clone())),
        talk("a binary message", Script::new().send(frame(BINARY, &[0, 255, 1])).send(bye.clone())),
        talk("a large message", Script::new().send(frame(BINARY, &large)).until(vec![b'x'; 60_000]).send(bye.clone())),
        talk("a message beyond the buffer", Script::new().send(frame(BINARY, &larger)).send(bye.clone())),
        talk("messages at once", Script::new().send(hello.repeat(20)).send(bye.clone())),
        talk("a ping", Script::new().send(frame(PING, b"are you there")).until("are you there").send(bye.clone())),
        talk("a pong", Script::new().send(frame(PONG, b"nothing")).send(bye.clone())),
        talk("fragments", Script::new().send([parts(b"one", b"two"), bye.clone()].concat())),
        talk("a close alone", Script::new().send(bye.clone())),
        talk("a close without a status", Script::new().send(frame(CLOSE, b""))),
        talk("a close with a reason", Script::new().send(frame(CLOSE, b"\x03\xe9going"))),
        talk(
            "a close of the server",
            Script::new().send(frame(TEXT, b"close")).until("asked to").send(frame(CLOSE, &[3, 233])),
        ),
        talk("an abort of the server", Script::new().send(frame(TEXT, b"abort"))),
        talk("a frame without a mask", Script::new().send(b"\x81\x05hello".to_vec())),
        talk("a reserved bit", Script::new().send([&[0xc1][..], &hello[1..]].concat())),
        talk("an unknown operation", Script::new().send(frame(3, b"x"))),
        talk("a ping that is too long", Script::new().send(frame(PING, &[b'x'; 126]))),
        talk("text that is no UTF-8", Script::new().send(frame(TEXT, &[0xff])).send(bye.clone())),
        talk(
            "a frame byte by byte",
            Script::new().step(crate::case::Step::SendSlowly(hello.clone())).until("hello").send(bye),
        ),
    ]);
    for (name, end) in [("gone", End::Close), ("reset", End::Reset)] {
        let key = format!("websocket-{name}");
        let ask = request("GET", &format!("/websocket?key={key}"), &[UPGRADE, KEY, VERSION].concat());
        let script = Script::new().send(ask).until("\r\n\r\n").send(hello.clone()).until("hello").end(end);
        all.push(scripted(format!("a client that is {name}"), script.afterwards(events(&key, "end"))));
    }
    all
}

fn handshakes() -> Vec<Case> {
    let refused = |name: &str, headers: &[&str]| {
        case(format!("refused with {name}"), request("GET", "/websocket", &headers.concat()))
    };
    let accepted = |name: &str, target: &str, headers: &str| {
        let ask = request("GET", target, &[UPGRADE, KEY, VERSION, headers].concat());
        let script = Script::new().send(ask).until("\r\n\r\n").send(frame(CLOSE, &[3, 232])).end(End::Read);
        scripted(format!("accepted with {name}"), script)
    };
    vec![
        refused("no headers", &[]),
        refused("no key", &[UPGRADE, VERSION]),
        refused("no version", &[UPGRADE, KEY]),
        refused("another version", &[UPGRADE, KEY, "Sec-WebSocket-Version: 12\r\n"]),
        refused("a short key", &[UPGRADE, VERSION, "Sec-WebSocket-Key: abc\r\n"]),
        refused("no connection", &["Upgrade: websocket\r\n", KEY, VERSION]),
        refused("another protocol", &["Connection: Upgrade\r\nUpgrade: other\r\n", KEY, VERSION]),
        accepted("nothing more", "/websocket", ""),
        accepted("a protocol", "/websocket", "Sec-WebSocket-Protocol: chat, other\r\n"),
        accepted("a protocol that is not there", "/websocket", "Sec-WebSocket-Protocol: other\r\n"),
        accepted("compression that is not wanted", "/websocket", "Sec-WebSocket-Extensions: permessage-deflate\r\n"),
        accepted("compression", "/websocket?compress=1", "Sec-WebSocket-Extensions: permessage-deflate\r\n"),
        accepted("an origin", "/websocket", "Origin: http://elsewhere\r\n"),
    ]
}

/// A whole message of a client, masked as it has to be.
fn frame(operation: u8, payload: &[u8]) -> Vec<u8> {
    masked(0x80 | operation, payload)
}

/// A message in two fragments.
fn parts(first: &[u8], last: &[u8]) -> Vec<u8> {
    [masked(TEXT, first), masked(0x80, last)].concat()
}

fn masked(start: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [1, 2, 3, 4];
    let mut bytes = vec![start];
    match payload.len() {
        length @ 0..=125 => bytes.push(0x80 | length as u8),
        length @ 126..=65535 => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}
