//! Messages to send.

use std::sync::LazyLock;

use prost::{Message, Oneof};
use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value,
};

use crate::canonical;

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(polyhost_proto::DESCRIPTORS).expect("a test compares it with its source"));

/// A message that protoc has encoded: a `golden.v1.Vector`, whose messages are left as the bytes they are.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Vector {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    /// It is no `AllTypes`.
    #[prost(bool, tag = "2")]
    pub(crate) refused: bool,
    /// What comes back where it is not the input.
    #[prost(bytes = "vec", optional, tag = "3")]
    otherwise: Option<Vec<u8>>,
    #[prost(oneof = "Input", tags = "10, 11, 12, 13, 14, 15, 16")]
    input: Option<Input>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Input {
    #[prost(bytes, tag = "10")]
    Message(Vec<u8>),
    #[prost(bytes, tag = "11")]
    Newer(Vec<u8>),
    #[prost(bytes, tag = "12")]
    Explicit(Vec<u8>),
    #[prost(bytes, tag = "13")]
    Wide(Vec<u8>),
    #[prost(bytes, tag = "14")]
    Parts(Vec<u8>),
    #[prost(bytes, tag = "15")]
    Packed(Vec<u8>),
    #[prost(bytes, tag = "16")]
    Raw(Vec<u8>),
}

impl Vector {
    pub(crate) fn input(&self) -> &[u8] {
        use Input::{Explicit, Message, Newer, Packed, Parts, Raw, Wide};
        match self.input.as_ref().expect("each vector has an input") {
            Message(it) | Newer(it) | Explicit(it) | Wide(it) | Parts(it) | Packed(it) | Raw(it) => it,
        }
    }

    /// What comes back.
    pub(crate) fn expected(&self) -> &[u8] {
        self.otherwise.as_deref().unwrap_or(self.input())
    }
}

/// The messages that protoc has encoded.
pub(crate) fn vectors() -> Vec<Vector> {
    #[derive(Clone, PartialEq, Message)]
    struct Vectors {
        #[prost(message, repeated, tag = "1")]
        vector: Vec<Vector>,
    }
    Vectors::decode(polyhost_proto::GOLDEN).expect("a test compares it with its source").vector
}

/// The descriptor of `AllTypes`.
pub(crate) fn descriptor() -> MessageDescriptor {
    POOL.get_message_by_name("conformance.v1.AllTypes").expect("it is among them")
}

/// An `AllTypes` in the form of [`canonical::text`].
pub(crate) fn canonical(bytes: &[u8]) -> Result<String, String> {
    canonical::text(&descriptor(), bytes)
}

/// Messages with one field each, at every value worth sending, by a name for the report.
pub(crate) fn single_fields() -> Vec<(String, Vec<u8>)> {
    let descriptor = descriptor();
    let mut all = vec![("nothing".to_owned(), Vec::new())];
    for field in descriptor.fields() {
        for (i, value) in field_values(&field, 2).into_iter().enumerate() {
            let mut message = DynamicMessage::new(descriptor.clone());
            message.set_field(&field, value);
            all.push((format!("{} #{i}", field.name()), message.encode_to_vec()));
        }
    }
    all
}

/// A message with every field at once, of each oneof the last.
pub(crate) fn full() -> Vec<u8> {
    let descriptor = descriptor();
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        let values = field_values(&field, 1);
        message.set_field(&field, values.into_iter().next_back().expect("each kind has values"));
    }
    message.encode_to_vec()
}

fn field_values(field: &FieldDescriptor, depth: usize) -> Vec<Value> {
    let kind = field.kind();
    if let (true, Kind::Message(entry)) = (field.is_map(), &kind) {
        let keys: Vec<MapKey> = values(&entry.map_entry_key_field().kind(), 0)
            .into_iter()
            .filter_map(|key| match key {
                Value::Bool(it) => Some(MapKey::Bool(it)),
                Value::I32(it) => Some(MapKey::I32(it)),
                Value::I64(it) => Some(MapKey::I64(it)),
                Value::U32(it) => Some(MapKey::U32(it)),
                Value::U64(it) => Some(MapKey::U64(it)),
                Value::String(it) => Some(MapKey::String(it)),
                _ => None,
            })
            .collect();
        let values = values(&entry.map_entry_value_field().kind(), depth.saturating_sub(1));
        let pair = |i: usize| (keys[i % keys.len()].clone(), values[i % values.len()].clone());
        let mut maps: Vec<_> = (0..values.len()).map(|i| Value::Map([pair(i)].into())).collect();
        maps.push(Value::Map((0..keys.len()).map(pair).collect()));
        return maps;
    }
    let mut values = values(&kind, depth);
    if field.cardinality() == Cardinality::Repeated {
        let mut lists: Vec<_> = values.iter().map(|value| Value::List(vec![value.clone()])).collect();
        lists.push(Value::List(values));
        return lists;
    }
    if field.supports_presence() && !matches!(kind, Kind::Message(_)) {
        values.insert(0, Value::default_value(&kind));
    }
    values
}

