//! Bytes that nobody vouches for: messages into tables and JSON, tables and JSON into messages, the descriptors and the
//! error reports of guests.
//!
//! Each runs for a second, or as long as `POLYHOST_FUZZ_SECONDS` says.

use std::path::Path;
use std::sync::Arc;

use polyhost::luajit::{LuaJit, LuaJitConfig};
use polyhost::native::{Native, NativeConfig};
use polyhost::{
    CallContext, Code, Error, ErrorKind, Export, Frame, GuestError, LoadOptions, Module, ModuleSource, Output, Result,
    Runtime, json,
};
use polyhost_testkit::fuzz::edited;
use polyhost_testkit::{Random, canonical};
use prost::Message;
use prost::encoding::{self, DecodeContext, WireType};
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};

fn all_types() -> MessageDescriptor {
    let pool = DescriptorPool::decode(polyhost_proto::DESCRIPTORS).expect("a FileDescriptorSet");
    pool.get_message_by_name("conformance.v1.AllTypes").expect("it is there")
}

/// Messages of every kind.
fn messages() -> Vec<Vec<u8>> {
    let random = (0..60).map(|seed| Random::new(seed).message(&all_types(), 0).encode_to_vec());
    random.filter(|bytes| bytes.len() < 600).collect()
}

/// A guest in Lua.
struct Guest(Arc<dyn Module>);

impl Guest {
    fn load(source: &ModuleSource) -> Self {
        let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto").display().to_string();
        let options = LoadOptions::new().option("proto_path", proto);
        Guest(LuaJit::start(LuaJitConfig::new()).load(source, &options).unwrap_or_else(|error| panic!("{error:?}")))
    }

    fn call(&self, export: &str, input: &[u8]) -> Result<Vec<u8>> {
        let mut output = Output::new();
        self.0.function(export)?.call(&CallContext::none(), input, &mut output)?;
        Ok(output.into_vec())
    }
}

#[test]
fn fuzz_messages_into_tables_of_lua() {
    let guest =
        Guest::load(&ModuleSource::Path(Path::new(env!("CARGO_MANIFEST_DIR")).join("../lua/tests/conformance.lua")));
    let descriptor = all_types();
    edited(messages(), |bytes| {
        let expected =
            canonical::text(&descriptor, bytes).and_then(|text| check_maps(&descriptor, bytes).map(|()| text));
        match guest.call("conformance.v1.Conformance/Echo", bytes) {
            // What prost does not read may be one all the same: fields of another wire type are unknown to Lua.
            Ok(reply) if expected.is_ok() => assert_eq!(expected, canonical::text(&descriptor, &reply)),
            Ok(_) => {}
            Err(error) => {
                assert_eq!(ErrorKind::Decode, error.kind(), "{error:?}");
                assert!(expected.is_err(), "prost reads it: {error:?}\n{bytes:02x?}\n{expected:?}");
            }
        }
    });
}

