//! Messages as tables: what crosses comes back the same, and what is no message is told where and why.

mod common;

use std::sync::Arc;

use common::{call, conformance, load_proto};
use polyhost_bridge::{Error, ErrorKind, Module};
use polyhost_proto::conformance::v1::{AllTypes, Colour, all_types};
use polyhost_testkit::{Random, canonical};
use prost::Message;
use prost_reflect::{DescriptorPool, MessageDescriptor};

const ECHO: &str = "conformance.v1.Conformance/Echo";

fn all_types() -> MessageDescriptor {
    let pool = DescriptorPool::decode(polyhost_proto::DESCRIPTORS).expect("a FileDescriptorSet");
    pool.get_message_by_name("conformance.v1.AllTypes").expect("it is there")
}

fn check_same(expected: &[u8], reply: &[u8], what: &str) {
    let text = |bytes| canonical::text(&all_types(), bytes);
    assert_eq!(text(expected), text(reply), "{what}");
}

#[test]
fn random_messages_come_back_the_same() {
    let module = conformance();
    for seed in 0..200 {
        let bytes = Random::new(seed).message(&all_types(), 0).encode_to_vec();
        let reply = call(&*module, ECHO, &bytes).expect("an echo");
        check_same(&bytes, &reply, &format!("seed {seed}"));
    }
}

#[test]
fn tables_that_a_guest_builds_are_the_same_messages() {
    let module = guest(
        r#"
        local function copy(value)
            if type(value) ~= "table" then return value end
            local new = {}
            for key, it in pairs(value) do new[key] = copy(it) end
            return new
        end
        export("Echo", copy)
    "#,
    );
    for seed in 0..100 {
        let bytes = Random::known(seed).message(&all_types(), 0).encode_to_vec();
        let reply = call(&*module, ECHO, &bytes).expect("an echo");
        check_same(&bytes, &reply, &format!("seed {seed}"));
    }
}

/// A guest with the conformance types and `export(method, handler)`.
fn guest(body: &str) -> Arc<dyn Module> {
    load_proto(&format!(
        r#"
        local polyhost = require "polyhost"
        polyhost.proto("conformance/v1/conformance.proto")
        local function export(method, handler)
            polyhost.export("conformance.v1.Conformance/" .. method, handler)
        end
        {body}
    "#
    ))
}

/// A guest whose Echo returns what the Lua expression says of `request`.
fn returns(expression: &str) -> Arc<dyn Module> {
    guest(&format!("export('Echo', function(request) return {expression} end)"))
}

fn echo(module: &dyn Module, request: &AllTypes) -> Result<AllTypes, Error> {
    call(module, ECHO, &request.encode_to_vec()).map(|reply| AllTypes::decode(&*reply).expect("a message"))
}

/// What Lua makes of a request, shown by `expression`.
fn check_read(request: AllTypes, expression: &str, expected: &str) {
    let module = returns(&format!("{{ f_string = tostring({expression}) }}"));
    assert_eq!(expected, echo(&*module, &request).expect("a reply").f_string, "{expression}");
}

#[test]
fn what_is_not_set_reads_as_its_default_or_nil() {
    for (expression, expected) in [
        ("request.f_int64", "0"),
        ("request.f_string == ''", "true"),
        ("request.f_bytes == ''", "true"),
        ("request.f_bool", "false"),
        ("request.f_colour", "COLOUR_UNSPECIFIED"),
        ("request.f_message", "nil"),
        ("request.o_int32", "nil"),
        ("request.c_bool", "nil"),
        ("#request.r_int32", "0"),
        ("next(request.m_string_string)", "nil"),
        ("request.w_timestamp", "nil"),
    ] {
        check_read(AllTypes::default(), expression, expected);
    }
}

