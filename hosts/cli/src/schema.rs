//! The message types that exports need, with the comments of their .proto files.

use std::collections::BTreeSet;
use std::fmt;

use prost_reflect::{Cardinality, DescriptorPool, EnumDescriptor, FieldDescriptor, FileDescriptor, Kind};
use prost_reflect::{MessageDescriptor, OneofDescriptor};
use serde::Serialize;

/// Types in the order in which they were met. Those of `google.protobuf` are known to everybody and left out.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Schema {
    pub(crate) messages: Vec<Message>,
    pub(crate) enums: Vec<Enum>,
    #[serde(skip)]
    seen: BTreeSet<String>,
}

/// A message type.
#[derive(Debug, Serialize)]
pub(crate) struct Message {
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    doc: String,
    fields: Vec<Field>,
}

/// A field of a message.
#[derive(Debug, Serialize)]
struct Field {
    name: String,
    json_name: String,
    number: u32,
    /// A scalar's name, the full name of a message or enum, or `map<K, V>`.
    #[serde(rename = "type")]
    type_name: String,
    /// `singular`, `optional`, `repeated`, `required` or `map`.
    label: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    oneof: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    doc: String,
}

/// An enum type.
#[derive(Debug, Serialize)]
pub(crate) struct Enum {
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    doc: String,
    values: Vec<EnumValue>,
}

/// A value of an enum.
#[derive(Debug, Serialize)]
struct EnumValue {
    name: String,
    number: i32,
    #[serde(skip_serializing_if = "String::is_empty")]
    doc: String,
}

impl Schema {
    /// Adds a message and every type it needs.
    pub(crate) fn add(&mut self, message: &MessageDescriptor) {
        let mut waiting = std::collections::VecDeque::from([message.clone()]);
        while let Some(message) = waiting.pop_front() {
            if !self.is_new(message.package_name(), message.full_name()) {
                continue;
            }
            self.messages.push(Message::of(&message));
            for field in message.fields() {
                match value_kind(&field) {
                    Kind::Message(other) => waiting.push_back(other),
                    Kind::Enum(other) if self.is_new(other.package_name(), other.full_name()) => {
                        self.enums.push(Enum::of(&other));
                    }
                    _ => {}
                }
            }
        }
    }

    fn is_new(&mut self, package: &str, name: &str) -> bool {
        package != "google.protobuf" && self.seen.insert(name.to_owned())
    }
}

impl Message {
    fn of(message: &MessageDescriptor) -> Self {
        Message {
            name: message.full_name().to_owned(),
            doc: comment(&message.parent_file(), message.path()),
            fields: message.fields().map(|field| Field::of(&field)).collect(),
        }
    }
}

impl Field {
    fn of(field: &FieldDescriptor) -> Self {
        let oneof = field.containing_oneof().filter(|oneof| !oneof.is_synthetic());
        Field {
            name: field.name().to_owned(),
            json_name: field.json_name().to_owned(),
            number: field.number(),
            type_name: type_name(field),
            label: label(field, oneof.as_ref()),
            oneof: oneof.map(|oneof| oneof.name().to_owned()),
            doc: comment(&field.parent_file(), field.path()),
        }
    }
}

impl Enum {
    fn of(it: &EnumDescriptor) -> Self {
        let file = it.parent_file();
        let value = |value: prost_reflect::EnumValueDescriptor| EnumValue {
            name: value.name().to_owned(),
            number: value.number(),
            doc: comment(&file, value.path()),
        };
        Enum {
            name: it.full_name().to_owned(),
            doc: comment(&file, it.path()),
            values: it.values().map(value).collect(),
        }
    }
}

/// The comment of `pkg.Service/Method`, where the module describes that service.
pub(crate) fn method_comment(pool: &DescriptorPool, export: &str) -> Option<String> {
    let (service, method) = export.split_once('/')?;
    let service = pool.get_service_by_name(service)?;
    let method = service.methods().find(|it| it.name() == method)?;
    Some(comment(&service.parent_file(), method.path())).filter(|doc| !doc.is_empty())
}

/// What a field holds; of a map, what its values are.
fn value_kind(field: &FieldDescriptor) -> Kind {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => entry.map_entry_value_field().kind(),
        kind => kind,
    }
}

