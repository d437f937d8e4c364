//! Messages of every kind, from a seed.

use std::collections::HashMap;

use prost::Message;
use prost_reflect::{
    Cardinality, DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey, MessageDescriptor, Syntax, Value,
};

/// The lowest of the numbers that no type has a field of.
const UNKNOWN: u32 = 1 << 28;

/// Makes messages: the same ones for the same seed, everywhere.
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
    /// Whether messages have fields that their types do not know.
    unknown: bool,
}

impl Random {
    /// Makes messages with what they do not know among their fields.
    pub fn new(seed: u64) -> Self {
        // Neighbours begin alike; a few rounds of xorshift part them.
        let mut random = Random { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, unknown: true };
        for _ in 0..8 {
            random.number();
        }
        random
    }

    /// Makes messages of known fields alone.
    pub fn known(seed: u64) -> Self {
        Random { unknown: false, ..Random::new(seed) }
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    /// A number below this one.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    /// One of these.
    pub fn one_of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len() as u64) as usize]
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
            0 => *self.one_of(&EDGES),
            _ => self.number() >> self.below(64),
        }
    }

    fn double(&mut self) -> f64 {
        match self.below(9) {
            0 => 0.0,
            1 => -0.0,
            2 => f64::INFINITY,
            3 => f64::MIN_POSITIVE / 2.0,
            4 => -1.0,
            5 => f64::MAX,
            6 => f64::NAN,
            _ => f64::from_bits(self.number()),
        }
    }

    fn float(&mut self) -> f32 {
        match self.below(4) {
            0 => self.double() as f32,
            _ => f32::from_bits(self.number() as u32),
        }
    }

    fn text(&mut self) -> String {
        const LETTERS: [&str; 8] = ["a", "é", "漢", "\0", "🦀", "\"", "\u{7f}", "\u{feff}"];
        let length = self.length(6);
        (0..length).map(|_| *self.one_of(&LETTERS)).collect()
    }

    fn bytes(&mut self) -> Vec<u8> {
        (0..self.length(20)).map(|_| self.number() as u8).collect()
    }

    /// Mostly short; now and then such that its own length takes more than a byte.
    fn length(&mut self, end: u64) -> u64 {
        if self.below(20) == 0 { self.below(300) } else { self.below(end) }
    }

    fn enumeration(&mut self, descriptor: &EnumDescriptor) -> i32 {
        let known: Vec<i32> = descriptor.values().map(|value| value.number()).collect();
        // A number without a name now and then, where that is a value: the enums of proto2 are closed.
        let is_open = descriptor.parent_file().syntax() != Syntax::Proto2;
        if is_open && self.below(5) == 0 { self.number() as i32 } else { *self.one_of(&known) }
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
            let left_out = self.below(3) == 0 || nested && (depth > 3 || self.below(4) > 0);
            if left_out && field.cardinality() != Cardinality::Required {
                continue;
            }
            let value = self.field(&field, depth);
            message.set_field(&field, value);
        }
        if self.unknown && self.below(4) == 0 {
            // A varint, 64 bits, bytes, 32 bits.
            let mut unknown = Vec::new();
            prost::encoding::uint64::encode(UNKNOWN, &self.number(), &mut unknown);
            prost::encoding::fixed64::encode(UNKNOWN + 1, &self.number(), &mut unknown);
            prost::encoding::bytes::encode(UNKNOWN + 2, &self.bytes(), &mut unknown);
            prost::encoding::fixed32::encode(UNKNOWN + 3, &(self.number() as u32), &mut unknown);
            message.merge(unknown.as_slice()).expect("valid fields");
        }
        message
    }
}