#[test]
fn numbers_are_exact_at_every_size() {
    for value in [0, 1 << 53, -(1 << 53)] {
        check_read(AllTypes { f_int64: value, ..Default::default() }, "type(request.f_int64)", "number");
        check_read(
            AllTypes { f_int64: value, ..Default::default() },
            "string.format('%d', request.f_int64)",
            &value.to_string(),
        );
    }
    for value in [(1 << 53) + 1, i64::MIN, i64::MAX] {
        let expected = format!("{value}LL");
        check_read(AllTypes { f_int64: value, ..Default::default() }, "request.f_int64", &expected);
        check_read(AllTypes { r_int64: vec![value], ..Default::default() }, "request.r_int64[1]", &expected);
    }
    let request = || AllTypes { f_fixed64: u64::MAX, ..Default::default() };
    check_read(request(), "request.f_fixed64", &format!("{}ULL", u64::MAX));
    check_read(request(), "request.f_fixed64 - 1", &format!("{}ULL", u64::MAX - 1));
    let keys = AllTypes { m_uint64_colour: [(u64::MAX, 1), (7, 2)].into(), ..Default::default() };
    check_read(keys.clone(), "request.m_uint64_colour['18446744073709551615']", "COLOUR_RED");
    check_read(keys, "request.m_uint64_colour[7]", "COLOUR_GREEN");
}

#[test]
fn enums_are_names_and_numbers_without_one() {
    let request = |it| AllTypes { f_colour: it, ..Default::default() };
    check_read(request(Colour::Negative as i32), "request.f_colour", "COLOUR_NEGATIVE");
    check_read(request(77), "request.f_colour", "77");
    for (value, expected) in [("'COLOUR_GREEN'", 2), ("-1", -1), ("77", 77), ("'COLOUR_UNSPECIFIED'", 0)] {
        let reply = echo(&*returns(&format!("{{ f_colour = {value} }}")), &AllTypes::default()).expect("a reply");
        assert_eq!(expected, reply.f_colour);
    }
}

#[test]
fn integers_may_be_numbers_64_bit_integers_or_decimal_strings() {
    let reply = echo(
        &*returns(
            "{ f_int64 = '-9223372036854775808', f_uint64 = 18446744073709551615ULL, f_int32 = 7LL, f_sint64 = 2^53,
               r_uint64 = { 1, 2ULL, '3' }, m_int32_int64 = { [1] = '2' } }",
        ),
        &AllTypes::default(),
    )
    .expect("a reply");
    assert_eq!((i64::MIN, u64::MAX, 7, 1 << 53), (reply.f_int64, reply.f_uint64, reply.f_int32, reply.f_sint64));
    assert_eq!(vec![1, 2, 3], reply.r_uint64);
    assert_eq!(Some(&2), reply.m_int32_int64.get(&1));
}

#[test]
fn optional_fields_and_oneofs_keep_their_defaults() {
    let request = AllTypes {
        o_int32: Some(0),
        o_string: Some(String::new()),
        choice: Some(all_types::Choice::CBool(false)),
        ..Default::default()
    };
    assert_eq!(request, echo(&*conformance(), &request).expect("an echo"));
    check_read(request, "request.c_bool", "false");
    let reply = echo(&*returns("{ c_int32 = 0, o_bool = false }"), &AllTypes::default()).expect("a reply");
    assert_eq!((Some(all_types::Choice::CInt32(0)), Some(false)), (reply.choice, reply.o_bool));
}

#[test]
fn parts_of_a_message_are_put_together() {
    // A message in two parts, a oneof set twice, a list in packed and single pieces, a map's entry twice.
    let part = |it: AllTypes| it.encode_to_vec();
    let message = |it| AllTypes { f_message: Some(Box::new(it)), ..Default::default() };
    let mut bytes = part(message(AllTypes { f_int32: 1, r_int32: vec![1], ..Default::default() }));
    bytes.extend(part(message(AllTypes { f_string: "x".into(), r_int32: vec![2, 3], ..Default::default() })));
    bytes.extend(part(AllTypes { choice: Some(all_types::Choice::CInt32(1)), ..Default::default() }));
    bytes.extend(part(AllTypes { choice: Some(all_types::Choice::CString("y".into())), ..Default::default() }));
    bytes.extend([0xf8, 0x01, 9]); // r_int32, field 31, not packed
    bytes.extend(part(AllTypes { r_int32: vec![10], ..Default::default() }));
    bytes.extend([0xb2, 0x02, 2, 5, 6]); // r_unpacked, field 38, packed
    bytes.extend(part(AllTypes { m_string_string: [("k".into(), "1".into())].into(), ..Default::default() }));
    bytes.extend(part(AllTypes { m_string_string: [("k".into(), "2".into())].into(), ..Default::default() }));
    let expected = AllTypes::decode(bytes.as_slice()).expect("prost reads it");
    let reply = call(&*conformance(), ECHO, &bytes).expect("an echo");
    assert_eq!(expected, AllTypes::decode(&*reply).expect("a message"));
}