// `Kind` writes itself as .proto files do.
fn type_name(field: &FieldDescriptor) -> String {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => {
            let (key, value) = (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
            format!("map<{key:?}, {value:?}>")
        }
        kind => format!("{kind:?}"),
    }
}

fn label(field: &FieldDescriptor, oneof: Option<&OneofDescriptor>) -> &'static str {
    match field.cardinality() {
        _ if field.is_map() => "map",
        Cardinality::Repeated => "repeated",
        Cardinality::Required => "required",
        // A message always has presence; only `optional` scalars say so.
        Cardinality::Optional if field.field_descriptor_proto().proto3_optional() && oneof.is_none() => "optional",
        Cardinality::Optional => "singular",
    }
}

/// The comment that leads an element, or trails it on its line. Descriptors made without source information have none.
fn comment(file: &FileDescriptor, path: &[i32]) -> String {
    let Some(info) = &file.file_descriptor_proto().source_code_info else { return String::new() };
    let Some(location) = info.location.iter().find(|location| location.path == path) else { return String::new() };
    let text = location.leading_comments.as_deref().or(location.trailing_comments.as_deref()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end()).collect();
    lines.join("\n").trim().to_owned()
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_doc(f, "", &self.doc)?;
        if self.fields.is_empty() {
            return writeln!(f, "message {} {{}}", self.name);
        }
        writeln!(f, "message {} {{", self.name)?;
        let mut open: Option<&str> = None;
        for field in &self.fields {
            let oneof = field.oneof.as_deref();
            if open != oneof {
                if open.is_some() {
                    writeln!(f, "  }}")?;
                }
                if let Some(name) = oneof {
                    writeln!(f, "  oneof {name} {{")?;
                }
                open = oneof;
            }
            let indent = if open.is_some() { "    " } else { "  " };
            let label = match field.label {
                "singular" | "map" => String::new(),
                label => format!("{label} "),
            };
            write_doc(f, indent, &field.doc)?;
            writeln!(f, "{indent}{label}{} {} = {};", field.type_name, field.name, field.number)?;
        }
        if open.is_some() {
            writeln!(f, "  }}")?;
        }
        writeln!(f, "}}")
    }
}

impl fmt::Display for Enum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_doc(f, "", &self.doc)?;
        writeln!(f, "enum {} {{", self.name)?;
        for value in &self.values {
            write_doc(f, "  ", &value.doc)?;
            writeln!(f, "  {} = {};", value.name, value.number)?;
        }
        writeln!(f, "}}")
    }
}

fn write_doc(f: &mut fmt::Formatter<'_>, indent: &str, doc: &str) -> fmt::Result {
    doc.lines().try_for_each(|line| writeln!(f, "{}", format_args!("{indent}// {line}").to_string().trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(name: &str) -> MessageDescriptor {
        let pool = DescriptorPool::decode(polyhost_proto::DESCRIPTORS).expect("our own descriptors");
        pool.get_message_by_name(name).expect("a message of ours")
    }

    #[test]
    fn writes_messages_as_proto_files_do() {
        let mut schema = Schema::default();
        schema.add(&message("conformance.v1.AllTypes"));
        let text = schema.messages[0].to_string();
        for part in [
            "  optional int32 o_int32 = 21;\n",
            "  repeated conformance.v1.AllTypes r_message = 37;\n",
            "  map<uint64, conformance.v1.Colour> m_uint64_colour = 55;\n",
            "  oneof choice {\n    int32 c_int32 = 61;\n",
            "    bool c_bool = 64;\n  }\n  google.protobuf.Timestamp w_timestamp = 71;\n",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert!(schema.enums[0].to_string().contains("  COLOUR_NEGATIVE = -1;\n"));
    }

    #[test]
    fn collects_each_type_once_and_leaves_the_well_known_out() {
        let mut schema = Schema::default();
        schema.add(&message("conformance.v1.AllTypes"));
        schema.add(&message("conformance.v1.AllTypes"));
        assert_eq!(1, schema.messages.len());
        schema.add(&message("conformance.v1.MisbehaveRequest"));
        let enums: Vec<_> = schema.enums.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(["conformance.v1.Colour", "conformance.v1.MisbehaveRequest.Deed"], *enums);
    }
}
