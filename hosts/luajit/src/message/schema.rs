//! What the codec needs of a message type, taken from its descriptor once.

use std::collections::HashMap;

use prost_reflect::{Cardinality, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

use super::wire::WireType;

/// A message type with all the types within it.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    /// The type itself is the first.
    pub(super) messages: Vec<Message>,
    pub(super) enums: Vec<Enum>,
}

#[derive(Debug)]
pub(super) struct Message {
    /// The full name.
    pub(super) name: String,
    /// By number, which is the order they are written in.
    pub(super) fields: Vec<Field>,
    pub(super) oneofs: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) number: u32,
    pub(super) value: Type,
    pub(super) shape: Shape,
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Scalar(Scalar),
    /// By index.
    Enum(usize),
    /// By index.
    Message(usize),
    /// A message between two keys (proto2), by index.
    Group(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// One value that is always there.
    Implicit,
    /// One value that is there or not.
    Explicit,
    /// One value of a oneof, by index.
    Oneof(usize),
    List {
        packed: bool,
    },
    Map {
        key: Scalar,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scalar {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    String,
    Bytes,
}

#[derive(Debug)]
pub(super) struct Enum {
    /// The full name.
    pub(super) name: String,
    /// The first name of each number.
    pub(super) names: HashMap<i32, String>,
    pub(super) numbers: HashMap<String, i32>,
    /// What an implicit field has that is not set.
    pub(super) default: i32,
    /// Whether numbers without a name are no values of it (proto2), but unknown fields.
    pub(super) closed: bool,
}

impl Schema {
    pub(crate) fn of(descriptor: &MessageDescriptor) -> Schema {
        let mut builder = Builder::default();
        builder.message(descriptor);
        builder.schema
    }

    /// The full name of the message.
    pub(crate) fn name(&self) -> &str {
        &self.messages[0].name
    }
}

impl Message {
    /// The field of this number.
    pub(super) fn field(&self, number: u32) -> Option<&Field> {
        // Most types number their fields without gaps.
        match self.fields.get(number as usize - 1) {
            Some(field) if field.number == number => Some(field),
            _ => self.fields.binary_search_by_key(&number, |it| it.number).ok().map(|at| &self.fields[at]),
        }
    }
}

impl Field {
    /// Whether it is in every table, whatever the wire says.
    pub(super) fn always(&self) -> bool {
        matches!(self.shape, Shape::Implicit | Shape::List { .. } | Shape::Map { .. })
    }
}

impl Type {
    pub(super) fn wire_type(self) -> WireType {
        match self {
            Type::Scalar(scalar) => scalar.wire_type(),
            Type::Enum(_) => WireType::Varint,
            Type::Message(_) => WireType::Delimited,
            Type::Group(_) => WireType::StartGroup,
        }
    }
}

impl Scalar {
    pub(super) fn wire_type(self) -> WireType {
        match self {
            Scalar::Double | Scalar::Fixed64 | Scalar::Sfixed64 => WireType::Fixed64,
            Scalar::Float | Scalar::Fixed32 | Scalar::Sfixed32 => WireType::Fixed32,
            Scalar::String | Scalar::Bytes => WireType::Delimited,
            _ => WireType::Varint,
        }
    }

    /// As a `.proto` file says it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Scalar::Double => "double",
            Scalar::Float => "float",
            Scalar::Int32 => "int32",
            Scalar::Int64 => "int64",
            Scalar::Uint32 => "uint32",
            Scalar::Uint64 => "uint64",
            Scalar::Sint32 => "sint32",
            Scalar::Sint64 => "sint64",
            Scalar::Fixed32 => "fixed32",
            Scalar::Fixed64 => "fixed64",
            Scalar::Sfixed32 => "sfixed32",
            Scalar::Sfixed64 => "sfixed64",
            Scalar::Bool => "bool",
            Scalar::String => "string",
            Scalar::Bytes => "bytes",
        }
    }
}

#[derive(Default)]
struct Builder {
    schema: Schema,
    messages: HashMap<String, usize>,
    enums: HashMap<String, usize>,
}