#[test]
fn fields_of_another_wire_type_are_unknown_and_kept() {
    // Field 3, an int32, as bytes; field 31, a list of int32, as 64 bits; a group that nobody knows.
    let bytes = [0x1a, 2, 8, 9, 0xf9, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0xa3, 6, 0xa8, 6, 1, 0xa4, 6];
    let reply = call(&*conformance(), ECHO, &bytes).expect("an echo");
    assert_eq!(bytes, reply.as_slice());
}

#[test]
fn unknown_fields_of_every_part_of_a_message_are_kept() {
    // Field 17, a message, in parts: each with a field 101 that nobody knows, but the last.
    let unknown = |value| [0xa8, 6, value];
    let parts = |values: &[u8]| -> Vec<u8> {
        let mut parts: Vec<u8> =
            values.iter().flat_map(|value| [&[0x8a, 1, 3][..], &unknown(*value)].concat()).collect();
        parts.extend([0x8a, 1, 2, 0x18, 9]);
        parts
    };
    let whole = |values: &[u8]| {
        let unknown: Vec<u8> = values.iter().copied().flat_map(unknown).collect();
        [&[0x8a, 1, 2 + unknown.len() as u8, 0x18, 9][..], &unknown].concat()
    };
    for values in [&[1][..], &[1, 2], &[1, 2, 3, 4]] {
        let reply = call(&*conformance(), ECHO, &parts(values)).expect("an echo");
        assert_eq!(whole(values), reply.as_slice(), "{values:?}");
    }
}

#[test]
fn unknown_fields_stay_with_their_own_type() {
    let module = guest(
        r#"
        polyhost.export("conformance.v1.Conformance/Add", function(request) return request end)
    "#,
    );
    // Field 2 of an AddRequest is unknown; an AddReply does not have it either, but it is another message.
    let reply = call(&*module, "conformance.v1.Conformance/Add", &[0x10, 1]);
    let error = reply.expect_err("an AddRequest is no AddReply");
    assert!(error.to_string().contains("\"n\" is no field of conformance.v1.AddReply"), "{error}");
}

/// What a caller is told of a handler that returns `expression`.
fn check_refused(expression: &str, expected: &str) {
    let error = echo(&*returns(expression), &AllTypes::default()).expect_err(expression);
    assert_eq!(ErrorKind::Encode, error.kind(), "{error:?}");
    let prefix = format!("the handler of {ECHO} has to return a conformance.v1.AllTypes: ");
    assert_eq!(format!("{prefix}{expected}"), error.message());
}

#[test]
fn what_is_no_message_is_told_where_and_why() {
    for (expression, expected) in [
        ("nil", "expected a table (conformance.v1.AllTypes), got nil"),
        ("'text'", "expected a table (conformance.v1.AllTypes), got a string"),
        ("{ f_int32 = 'x' }", "f_int32: expected a number, got a string"),
        ("{ f_int32 = 1.5 }", "f_int32: expected an integer, got 1.5"),
        ("{ f_int32 = 0/0 }", "f_int32: expected an integer, got NaN"),
        ("{ f_int32 = 2^31 }", "f_int32: 2147483648 is out of the range of int32"),
        ("{ f_uint32 = -1 }", "f_uint32: -1 is out of the range of uint32"),
        ("{ f_uint64 = -1LL }", "f_uint64: -1 is out of the range of uint64"),
        ("{ f_int64 = 2^63 }", "f_int64: 9223372036854775808 is out of the range of int64"),
        ("{ f_int64 = '1e3' }", "f_int64: expected a decimal number, got the string \"1e3\""),
        ("{ f_float = 1e300 }", &format!("f_float: {} is out of the range of float", 1e300)),
        ("{ f_double = '1' }", "f_double: expected a number, got a string"),
        ("{ f_bool = 1 }", "f_bool: expected a boolean, got a number"),
        ("{ f_bool = 0 }", "f_bool: expected a boolean, got a number"),
        ("{ f_string = 0 }", "f_string: expected a string, got a number"),
        ("{ f_string = 'a\\255' }", "f_string: the string is not UTF-8 from byte 2 on; use a bytes field"),
        ("{ f_bytes = {} }", "f_bytes: expected a string of bytes, got a table"),
        (
            "{ f_colour = 'RED' }",
            "f_colour: \"RED\" is no value of conformance.v1.Colour; there are COLOUR_NEGATIVE, COLOUR_UNSPECIFIED, COLOUR_RED, COLOUR_GREEN",
        ),
        ("{ f_colour = true }", "f_colour: expected a name or number of conformance.v1.Colour, got a boolean"),
        ("{ f_message = 1 }", "f_message: expected a table (conformance.v1.AllTypes), got a number"),
        ("{ r_int32 = 1 }", "r_int32: expected a table (a list), got a number"),
        ("{ r_int32 = { 1, x = 1 } }", "r_int32: a list has the keys 1, 2, 3 and so on without a gap, not \"x\""),
        ("{ r_int32 = { [2] = 1 } }", "r_int32: a list has the keys 1, 2, 3 and so on without a gap, not 2"),
        ("{ r_int32 = { 1, 'x' } }", "r_int32[2]: expected a number, got a string"),
        ("{ r_message = { {}, {}, { f_int32 = 'x' } } }", "r_message[3].f_int32: expected a number, got a string"),
        (
            "{ m_string_message = { a = { r_bool = { 1 } } } }",
            "m_string_message[\"a\"].r_bool[1]: expected a boolean, got a number",
        ),
        ("{ m_string_string = { 'x' } }", "m_string_string[a key]: expected a string, got a number"),
        ("{ m_bool_bytes = { [1] = 'x' } }", "m_bool_bytes[a key]: expected a boolean, got a number"),
        ("{ f_nothing = 1 }", "\"f_nothing\" is no field of conformance.v1.AllTypes"),
        ("{ f_int32 = 1, [1] = 2 }", "1 is no field of conformance.v1.AllTypes"),
        ("{ f_message = { x = 1, f_int32 = 2 } }", "f_message: \"x\" is no field of conformance.v1.AllTypes"),
        ("{ c_int32 = 1, c_string = '' }", "c_int32 and c_string are both set, of the oneof choice"),
    ] {
        check_refused(expression, expected);
    }
}

