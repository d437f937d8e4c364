//! JSON in one order: prost-reflect writes the entries of a map as its hash map has them, differently in each run.

use std::collections::BTreeMap;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde::{Serialize, Serializer};
use serde_json::Result;
use serde_json::value::RawValue;

/// JSON whose maps are sorted by key; the fields of a message are in the order of their numbers.
pub(super) enum Ordered<'a> {
    /// A number, a text, or nothing.
    Plain(&'a RawValue),
    List(Vec<Ordered<'a>>),
    Object(Vec<(String, Ordered<'a>)>),
}

impl<'a> Ordered<'a> {
    /// The JSON of a message.
    pub(super) fn message(text: &'a RawValue, message: &MessageDescriptor) -> Result<Self> {
        // These have a JSON of their own; that of `Struct` and `Any` is whatever was put into them.
        if message.package_name() == "google.protobuf" {
            return Self::any(text);
        }
        let mut entries: BTreeMap<String, &RawValue> = serde_json::from_str(text.get())?;
        let mut fields: Vec<FieldDescriptor> = message.fields().collect();
        fields.sort_unstable_by_key(FieldDescriptor::number);
        let mut ordered = Vec::with_capacity(entries.len());
        for field in fields {
            if let Some((name, value)) = entries.remove_entry(field.json_name()) {
                ordered.push((name, Self::field(value, &field)?));
            }
        }
        // Extensions are left.
        for (name, value) in entries {
            ordered.push((name, Self::any(value)?));
        }
        Ok(Ordered::Object(ordered))
    }

    fn field(text: &'a RawValue, field: &FieldDescriptor) -> Result<Self> {
        match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                let (key, value) = (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
                let entries: BTreeMap<String, &RawValue> = serde_json::from_str(text.get())?;
                let mut ordered = Vec::with_capacity(entries.len());
                for (key, text) in entries {
                    ordered.push((key, Self::value(text, &value)?));
                }
                if !matches!(key, Kind::String | Kind::Bool) {
                    ordered.sort_by_key(|(key, _)| key.parse::<i128>().ok());
                }
                Ok(Ordered::Object(ordered))
            }
            kind if field.is_list() => {
                let items: Vec<&RawValue> = serde_json::from_str(text.get())?;
                Ok(Ordered::List(items.into_iter().map(|item| Self::value(item, &kind)).collect::<Result<_>>()?))
            }
            kind => Self::value(text, &kind),
        }
    }

    fn value(text: &'a RawValue, kind: &Kind) -> Result<Self> {
        match kind {
            Kind::Message(message) => Self::message(text, message),
            _ => Ok(Ordered::Plain(text)),
        }
    }

    /// JSON of which no more is known: every object sorted.
    fn any(text: &'a RawValue) -> Result<Self> {
        match text.get().as_bytes().first() {
            Some(b'{') => {
                let entries: BTreeMap<String, &RawValue> = serde_json::from_str(text.get())?;
                let sorted = entries.into_iter().map(|(key, value)| Ok((key, Self::any(value)?)));
                Ok(Ordered::Object(sorted.collect::<Result<_>>()?))
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text.get())?;
                Ok(Ordered::List(items.into_iter().map(Self::any).collect::<Result<_>>()?))
            }
            _ => Ok(Ordered::Plain(text)),
        }
    }
}

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Ordered::Plain(text) => text.serialize(serializer),
            Ordered::List(items) => serializer.collect_seq(items),
            Ordered::Object(entries) => serializer.collect_map(entries.iter().map(|(key, value)| (key, value))),
        }
    }
}
