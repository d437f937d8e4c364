//! What of two transcripts has to be equal, in lines that can be read.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::case::{Case, Compares};
use crate::client::{Ending, Transcript};
use crate::response::{Framing, Progress, Response};

/// How much of a body is shown; the rest is compared by a hash.
const SHOWN: usize = 2048;

/// Compares what two servers did; a difference comes back as text.
pub(crate) fn compare(case: &Case, expected: (&str, &Transcript), got: (&str, &Transcript)) -> Result<(), String> {
    let (left, right) = (lines(expected.1, case.compares), lines(got.1, case.compares));
    if let Some(silent) = [expected, got].iter().find(|(_, it)| is_silent(it)) {
        let report = report(expected, got, &left, &right);
        return Err(format!("{} left the case waiting\n{report}", silent.0));
    }
    if left == right { Ok(()) } else { Err(report(expected, got, &left, &right)) }
}

/// What a server did, for whoever wants to know (`POLYHOST_HTTP_SHOW`).
pub(crate) fn show(case: &Case, transcript: &Transcript) -> String {
    let took = transcript.took.as_millis();
    let lines = lines(transcript, case.compares).join("\n    ");
    format!(
        "=== {} ({took} ms)\n    {}\n    ---\n    {lines}\n",
        case.name,
        raw(&transcript.sent).replace('\n', "\n    ")
    )
}

fn is_silent(transcript: &Transcript) -> bool {
    transcript.ending == Ending::Silent || transcript.others.iter().any(is_silent)
}

fn report(expected: (&str, &Transcript), got: (&str, &Transcript), left: &[String], right: &[String]) -> String {
    let mut text = String::new();
    let at = left.iter().zip(right).position(|(a, b)| a != b).unwrap_or(left.len().min(right.len()));
    let line = |lines: &[String]| lines.get(at).map_or("nothing", |line| line.trim()).to_owned();
    let _ = writeln!(text, "first difference, line {}:", at + 1);
    let _ = writeln!(text, "    {:<14} {}", expected.0, line(left));
    let _ = writeln!(text, "    {:<14} {}", got.0, line(right));
    let _ = writeln!(text, "--- sent ---\n{}", raw(&expected.1.sent));
    for ((name, transcript), lines) in [(expected, left), (got, right)] {
        let _ = writeln!(text, "--- {name} ---\n{}", lines.join("\n"));
        let _ = writeln!(text, "--- {name}, as received ---\n{}", raw(&transcript.received));
    }
    text
}

/// One line for each thing that is compared.
fn lines(transcript: &Transcript, compares: Compares) -> Vec<String> {
    let mut lines = Vec::new();
    let chunks = compares == Compares::Chunks;
    for response in &transcript.responses {
        describe(response, chunks, &mut lines);
    }
    match &transcript.incomplete {
        Some((_, Progress::Malformed(why))) => lines.push(format!("malformed: {why}")),
        // What had been received when the client left, or the server threw away what it had not sent, is chance.
        Some(_) if transcript.ending != Ending::Closed => lines.push("in the middle of a response".to_owned()),
        Some((response, _)) => {
            lines.push("incomplete:".to_owned());
            describe(response, chunks, &mut lines);
        }
        None if !transcript.rest.is_empty() && transcript.ending != Ending::Reset => {
            lines.push(format!("then {}", shown(&transcript.rest)))
        }
        None => {}
    }
    if compares == Compares::EndOnly {
        lines = vec![format!("ended by the server: {}", matches!(transcript.ending, Ending::Closed | Ending::Reset))];
        return lines;
    }
    // From what is no HTTP the client goes away, sooner or later.
    if !matches!(transcript.incomplete, Some((_, Progress::Malformed(_)))) {
        lines.push(format!("end: {:?}", transcript.ending));
    }
    for other in &transcript.others {
        lines.push("another connection:".to_owned());
        lines.extend(self::lines(other, compares));
    }
    lines
}

fn describe(response: &Response, chunks: bool, lines: &mut Vec<String>) {
    lines.push(format!("{} {} {}", response.version, response.status, response.reason));
    lines.extend(fields(&response.headers));
    let framing = match response.framing {
        Framing::None => "no body".to_owned(),
        Framing::Length(_) => "by length".to_owned(),
        Framing::Chunked if chunks => format!("chunks of {:?}", response.chunks),
        Framing::Chunked => "chunked".to_owned(),
        Framing::Close => "until the end".to_owned(),
        Framing::Upgraded => "upgraded".to_owned(),
    };
    lines.push(format!("  framing: {framing}"));
    lines.extend(body_lines(&response.body));
    if !response.trailers.is_empty() {
        lines.push("  trailers:".to_owned());
        lines.extend(fields(&response.trailers));
    }
}

/// Headers in the order of their names; those of one name stay in theirs.
fn fields(fields: &[(String, Vec<u8>)]) -> Vec<String> {
    let mut sorted: Vec<_> = fields.iter().collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    sorted.iter().map(|(name, value)| format!("  {name}: {}", normal(name, value))).collect()
}

/// The value of a header without what differs by its nature.
fn normal(name: &str, value: &[u8]) -> String {
    match (name, value) {
        ("Date", value) if is_date(value) => "<now>".to_owned(),
        ("Server", b"Kestrel" | b"Polyhost") => "<server>".to_owned(),
        _ => value.escape_ascii().to_string(),
    }
}

/// Whether it has the form of `Sun, 06 Nov 1994 08:49:37 GMT`.
fn is_date(value: &[u8]) -> bool {
    let form = b"Aaa, 00 Aaa 0000 00:00:00 GMT";
    let fits = |(&byte, &form): (&u8, &u8)| match form {
        b'A' => byte.is_ascii_uppercase(),
        b'a' => byte.is_ascii_lowercase(),
        b'0' => byte.is_ascii_digit(),
        _ => byte == form,
    };
    value.len() == form.len() && value.iter().zip(form).all(fits)
}

fn body_lines(body: &[u8]) -> Vec<String> {
    if body.len() > SHOWN {
        return vec![format!("  body: {}", shown(body))];
    }
    let lines = body.split_inclusive(|&byte| byte == b'\n');
    lines.map(|line| format!("  | {}", line.escape_ascii())).collect()
}

fn shown(bytes: &[u8]) -> String {
    if bytes.len() <= SHOWN {
        return bytes.escape_ascii().to_string();
    }
    let hash: String = Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{} bytes, SHA-256 {hash}…, {}…", bytes.len(), bytes[..40].escape_ascii())
}

/// Bytes as they were, one line for each of theirs.
fn raw(bytes: &[u8]) -> String {
    let there = &bytes[..bytes.len().min(SHOWN)];
    let lines: Vec<_> = there.split_inclusive(|&byte| byte == b'\n').map(|it| it.escape_ascii().to_string()).collect();
    let more = if bytes.len() > SHOWN { format!("\n… {} bytes in all", bytes.len()) } else { String::new() };
    lines.join("\n") + &more
}