#[test]
fn a_table_within_itself_is_an_error() {
    let module = guest("export('Echo', function(request) request.f_message = request return request end)");
    let error = echo(&*module, &AllTypes::default()).expect_err("endless");
    assert_eq!(ErrorKind::Encode, error.kind());
    assert!(
        error.message().ends_with("messages are nested more than 100 deep; does a table contain itself?"),
        "{error}"
    );
    let module = guest("export('Echo', function(request) request.r_message[1] = request return request end)");
    assert_eq!(ErrorKind::Encode, echo(&*module, &AllTypes::default()).expect_err("endless").kind());
}

fn nested(depth: usize) -> Vec<u8> {
    (0..depth).fold(Vec::new(), |inner, _| {
        let mut bytes = vec![0x8a, 0x01];
        prost::encoding::encode_varint(inner.len() as u64, &mut bytes);
        bytes.extend(inner);
        bytes
    })
}

#[test]
fn depth_is_limited_as_prost_limits_it() {
    let module = conformance();
    let reply = call(&*module, ECHO, &nested(100)).expect("deep enough");
    assert_eq!(nested(100), reply.as_slice());
    AllTypes::decode(&*reply).expect("prost reads it too");
    AllTypes::decode(nested(101).as_slice()).expect_err("too deep for prost");
    let error = call(&*module, ECHO, &nested(101)).expect_err("too deep");
    assert_eq!(ErrorKind::Decode, error.kind());
    assert!(error.message().ends_with("messages are nested more than 100 deep"), "{error}");
    // Groups of an unknown field are as deep as messages.
    let groups = [0xa3, 6].repeat(100_000);
    assert_eq!(ErrorKind::Decode, call(&*module, ECHO, &groups).expect_err("too deep").kind());
}

#[test]
fn deep_messages_fit_on_a_small_stack() {
    let thread = std::thread::Builder::new().stack_size(512 << 10).spawn(|| {
        let reply = call(&*conformance(), ECHO, &nested(100)).expect("deep enough");
        assert_eq!(nested(100), reply.as_slice());
    });
    thread.expect("a thread").join().expect("no panic");
}