/// Refuses entries of maps that are not delimited: prost reads them as if they were.
fn check_maps(descriptor: &MessageDescriptor, mut bytes: &[u8]) -> std::result::Result<(), String> {
    while !bytes.is_empty() {
        let (number, wire_type) = encoding::decode_key(&mut bytes).map_err(|error| error.to_string())?;
        let field = descriptor.get_field(number);
        if wire_type == WireType::LengthDelimited {
            let length = encoding::decode_varint(&mut bytes).map_err(|error| error.to_string())?;
            let (content, rest) = bytes.split_at_checked(length as usize).ok_or("it is cut short")?;
            if let Some(Kind::Message(inner)) = field.map(|field| field.kind()) {
                check_maps(&inner, content)?;
            }
            bytes = rest;
        } else if field.is_some_and(|field| field.is_map()) {
            return Err(format!("an entry of {number} has another wire type"));
        } else {
            let context = DecodeContext::default();
            encoding::skip_field(wire_type, number, &mut bytes, context).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

#[test]
fn fuzz_tables_of_lua_into_messages() {
    let descriptor = all_types();
    let names: Vec<_> = descriptor.fields().map(|field| format!("{:?}", field.name())).collect();
    let text = include_str!("fuzz/tables.lua").replace("NAMES", &names.join(", "));
    let guest = Guest::load(&ModuleSource::Text { name: "tables.lua".into(), text });
    let seeds: Vec<_> = (0..40).map(|seed| program(&descriptor, &mut Random::new(seed), 2)).collect();
    edited(seeds, |program| {
        let reply = guest.call("raw/Build", program).unwrap_or_else(|error| panic!("{error:?}"));
        let Some((&written, bytes)) = reply.split_first() else { panic!("the guest's own first byte") };
        if written == 1 {
            let first = canonical::text(&descriptor, bytes).expect("prost reads what Lua writes");
            let again = guest.call("raw/Again", bytes).unwrap_or_else(|error| panic!("{error:?}"));
            assert_eq!(Ok(first), canonical::text(&descriptor, &again));
        }
    });
}

/// A table that is mostly right, for `fuzz/tables.lua` to build.
fn program(descriptor: &MessageDescriptor, random: &mut Random, depth: u32) -> Vec<u8> {
    const TABLE: u8 = 9;
    const END: u8 = 0xff;
    let mut program = vec![TABLE];
    for (i, field) in descriptor.fields().enumerate() {
        let nested = matches!(field.kind(), Kind::Message(_));
        if random.below(8) != 0 || nested && depth == 0 {
            continue;
        }
        program.push(i as u8);
        program.extend(value(&field, random, depth));
    }
    program.push(END);
    program
}

fn value(field: &FieldDescriptor, random: &mut Random, depth: u32) -> Vec<u8> {
    let kind = field.kind();
    match kind.as_message() {
        Some(inner) if field.is_map() => {
            let value = inner.map_entry_value_field();
            let (key, value) =
                (self::value(&inner.map_entry_key_field(), random, 0), self::value(&value, random, depth - 1));
            [vec![11, 1], key, value].concat()
        }
        _ if field.is_list() => {
            let items = (0..2).flat_map(|_| single(&kind, random, depth)).collect::<Vec<_>>();
            [vec![10, 2], items].concat()
        }
        _ => single(&kind, random, depth),
    }
}

fn single(kind: &Kind, random: &mut Random, depth: u32) -> Vec<u8> {
    let number = random.number().to_le_bytes();
    match kind {
        Kind::Message(inner) if inner.full_name() == "conformance.v1.AllTypes" && depth > 0 => {
            program(inner, random, depth - 1)
        }
        Kind::Message(_) => vec![9, 0xff],
        Kind::Bool => vec![1 + (number[0] & 1)],
        Kind::Double | Kind::Float => vec![3, number[0]],
        Kind::String | Kind::Bytes => [vec![7, 3], b"abc".to_vec()].concat(),
        Kind::Enum(_) => vec![4, number[0] % 4],
        _ => [vec![5], number.to_vec()].concat(),
    }
}

#[test]
fn fuzz_json_into_messages() {
    let descriptor = all_types();
    let seeds: Vec<_> = messages().iter().filter_map(|bytes| json::decode(&descriptor, bytes).ok()).collect();
    assert!(seeds.len() > 10, "most messages have JSON");
    edited(seeds, |text| {
        let Ok(text) = std::str::from_utf8(text) else { return };
        match json::encode(&descriptor, text) {
            Ok(bytes) => check_json(&descriptor, &bytes),
            Err(error) => assert_eq!(ErrorKind::Decode, error.kind(), "{error:?}"),
        }
    });
}

#[test]
fn fuzz_messages_into_json() {
    let descriptor = all_types();
    edited(messages(), |bytes| check_json(&descriptor, bytes));
}

/// Where a message has JSON, that JSON is a message, which has the same JSON.
fn check_json(descriptor: &MessageDescriptor, bytes: &[u8]) {
    match json::decode(descriptor, bytes) {
        Ok(text) => {
            let again = json::encode(descriptor, &text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
            // prost takes the negative zero of an entry of a map for the default, and leaves it out.
            let plain = |text: &str| text.replace(":-0.0", ":0.0");
            assert_eq!(plain(&text), plain(&json::decode(descriptor, &again).expect("it has JSON")));
        }
        Err(error) => assert!([ErrorKind::Decode, ErrorKind::Encode].contains(&error.kind()), "{error:?}"),
    }
}

#[test]
fn fuzz_descriptors_of_a_guest() {
    let sets = [b"".as_slice(), polyhost_proto::DESCRIPTORS];
    // One file at a time, so that an edit is likely to hit what counts.
    let set = DescriptorPool::decode(polyhost_proto::DESCRIPTORS).expect("a FileDescriptorSet");
    let files: Vec<_> =
        set.file_descriptor_protos().map(|file| [vec![0x0a], file.encode_length_delimited_to_vec()].concat()).collect();
    let seeds = sets.into_iter().map(<[u8]>::to_vec).chain(files);
    edited(seeds, |bytes| {
        let set = bytes.to_vec();
        let config = NativeConfig::new().module("guest", move |module, _| {
            Ok(module
                .descriptors(set.clone())
                .export(Export::bytes("raw/Echo"), |_, input, output| output.write(input)))
        });
        let source = ModuleSource::Name("guest".into());
        let module = match Native::start(config).load(&source, &LoadOptions::new()) {
            Ok(module) => module,
            Err(error) => return assert_eq!(ErrorKind::Load, error.kind(), "{error:?}"),
        };
        match json::pool(&*module) {
            Ok(pool) => pool.all_messages().take(20).for_each(|message| {
                // An `Any` of nothing has none.
                if let Ok(text) = json::decode(&message, b"") {
                    json::encode(&message, &text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
                }
            }),
            Err(error) => assert!([ErrorKind::Load, ErrorKind::Unsupported].contains(&error.kind()), "{error:?}"),
        }
    });
}

#[test]
fn fuzz_reports_of_errors() {
    let mut guest = GuestError::new("E", "outer");
    guest.frames.push(Frame::new("f", "a.lua", 7));
    guest.cause = Some(Box::new(GuestError::new("C", "inner")));
    let inner = Error::status(Code::Aborted, "deepest");
    let chain = Error::from_guest(guest).operation("call x").with("module", "m").caused_by(inner);
    edited([chain.to_report()], |bytes| match Error::from_report(bytes) {
        Ok(error) => {
            let again = Error::from_report(&error.to_report()).expect("its own report");
            assert_eq!(format!("{error:?}"), format!("{again:?}"));
        }
        Err(error) => assert_eq!(ErrorKind::Decode, error.kind(), "{error:?}"),
    });
}
