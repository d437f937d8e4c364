//! Messages arrive and come back as they were: the wire format from every side.

use polyhost_bridge::{CallContext, ErrorKind};
use prost::Message;

use super::{ECHO, expect_kind, function};
use crate::case::{Case, Cx, case};
use crate::golden::{canonical, delimited, full, nested, single_fields, varint, varint_field, vectors};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("messages::what_protoc_writes_comes_back").run(|cx| {
            check(cx, read(|name| name != NEGATIVE_ZERO));
        }),
        case("messages::a_map_of_protoc_to_a_negative_zero_comes_back").run(|cx| {
            check(cx, read(|name| name == NEGATIVE_ZERO));
        }),
        case("messages::texts_of_protoc_that_are_none_are_refused").run(|cx| {
            check_refused(cx, refused(|name| name.starts_with("no text")));
        }),
        case("messages::bytes_of_protoc_that_are_no_message_are_refused").run(|cx| {
            check_refused(cx, refused(|name| !name.starts_with("no text")));
        }),
        case("messages::every_field_comes_back_alone").run(|cx| check_same(cx, single_fields())),
        case("messages::every_field_comes_back_with_all_others").run(|cx| check_same(cx, [("all", full())])),
        case("messages::absent_and_default_are_told_apart").run(|cx| {
            check_same(
                cx,
                [
                    ("an optional 0", varint_field(21, 0)),
                    ("an optional empty string", delimited(22, b"")),
                    ("an optional false", varint_field(23, 0)),
                    ("an optional first value", varint_field(24, 0)),
                    ("a 0 in a oneof", varint_field(61, 0)),
                    ("an empty string in a oneof", delimited(62, b"")),
                    ("an empty message", delimited(17, b"")),
                    ("an empty message in a oneof", delimited(63, b"")),
                ],
            );
        }),
        case("messages::what_was_written_last_counts").run(|cx| {
            check(
                cx,
                [
                    ("a scalar twice", [varint_field(3, 1), varint_field(3, 2)].concat(), varint_field(3, 2)),
                    (
                        "a oneof twice",
                        [varint_field(61, 1), delimited(62, b"x"), varint_field(64, 1)].concat(),
                        varint_field(64, 1),
                    ),
                    (
                        "a message twice is merged",
                        [delimited(17, &varint_field(3, 1)), delimited(17, &varint_field(4, 2))].concat(),
                        delimited(17, &[varint_field(3, 1), varint_field(4, 2)].concat()),
                    ),
                    (
                        "a key of a map twice",
                        [
                            entry(51, &delimited(1, b"k"), &delimited(2, b"1")),
                            entry(51, &delimited(1, b"k"), &delimited(2, b"2")),
                        ]
                        .concat(),
                        entry(51, &delimited(1, b"k"), &delimited(2, b"2")),
                    ),
                ],
            );
        }),
        case("messages::lists_may_be_packed_or_not").run(|cx| {
            let packed = |number| delimited(number, &[varint(1), varint(300), varint(u64::MAX)].concat());
            let unpacked =
                |number| [varint_field(number, 1), varint_field(number, 300), varint_field(number, u64::MAX)].concat();
            check(
                cx,
                [
                    ("packed, declared packed", packed(31), unpacked(31)),
                    ("unpacked, declared packed", unpacked(31), packed(31)),
                    ("packed, declared unpacked", packed(38), unpacked(38)),
                    ("some packed, some not", [packed(31), unpacked(31)].concat(), [unpacked(31), packed(31)].concat()),
                    ("enums", packed(36), unpacked(36)),
                    ("an empty packed list", delimited(31, b""), Vec::new()),
                ],
            );
        }),
        case("messages::map_entries_may_lack_key_or_value").run(|cx| {
            check(
                cx,
                [
                    ("no key", entry(51, b"", &delimited(2, b"v")), entry(51, &delimited(1, b""), &delimited(2, b"v"))),
                    (
                        "no value",
                        entry(51, &delimited(1, b"k"), b""),
                        entry(51, &delimited(1, b"k"), &delimited(2, b"")),
                    ),
                    ("neither", entry(52, b"", b""), entry(52, &varint_field(1, 0), &varint_field(2, 0))),
                    (
                        "no message",
                        entry(53, &delimited(1, b"k"), b""),
                        entry(53, &delimited(1, b"k"), &delimited(2, b"")),
                    ),
                    (
                        "value first",
                        entry(51, &delimited(2, b"v"), &delimited(1, b"k")),
                        entry(51, &delimited(1, b"k"), &delimited(2, b"v")),
                    ),
                ],
            );
        }),
        case("messages::integers_are_read_as_the_wire_format_says").run(|cx| {
            check(
                cx,
                [
                    ("a negative int32 has ten bytes", varint_field(3, u64::MAX), varint_field(3, -1_i64 as u64)),
                    ("an int32 keeps its lower bits", varint_field(3, 1 << 32 | 5), varint_field(3, 5)),
                    ("a uint32 keeps its lower bits", varint_field(5, 1 << 32 | 5), varint_field(5, 5)),
                    ("a sint32 keeps its lower bits", varint_field(7, 1 << 32 | 2), varint_field(7, 2)),
                    ("an enum keeps its lower bits", varint_field(16, 1 << 32 | 2), varint_field(16, 2)),
                    ("a bool is any number but 0", varint_field(13, 1 << 40), varint_field(13, 1)),
                    ("a varint with idle bytes", vec![0x18, 0x85, 0x80, 0x80, 0x00], varint_field(3, 5)),
                    ("keys with idle bytes", vec![0x98, 0x80, 0x00, 0x05], varint_field(3, 5)),
                ],
            );
        }),
        case("messages::unknown_fields_come_back").run(|cx| {
            let fixed32 = [varint(1000 << 3 | 5), vec![1, 2, 3, 4]].concat();
            let fixed64 = [varint(1001 << 3 | 1), vec![1, 2, 3, 4, 5, 6, 7, 8]].concat();
            check_same(
                cx,
                [
                    ("a varint", varint_field(1000, u64::MAX)),
                    ("fixed32", fixed32.clone()),
                    ("fixed64", fixed64.clone()),
                    ("bytes", delimited(1002, b"\0\xff")),
                    ("the highest number", varint_field((1 << 29) - 1, 1)),
                    ("among known ones", [varint_field(3, 1), fixed32, varint_field(4, 2), fixed64].concat()),
                    ("in a nested message", delimited(17, &varint_field(1000, 7))),
                    ("in a list", [delimited(37, &varint_field(1000, 7)), delimited(37, b"")].concat()),
                    ("in a map", entry(53, &delimited(1, b"k"), &delimited(2, &varint_field(1000, 7)))),
                    ("in a well-known type", delimited(71, &[varint_field(1, 5), varint_field(9, 1)].concat())),
                    ("the same one twice", [varint_field(1000, 1), varint_field(1000, 2)].concat()),
                ],
            );
        }),
        case("messages::well_known_types_come_back").run(|cx| {
            let structure = |fields: &[(&str, Vec<u8>)]| -> Vec<u8> {
                let field =
                    |(key, value): &(&str, Vec<u8>)| entry(1, &delimited(1, key.as_bytes()), &delimited(2, value));
                fields.iter().flat_map(field).collect()
            };
            let number = |number: f64| [vec![0x11], number.to_le_bytes().to_vec()].concat();
            let (null, yes, text) = (varint_field(1, 0), varint_field(4, 1), delimited(3, "ü".as_bytes()));
            let list = [null.clone(), number(-1.5), text.clone()].map(|value| delimited(1, &value)).concat();
            let inner = structure(&[("deep", yes.clone())]);
            let all = structure(&[
                ("null", null),
                ("number", number(1e300)),
                ("text", text),
                ("yes", yes),
                ("inner", delimited(5, &inner)),
                ("list", delimited(6, &list)),
            ]);
            let any =
                [delimited(1, b"type.googleapis.com/conformance.v1.AddRequest"), delimited(2, &varint_field(1, 5))];
            check_same(
                cx,
                [
                    (
                        "a timestamp",
                        delimited(71, &[varint_field(1, 1_700_000_000), varint_field(2, 999_999_999)].concat()),
                    ),
                    ("a timestamp before 1970", delimited(71, &varint_field(1, -62_135_596_800_i64 as u64))),
                    (
                        "a duration",
                        delimited(72, &[varint_field(1, -3_i64 as u64), varint_field(2, -500_i64 as u64)].concat()),
                    ),
                    ("an Any", delimited(73, &any.concat())),
                    ("a Struct", delimited(74, &all)),
                    ("an Int64Value", delimited(75, &varint_field(1, i64::MIN as u64))),
                    ("an Int64Value of 0", delimited(75, b"")),
                    ("a StringValue", delimited(76, &delimited(1, "日本".as_bytes()))),
                    ("a ListValue", delimited(77, &list)),
                ],
            );
        }),
        case("messages::ninety_levels_come_back").run(|cx| check_same(cx, [("90 levels", nested(90))])),
        case("messages::two_hundred_levels_are_refused").run(|cx| {
            check_refused(cx, [("200 levels", nested(200)), ("100,000 levels", nested(100_000))]);
        }),
        case("messages::text_that_is_no_utf8_is_refused").run(|cx| {
            let wrong = [&b"\xff"[..], b"a\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80"];
            let fields = |text: &[u8]| {
                [
                    ("a field", delimited(14, text)),
                    ("an optional", delimited(22, text)),
                    ("a list", delimited(34, text)),
                    ("a key", entry(51, &delimited(1, text), b"")),
                    ("a value", entry(51, b"", &delimited(2, text))),
                    ("a oneof", delimited(62, text)),
                    ("a nested message", delimited(17, &delimited(14, text))),
                    ("a StringValue", delimited(76, &delimited(1, text))),
                ]
            };
            check_refused(cx, wrong.iter().flat_map(|text| fields(text)));
        }),
        case("messages::what_is_cut_off_is_refused").run(|cx| {
            let full = full();
            // Short of the long texts, where nothing new happens.
            let cuts = (1..full.len().min(3000)).chain((3000..full.len()).step_by(full.len() / 50));
            let (whole, broken): (Vec<_>, Vec<_>) = cuts
                .map(|len| (format!("the first {len} bytes"), full[..len].to_vec()))
                .partition(|(_, bytes)| canonical(bytes).is_ok());
            assert!(!broken.is_empty());
            check_same(cx, whole);
            check_refused(cx, broken);
        }),
        case("messages::what_is_malformed_is_refused").run(|cx| {
            check_refused(
                cx,
                [
                    ("field number 0", vec![0x00, 0x01]),
                    ("wire type 6", vec![0x1e, 0x01]),
                    ("wire type 7", vec![0x1f, 0x01]),
                    ("a varint of eleven bytes", [vec![0x18], vec![0x80; 10], vec![0x01]].concat()),
                    ("a length beyond the end", vec![0x72, 0x7f, 0x61]),
                    ("a length beyond all memory", [vec![0x72], varint(u64::MAX)].concat()),
                    ("a length of 2 GiB", [vec![0x72], varint(1 << 31)].concat()),
                    ("a list packed to half a number", delimited(33, &[0; 12])),
                    ("the end of a group alone", vec![0x1c]),
                    ("a group without end", vec![0xc3, 0x3e, 0x08, 0x01]),
                ],
            );
        }),
        case("messages::noise_is_refused_or_read_and_never_more").run(|cx| {
            let echo = function(&*cx.module(), ECHO.name());
            let (full, mut random) = (full(), Random(0x9e37_79b9_7f4a_7c15));
            let start = full[..full.len().min(2000)].to_vec();
            for _ in 0..300 {
                let mut noise = start.clone();
                for _ in 0..=random.below(8) {
                    let at = random.below(noise.len());
                    noise[at] = random.below(256) as u8;
                }
                noise.truncate(random.below(noise.len()) + 1);
                if let Err(error) = cx.call(&echo, &CallContext::none(), &noise) {
                    expect_kind(ErrorKind::Decode, &error);
                }
            }
            check_same(cx, [("all, afterwards", full)]);
        }),
        case("messages::the_reply_of_a_typed_call_is_a_prost_message").run(|cx| {
            let request = polyhost_proto::conformance::v1::AllTypes::decode(&*full()).expect("prost reads it");
            let reply = cx.invoke(&*cx.module(), ECHO, &request).expect("echoes");
            assert_eq!(canonical(&request.encode_to_vec()), canonical(&reply.encode_to_vec()));
        }),
    ]
}

