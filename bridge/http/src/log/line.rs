//! How a line of the access log is written.

use std::fmt;
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Entry, LogFormat, Outcome, Texts};
use crate::app::Endpoint;
use crate::head::Version;

/// Appends the line of a request.
pub(super) fn write(out: &mut Vec<u8>, format: LogFormat, entry: &Entry, dates: &mut Dates) {
    match format {
        LogFormat::Common => common(out, entry, dates),
        LogFormat::Combined => {
            common(out, entry, dates);
            for text in [Texts::REFERRER, Texts::AGENT] {
                out.extend_from_slice(b" \"");
                escaped(out, entry.texts.get(text).unwrap_or(b"-"));
                out.push(b'"');
            }
        }
        LogFormat::Json => json(out, entry, dates),
    }
    out.push(b'\n');
}

fn common(out: &mut Vec<u8>, entry: &Entry, dates: &mut Dates) {
    match entry.remote {
        Endpoint::Ip(address) => put(out, format_args!("{}", address.ip())),
        Endpoint::Unnamed => out.push(b'-'),
    }
    put(out, format_args!(" - - [{}] \"", dates.of(entry.begun).common));
    match entry.version {
        Some(version) => {
            escaped(out, entry.texts.get(Texts::METHOD).unwrap_or_default());
            out.push(b' ');
            escaped(out, entry.texts.get(Texts::TARGET).unwrap_or_default());
            put(out, format_args!(" HTTP/{}", text(version)));
        }
        None => out.push(b'-'),
    }
    put(out, format_args!("\" {} ", entry.status));
    // The format's "no bytes" is a hyphen.
    if entry.bytes == 0 { out.push(b'-') } else { put(out, format_args!("{}", entry.bytes)) }
}

fn json(out: &mut Vec<u8>, entry: &Entry, dates: &mut Dates) {
    let millis = entry.begun.duration_since(UNIX_EPOCH).unwrap_or_default().subsec_millis();
    put(out, format_args!("{{\"time\":\"{}.{millis:03}Z\"", dates.of(entry.begun).iso));
    if let Endpoint::Ip(address) = entry.remote {
        put(out, format_args!(",\"remote\":\"{address}\""));
    }
    let id = request_id(entry.connection, entry.number);
    put(out, format_args!(",\"connection\":\"{}\"", &id[..13]));
    if let Some(version) = entry.version {
        put(out, format_args!(",\"request\":\"{id}\""));
        let names = [
            ("method", Texts::METHOD),
            ("target", Texts::TARGET),
            ("host", Texts::HOST),
            ("referrer", Texts::REFERRER),
            ("user_agent", Texts::AGENT),
            ("trace_id", Texts::TRACE),
        ];
        for (name, text) in names {
            if let Some(text) = entry.texts.get(text) {
                put(out, format_args!(",\"{name}\":"));
                json_string(out, text);
            }
        }
        put(out, format_args!(",\"protocol\":\"HTTP/{}\"", text(version)));
    }
    put(out, format_args!(",\"status\":{},\"bytes\":{}", entry.status, entry.bytes));
    put(out, format_args!(",\"duration_ms\":{}", Millis(entry.total)));
    if entry.version.is_some() {
        put(out, format_args!(",\"handle_ms\":{}", Millis(entry.handle)));
        if let Some(first) = entry.first {
            put(out, format_args!(",\"first_byte_ms\":{}", Millis(first)));
        }
        put(out, format_args!(",\"inline\":{}", entry.inline));
    }
    let outcome = match entry.outcome {
        Outcome::Complete => "complete",
        Outcome::Lost => "client_gone",
        Outcome::Cut => "cut",
        Outcome::Refused => "refused",
    };
    put(out, format_args!(",\"outcome\":\"{outcome}\"}}"));
}

/// What .NET calls the request: `HttpContext.TraceIdentifier`, the `Connection.Id`'s 13 characters before its colon.
pub(crate) fn request_id(connection: u64, number: u64) -> String {
    let digit = |i: u32| char::from(b"0123456789ABCDEFGHIJKLMNOPQRSTUV"[(connection >> (60 - 5 * i)) as usize & 31]);
    let connection: String = (0..13).map(digit).collect();
    format!("{connection}:{:08X}", number as u32)
}

/// Milliseconds to the microsecond.
pub(crate) fn millis_of(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e3
}

/// The same as text, which whole numbers make faster.
struct Millis(Duration);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0.as_millis(), self.0.subsec_micros() % 1000)
    }
}

fn text(version: Version) -> &'static str {
    match version {
        Version::Http10 => "1.0",
        Version::Http11 => "1.1",
        Version::Http2 => "2.0",
    }
}

/// Text between quotation marks, for a reader of lines: what is not plain ASCII becomes `\xHH`, as nginx writes it.
fn escaped(out: &mut Vec<u8>, text: &[u8]) {
    for &byte in text {
        match byte {
            b'"' | b'\\' | ..=0x1f | 0x7f.. => put(out, format_args!("\\x{byte:02X}")),
            plain => out.push(plain),
        }
    }
}

/// A string of JSON. Control characters are escaped, those above ASCII, too: a terminal may obey them.
pub(crate) fn json_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~' if *byte != b'"' && *byte != b'\\');
    if text.iter().all(is_plain) {
        out.extend_from_slice(text);
        return out.push(b'"');
    }
    for c in String::from_utf8_lossy(text).chars() {
        match c {
            '"' | '\\' => out.extend_from_slice(&[b'\\', c as u8]),
            c if c.is_control() => put(out, format_args!("\\u{:04x}", c as u32)),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

/// The text of a second; most lines have that of the line before.
#[derive(Debug, Default)]
pub(super) struct Dates {
    second: Option<u64>,
    /// `21/Nov/2026:14:54:05 +0000`
    common: String,
    /// `2026-11-21T14:54:05`
    iso: String,
}

impl Dates {
    fn of(&mut self, time: SystemTime) -> &Self {
        let second = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if self.second != Some(second) {
            self.second = Some(second);
            // `Sat, 21 Nov 2026 14:54:05 GMT`
            let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
            let (day, month, year, clock) = (&date[5..7], &date[8..11], &date[12..16], &date[17..25]);
            let number = "JanFebMarAprMayJunJulAugSepOctNovDec".find(month).unwrap_or_default() / 3 + 1;
            self.common = format!("{day}/{month}/{year}:{clock} +0000");
            self.iso = format!("{year}-{number:02}-{day}T{clock}");
        }
        self
    }
}

fn put(out: &mut Vec<u8>, what: std::fmt::Arguments<'_>) {
    out.write_fmt(what).expect("memory takes everything");
}