fn values(kind: &Kind, depth: usize) -> Vec<Value> {
    // Around 2^53 a number that passes through a double is lost.
    const EXACT: i64 = 1 << 53;
    let signed32 = || [1, -1, 127, 128, i32::MAX, i32::MIN].map(Value::I32).into();
    let signed64 =
        || [1, -1, i64::from(i32::MIN) - 1, EXACT, EXACT + 1, -EXACT - 1, i64::MAX, i64::MIN].map(Value::I64).into();
    let unsigned32 = || [1, 128, 1 << 31, u32::MAX].map(Value::U32).into();
    let unsigned64 = || [1, EXACT as u64 + 1, 1 << 63, u64::MAX - 1, u64::MAX].map(Value::U64).into();
    match kind {
        Kind::Double => {
            [1.5, -0.1, 5e-324, f64::MAX, f64::MIN, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 9007199254740993.0]
                .map(Value::F64)
                .into()
        }
        Kind::Float => {
            [1.5, -0.1, 1e-45, f32::MAX, f32::MIN, f32::INFINITY, f32::NEG_INFINITY, f32::NAN].map(Value::F32).into()
        }
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => signed32(),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => signed64(),
        Kind::Uint32 | Kind::Fixed32 => unsigned32(),
        Kind::Uint64 | Kind::Fixed64 => unsigned64(),
        Kind::Bool => vec![Value::Bool(true), Value::Bool(false)],
        Kind::String => ["a", "", "Grüße, 世界 🎉", "nul \0 in it", "\u{feff}\"\\\r\n\t", "\u{10ffff}", "123", "-1"]
            .into_iter()
            .map(str::to_owned)
            .chain(["long ".repeat(20_000)])
            .map(Value::String)
            .collect(),
        Kind::Bytes => [&b"a"[..], b"", b"\0\xff\xfe", &(0..=255).collect::<Vec<u8>>()]
            .map(|bytes| Value::Bytes(bytes.to_vec().into()))
            .into(),
        // Enums are open: -7 and 99 have no name.
        Kind::Enum(_) => [1, 2, -1, -7, 99, i32::MAX, i32::MIN].map(Value::EnumNumber).into(),
        Kind::Message(descriptor) => messages(descriptor, depth),
    }
}

/// An empty message, and below `depth` one for each field.
fn messages(descriptor: &MessageDescriptor, depth: usize) -> Vec<Value> {
    let mut all = vec![Value::Message(DynamicMessage::new(descriptor.clone()))];
    if depth > 0 {
        for field in descriptor.fields() {
            let mut message = DynamicMessage::new(descriptor.clone());
            message.set_field(&field, field_values(&field, depth - 1).swap_remove(0));
            all.push(Value::Message(message));
        }
    }
    all
}

/// The key and the bytes of a length-delimited field.
pub(crate) fn delimited(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut field = varint(u64::from(number << 3 | 2));
    field.extend(varint(bytes.len() as u64));
    field.extend(bytes);
    field
}

/// The key of a varint field and its value.
pub(crate) fn varint_field(number: u32, value: u64) -> Vec<u8> {
    [varint(u64::from(number << 3)), varint(value)].concat()
}

pub(crate) fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// `levels` messages, each in field `f_message` of the one around it.
pub(crate) fn nested(levels: usize) -> Vec<u8> {
    // Inside out, without a copy of the inside at each level.
    let mut len = 0;
    let head = |_| {
        let head = [varint(17 << 3 | 2), varint(len as u64)].concat();
        len += head.len();
        head
    };
    let heads: Vec<_> = (0..levels).map(head).collect();
    heads.into_iter().rev().flatten().collect()
}