const NEGATIVE_ZERO: &str = "a map to a negative zero";

/// What protoc has written that is to be read, and what comes back of it.
fn read(is_asked: impl Fn(&str) -> bool) -> Vec<(String, Vec<u8>, Vec<u8>)> {
    let vectors = vectors().into_iter().filter(|it| !it.refused && is_asked(&it.name));
    let vectors: Vec<_> = vectors.map(|it| (it.name.clone(), it.input().to_vec(), it.expected().to_vec())).collect();
    assert!(!vectors.is_empty());
    vectors
}

/// What protoc has written that is to be refused.
fn refused(is_asked: impl Fn(&str) -> bool) -> Vec<(String, Vec<u8>)> {
    let vectors = vectors().into_iter().filter(|it| it.refused && is_asked(&it.name));
    vectors.map(|it| (it.name.clone(), it.input().to_vec())).collect()
}

/// A map's entry.
fn entry(number: u32, key: &[u8], value: &[u8]) -> Vec<u8> {
    delimited(number, &[key, value].concat())
}

/// Checks that each message comes back as it is.
fn check_same(cx: &Cx<'_>, messages: impl IntoIterator<Item = (impl Into<String>, Vec<u8>)>) {
    check(cx, messages.into_iter().map(|(name, bytes)| (name, bytes.clone(), bytes)));
}

