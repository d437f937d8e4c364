//! Messages of every kind, from a seed.

use std::collections::HashMap;

use prost::Message;
use prost_reflect::{
    DescriptorPool, DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value,
};

pub fn pool() -> DescriptorPool {
    DescriptorPool::decode(polyhost_proto::DESCRIPTORS).expect("a FileDescriptorSet")
}

pub fn all_types() -> MessageDescriptor {
    pool().get_message_by_name("conformance.v1.AllTypes").expect("it is there")
}

/// Xorshift: the same numbers for the same seed, everywhere.
pub struct Random {
    state: u64,
    /// Whether messages have fields that their types do not know.
    unknown: bool,
}

impl Random {
    pub fn new(seed: u64) -> Self {
        Random { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, unknown: true }
    }

    /// Makes messages of known fields alone.
    pub fn known(seed: u64) -> Self {
        Random { unknown: false, ..Random::new(seed) }
    }

    pub fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Often at an edge, else of any size.
    fn integer(&mut self) -> u64 {
        const EDGES: [u64; 12] = [
            0,
            1,
            127,
            128,
            i32::MAX as u64,
            u32::MAX as u64,
            1 << 53,
            (1 << 53) + 1,
            i64::MAX as u64,
            i64::MIN as u64,
            u64::MAX,
            (-(1i64 << 53) - 1) as u64,
        ];
        match self.below(3) {
            0 => EDGES[self.below(EDGES.len() as u64) as usize],
            _ => self.next() >> self.below(64),
        }
    }

    fn double(&mut self) -> f64 {
        match self.below(8) {
            0 => 0.0,
            1 => -0.0,
            2 => f64::INFINITY,
            3 => f64::MIN_POSITIVE / 2.0,
            4 => -1.0,
            5 => f64::MAX,
            _ => Some(f64::from_bits(self.next())).filter(|it| !it.is_nan()).unwrap_or(0.5),
        }
    }

    fn float(&mut self) -> f32 {
        Some(f32::from_bits(self.next() as u32)).filter(|it| !it.is_nan()).unwrap_or(-0.0)
    }

    fn text(&mut self) -> String {
        let letters = ["a", "é", "漢", "\0", "🦀", "\"", "\u{7f}"];
        (0..self.below(6)).map(|_| letters[self.below(7) as usize]).collect()
    }

    fn bytes(&mut self) -> Vec<u8> {
        (0..self.below(200)).map(|_| self.next() as u8).collect()
    }

    fn enumeration(&mut self, descriptor: &EnumDescriptor) -> i32 {
        let known = descriptor.values().nth(self.below(descriptor.values().len() as u64) as usize);
        // A number without a name now and then.
        if self.below(5) == 0 { self.next() as i32 } else { known.expect("among them").number() }
    }

    fn value(&mut self, kind: &Kind, depth: u32) -> Value {
        match kind {
            Kind::Double => Value::F64(self.double()),
            Kind::Float => Value::F32(self.float()),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(self.integer() as i32),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(self.integer() as i64),
            Kind::Uint32 | Kind::Fixed32 => Value::U32(self.integer() as u32),
            Kind::Uint64 | Kind::Fixed64 => Value::U64(self.integer()),
            Kind::Bool => Value::Bool(self.below(2) == 1),
            Kind::String => Value::String(self.text()),
            Kind::Bytes => Value::Bytes(self.bytes().into()),
            Kind::Enum(it) => Value::EnumNumber(self.enumeration(it)),
            Kind::Message(it) => Value::Message(self.message(it, depth + 1)),
        }
    }

    fn key(&mut self, kind: &Kind) -> MapKey {
        self.value(kind, 0).into_map_key().expect("keys are scalars")
    }

    fn field(&mut self, field: &FieldDescriptor, depth: u32) -> Value {
        let entries = self.below(if depth > 1 { 2 } else { 4 });
        match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                let (key, value) = (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
                let map: HashMap<_, _> = (0..entries).map(|_| (self.key(&key), self.value(&value, depth))).collect();
                Value::Map(map)
            }
            kind if field.is_list() => Value::List((0..entries).map(|_| self.value(&kind, depth)).collect()),
            kind => self.value(&kind, depth),
        }
    }

    /// A message of that type, with fields that it does not know now and then.
    pub fn message(&mut self, descriptor: &MessageDescriptor, depth: u32) -> DynamicMessage {
        let mut message = DynamicMessage::new(descriptor.clone());
        for field in descriptor.fields() {
            let nested = matches!(field.kind(), Kind::Message(_));
            if self.below(3) == 0 || nested && (depth > 3 || self.below(4) > 0) {
                continue;
            }
            let value = self.field(&field, depth);
            message.set_field(&field, value);
        }
        if self.unknown && self.below(4) == 0 {
            // Fields 200 to 203: a varint, 64 bits, bytes, 32 bits.
            let mut unknown = Vec::new();
            prost::encoding::uint64::encode(200, &self.next(), &mut unknown);
            prost::encoding::fixed64::encode(201, &self.next(), &mut unknown);
            prost::encoding::bytes::encode(202, &self.bytes(), &mut unknown);
            prost::encoding::fixed32::encode(203, &(self.next() as u32), &mut unknown);
            message.merge(unknown.as_slice()).expect("valid fields");
        }
        message
    }
}