#[test]
fn bytes_that_are_no_message_are_told_where_and_why() {
    let module = conformance();
    for (bytes, expected) in [
        (&[0xff][..], "it ends in the middle of a field"),
        (&[0x72, 3, 1], "f_string: it ends in the middle of a field"),
        (&[0x72, 2, b'a', 0xff], "f_string: the string is not UTF-8 from byte 2 on"),
        (&[0x00, 1], "field number 0, which there is not"),
        (&[0x0f], "wire type 7, which there is not"),
        (&[0x1c], "group 3 ends that did not begin"),
        (&[0x8a, 1, 4, 0x72, 2, b'a', 0xff], "f_message.f_string: the string is not UTF-8 from byte 2 on"),
        (&[0xaa, 2, 4, 0x72, 2, b'a', 0xff], "r_message[1].f_string: the string is not UTF-8 from byte 2 on"),
        (&[0x9a, 3, 3, 0x0a, 1, 0xff], "m_string_string[a key]: the string is not UTF-8 from byte 1 on"),
        (&[0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], "f_int32: a varint of more than 64 bits"),
    ] {
        let error = call(&*module, ECHO, bytes).expect_err(expected);
        assert_eq!(ErrorKind::Decode, error.kind(), "{error:?}");
        assert_eq!(format!("the input is not a conformance.v1.AllTypes: {expected}"), error.message());
    }
}

#[test]
fn a_reply_over_the_limit_is_refused_and_leaves_the_output_as_it_was() {
    use polyhost_bridge::{CallContext, Output};
    use polyhost_proto::conformance::v1::GrowRequest;
    let grow = conformance().function("conformance.v1.Conformance/Grow").expect("exported");
    let mut output = Output::with_limit(1000);
    output.write(b"before").expect("room");
    let request = GrowRequest { size: 2000 }.encode_to_vec();
    let error = grow.call(&CallContext::none(), &request, &mut output).expect_err("too much");
    assert_eq!(ErrorKind::Exhausted, error.kind(), "{error:?}");
    assert_eq!(b"before", output.as_slice());
}

#[test]
fn types_and_comments_are_the_exports() {
    let module = conformance();
    let export = module.exports().iter().find(|it| it.name() == ECHO).expect("exported");
    assert_eq!(Some("conformance.v1.AllTypes"), export.input_type());
    assert_eq!(Some("conformance.v1.AllTypes"), export.output_type());
    assert_eq!("Returns the request, unknown fields included.", export.doc());
    let names: Vec<_> = module.exports().iter().map(|it| it.name()).collect();
    assert!(names.is_sorted(), "{names:?}");
    let set = module.descriptors().expect("it has types");
    let pool = prost_reflect::DescriptorPool::decode(set).expect("all files, dependencies first");
    assert!(pool.get_message_by_name("google.protobuf.Any").is_some());
}

#[test]
fn messages_can_be_written_and_read_by_hand() {
    let module = guest(
        r#"
        export("Echo", function(request)
            local any = request.w_any
            local inner = polyhost.decode(any.type_url:match("[^/]+$"), any.value)
            inner.f_int32 = inner.f_int32 + 1
            any.value = polyhost.encode("conformance.v1.AllTypes", inner)
            return { w_any = any }
        end)
    "#,
    );
    let inner = |n| AllTypes { f_int32: n, ..Default::default() }.encode_to_vec();
    let any = |n| prost_types::Any { type_url: "type.googleapis.com/conformance.v1.AllTypes".into(), value: inner(n) };
    let reply = echo(&*module, &AllTypes { w_any: Some(any(1)), ..Default::default() }).expect("a reply");
    assert_eq!(Some(any(2)), reply.w_any);
}

#[test]
fn raw_exports_stay_raw_whatever_the_types_say() {
    let module = guest(
        r#"
        polyhost.export("conformance.v1.Conformance/Echo", { raw = true, doc = "as it is" }, function(bytes)
            return bytes .. bytes
        end)
    "#,
    );
    let export = &module.exports()[0];
    assert_eq!((None, None, "as it is"), (export.input_type(), export.output_type(), export.doc()));
    assert_eq!(b"abab", call(&*module, ECHO, b"ab").expect("bytes").as_slice());
}

#[test]
fn nan_stays_nan_and_zero_keeps_its_sign() {
    // By hand: prost writes no zero of either sign.
    let bytes = [&[0x09][..], &f64::NAN.to_le_bytes(), &[0x15], &(-0.0f32).to_le_bytes()].concat();
    let reply = call(&*conformance(), ECHO, &bytes).expect("an echo");
    let reply = AllTypes::decode(&*reply).expect("a message");
    assert!(reply.f_double.is_nan());
    assert!(reply.f_float == 0.0 && reply.f_float.is_sign_negative());
}