/// Checks that each message comes back as the one behind it, and reports all that do not.
fn check(cx: &Cx<'_>, messages: impl IntoIterator<Item = (impl Into<String>, Vec<u8>, Vec<u8>)>) {
    let echo = function(&*cx.module(), ECHO.name());
    let mut wrong = Vec::new();
    for (name, input, expected) in messages {
        let expected = canonical(&expected).expect("the suite's own messages are right");
        let actual = match cx.call(&echo, &CallContext::none(), &input) {
            Ok(reply) => canonical(&reply).unwrap_or_else(|error| format!("{reply:02x?}, no message: {error}")),
            Err(error) => format!("{error:?}"),
        };
        if expected != actual {
            wrong.push(format!("{}:\n  expected {}\n  actual   {}", name.into(), short(&expected), short(&actual)));
        }
    }
    assert!(wrong.is_empty(), "{} came back otherwise\n{}", wrong.len(), first_of(&wrong));
}

/// Checks that each is refused as no message, and reports all that are not.
fn check_refused(cx: &Cx<'_>, inputs: impl IntoIterator<Item = (impl Into<String>, Vec<u8>)>) {
    let echo = function(&*cx.module(), ECHO.name());
    let mut wrong = Vec::new();
    for (name, input) in inputs {
        match cx.call(&echo, &CallContext::none(), &input) {
            Ok(reply) => wrong.push(format!("{}: {:02x?} came back", name.into(), &reply[..reply.len().min(40)])),
            Err(error) if error.kind() == ErrorKind::Decode => {}
            Err(error) => wrong.push(format!("{}: is refused as {}: {error}", name.into(), error.kind().name())),
        }
    }
    assert!(wrong.is_empty(), "{} were not refused as they should be\n{}", wrong.len(), first_of(&wrong));
}

/// Those that fit a screen.
fn first_of(lines: &[String]) -> String {
    lines[..lines.len().min(20)].join("\n")
}

fn short(text: &str) -> String {
    if text.chars().count() <= 300 {
        return text.to_owned();
    }
    let start: String = text.chars().take(300).collect();
    format!("{start} … ({} bytes)", text.len())
}

/// xorshift64*: the same numbers at every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }
}