impl Builder {
    fn message(&mut self, descriptor: &MessageDescriptor) -> usize {
        if let Some(index) = self.messages.get(descriptor.full_name()) {
            return *index;
        }
        // Known before its fields are looked at: it may contain itself.
        let index = self.schema.messages.len();
        self.messages.insert(descriptor.full_name().to_owned(), index);
        let name = descriptor.full_name().to_owned();
        self.schema.messages.push(Message { name, fields: Vec::new(), oneofs: Vec::new() });
        let mut fields: Vec<_> = descriptor.fields().map(|field| self.field(&field)).collect();
        fields.sort_by_key(|field| field.number);
        let message = &mut self.schema.messages[index];
        message.fields = fields;
        message.oneofs = descriptor.oneofs().map(|oneof| oneof.name().to_owned()).collect();
        index
    }

    fn field(&mut self, field: &FieldDescriptor) -> Field {
        let (mut kind, mut group) = (field.kind(), field.is_group());
        let shape = match (field.is_map(), field.cardinality() == Cardinality::Repeated) {
            (true, _) => {
                let Kind::Message(entry) = &kind else { unreachable!("a map's entries are messages") };
                let key = entry.map_entry_key_field().kind();
                let value = entry.map_entry_value_field();
                (kind, group) = (value.kind(), value.is_group());
                Shape::Map { key: scalar(&key).expect("a map's keys are scalars") }
            }
            (_, true) => Shape::List { packed: field.is_packed() },
            _ => match field.containing_oneof().filter(|oneof| !oneof.is_synthetic()) {
                Some(oneof) => Shape::Oneof(index_of(&oneof)),
                None if field.supports_presence() => Shape::Explicit,
                None => Shape::Implicit,
            },
        };
        let value = match &kind {
            Kind::Message(message) if group => Type::Group(self.message(message)),
            Kind::Message(message) => Type::Message(self.message(message)),
            Kind::Enum(it) => Type::Enum(self.enumeration(it)),
            _ => Type::Scalar(scalar(&kind).expect("no message and no enum")),
        };
        Field { name: field.name().to_owned(), number: field.number(), value, shape }
    }

    fn enumeration(&mut self, descriptor: &EnumDescriptor) -> usize {
        if let Some(index) = self.enums.get(descriptor.full_name()) {
            return *index;
        }
        let (mut names, mut numbers) = (HashMap::new(), HashMap::new());
        for value in descriptor.values() {
            names.entry(value.number()).or_insert_with(|| value.name().to_owned());
            numbers.insert(value.name().to_owned(), value.number());
        }
        let index = self.schema.enums.len();
        self.enums.insert(descriptor.full_name().to_owned(), index);
        self.schema.enums.push(Enum {
            name: descriptor.full_name().to_owned(),
            names,
            numbers,
            default: descriptor.default_value().number(),
            closed: descriptor.parent_file().syntax() == prost_reflect::Syntax::Proto2,
        });
        index
    }
}

fn index_of(oneof: &prost_reflect::OneofDescriptor) -> usize {
    let message = oneof.parent_message();
    message.oneofs().position(|it| it == *oneof).expect("a oneof is among those of its message")
}

fn scalar(kind: &Kind) -> Option<Scalar> {
    Some(match kind {
        Kind::Double => Scalar::Double,
        Kind::Float => Scalar::Float,
        Kind::Int32 => Scalar::Int32,
        Kind::Int64 => Scalar::Int64,
        Kind::Uint32 => Scalar::Uint32,
        Kind::Uint64 => Scalar::Uint64,
        Kind::Sint32 => Scalar::Sint32,
        Kind::Sint64 => Scalar::Sint64,
        Kind::Fixed32 => Scalar::Fixed32,
        Kind::Fixed64 => Scalar::Fixed64,
        Kind::Sfixed32 => Scalar::Sfixed32,
        Kind::Sfixed64 => Scalar::Sfixed64,
        Kind::Bool => Scalar::Bool,
        Kind::String => Scalar::String,
        Kind::Bytes => Scalar::Bytes,
        Kind::Message(_) | Kind::Enum(_) => return None,
    })
}
