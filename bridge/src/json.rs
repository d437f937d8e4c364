//! Calls with JSON, for callers who have nothing but the module.

mod order;

use std::fmt;
use std::sync::Arc;

use prost::Message;
use prost_reflect::{
    DescriptorPool, DeserializeOptions, DynamicMessage, Kind, MessageDescriptor, ReflectMessage, SerializeOptions,
};
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};
use serde_json::value::RawValue;
use serde_path_to_error::Segment;

use crate::boundary;
use crate::call::CallContext;
use crate::error::{Error, ErrorKind, Result};
use crate::function::Function;
use crate::module::Module;
use crate::output::Output;
use order::Ordered;

/// A [`Function`] that takes and returns the proto3 JSON of its messages, by the descriptors of its module.
pub struct JsonFunction {
    function: Arc<dyn Function>,
    input: MessageDescriptor,
    output: MessageDescriptor,
}

impl JsonFunction {
    /// The export of this name.
    ///
    /// # Errors
    /// As [`Module::function`]; [`ErrorKind::Unsupported`] for an export of raw bytes or a module without
    /// descriptors.
    pub fn of(module: &dyn Module, name: &str) -> Result<Self> {
        let function = module.function(name)?;
        let export = function.export();
        let (Some(input), Some(output)) = (export.input_type(), export.output_type()) else {
            let message =
                format!("the export {name} takes or returns raw bytes, which have no JSON; call it with bytes");
            return Err(Error::new(ErrorKind::Unsupported, message));
        };
        let pool = pool(module)?;
        let message = |type_name: &str| {
            pool.get_message_by_name(type_name).ok_or_else(|| {
                let message = format!("the descriptors of module {} lack the message {type_name}", module.name());
                Error::new(ErrorKind::Load, message)
            })
        };
        let (input, output) = (message(input)?, message(output)?);
        Ok(JsonFunction { function, input, output })
    }

    /// Calls with a JSON object on this thread; the reply is JSON without spaces.
    ///
    /// # Errors
    /// As [`Function::call`]; [`ErrorKind::Decode`] where `json` is not the message the export takes.
    pub fn call(&self, cx: &CallContext, json: &str) -> Result<String> {
        let input = self.encode(json)?;
        let mut output = Output::new();
        self.function.call(cx, &input, &mut output)?;
        self.decode(output.as_slice())
    }

    /// The bytes of a request given as JSON.
    ///
    /// # Errors
    /// [`ErrorKind::Decode`], with line and column.
    pub fn encode(&self, json: &str) -> Result<Vec<u8>> {
        encode(&self.input, json)
    }

    /// The JSON of a reply's bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Decode`] where they are not the message the export returns.
    pub fn decode(&self, bytes: &[u8]) -> Result<String> {
        decode(&self.output, bytes)
    }

    /// The message the export takes.
    pub fn input(&self) -> &MessageDescriptor {
        &self.input
    }

    /// The message the export returns.
    pub fn output(&self) -> &MessageDescriptor {
        &self.output
    }
}

/// The bytes of a message given as proto3 JSON. A byte order mark before it is skipped.
///
/// # Errors
/// [`ErrorKind::Decode`], with the path of the field, line and column.
pub fn encode(message: &MessageDescriptor, json: &str) -> Result<Vec<u8>> {
    // Editors and shells of Windows put one there; serde_json takes it for a mistake.
    let json = json.strip_prefix('\u{feff}').unwrap_or(json);
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(&mut deserializer, &mut track);
    let options = DeserializeOptions::new().deny_unknown_fields(true);
    let read = DynamicMessage::deserialize_with_options(message.clone(), tracked, &options);
    let path = track.path();
    let read = read.and_then(|read| deserializer.end().map(|()| read));
    let read = read.map_err(|e| not_the_message(message, &path, e))?;
    Ok(read.encode_to_vec())
}

#[cold]
fn not_the_message(message: &MessageDescriptor, path: &serde_path_to_error::Path, error: serde_json::Error) -> Error {
    let mut text = format!("the JSON is not a {}: ", message.full_name());
    // What is no JSON at all breaks off somewhere: line and column tell where.
    if error.is_data() && path.iter().next().is_some() {
        text += &format!("{path}: ");
    }
    text += &error.to_string();
    if text.contains(UNKNOWN_FIELD)
        && let Some(inner) = message_at(message, path)
    {
        let fields: Vec<_> = inner.fields().map(|field| field.json_name().to_owned()).collect();
        let fields = if fields.is_empty() { "none".to_owned() } else { fields.join(", ") };
        text += &format!("; the fields of {} are: {fields}", inner.full_name());
    }
    Error::new(ErrorKind::Decode, text).caused_by(error)
}

/// How prost-reflect says it.
const UNKNOWN_FIELD: &str = "unrecognized field name";

/// The message at a path.
fn message_at(message: &MessageDescriptor, path: &serde_path_to_error::Path) -> Option<MessageDescriptor> {
    let mut at = message.clone();
    let mut keys = path.iter().filter_map(|segment| match segment {
        Segment::Map { key } => Some(key),
        _ => None,
    });
    while let Some(key) = keys.next() {
        let field = at.get_field_by_json_name(key).or_else(|| at.get_field_by_name(key))?;
        let kind = match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                // The entry's own key.
                keys.next();
                entry.map_entry_value_field().kind()
            }
            kind => kind,
        };
        at = kind.as_message()?.clone();
    }
    Some(at)
}

/// The proto3 JSON of a message's bytes, without spaces: fields by number, entries of maps by key.
///
/// # Errors
/// [`ErrorKind::Decode`] where they are not that message.
pub fn decode(message: &MessageDescriptor, bytes: &[u8]) -> Result<String> {
    decode_with(message, bytes, CompactFormatter)
}

/// As [`decode`], indented for people.
///
/// # Errors
/// As [`decode`].
pub fn decode_pretty(message: &MessageDescriptor, bytes: &[u8]) -> Result<String> {
    decode_with(message, bytes, PrettyFormatter::new())
}

fn decode_with(descriptor: &MessageDescriptor, bytes: &[u8], formatter: impl Formatter) -> Result<String> {
    let name = descriptor.full_name();
    let message = DynamicMessage::decode(descriptor.clone(), bytes)
        .map_err(|e| Error::new(ErrorKind::Decode, format!("the reply is not a {name}: {e}")).caused_by(e))?;
    write(&message, formatter)
        .map_err(|e| Error::new(ErrorKind::Encode, format!("the reply has no JSON: {e}")).caused_by(e))
}

fn write(message: &DynamicMessage, formatter: impl Formatter) -> serde_json::Result<String> {
    let mut serializer = serde_json::Serializer::new(Vec::new());
    message.serialize_with_options(&mut serializer, &SerializeOptions::new())?;
    let text = serializer.into_inner();
    let text: &RawValue = serde_json::from_slice(&text)?;
    let mut serializer = serde_json::Serializer::with_formatter(Vec::new(), formatter);
    Ordered::message(text, &message.descriptor())?.serialize(&mut serializer)?;
    String::from_utf8(serializer.into_inner()).map_err(serde::ser::Error::custom)
}

/// The descriptors that a module carries.
///
/// # Errors
/// [`ErrorKind::Unsupported`] where it carries none; [`ErrorKind::Load`] where they do not decode.
pub fn pool(module: &dyn Module) -> Result<DescriptorPool> {
    let Some(bytes) = module.descriptors() else {
        let message = format!("module {} carries no message types; call its exports with bytes", module.name());
        return Err(Error::new(ErrorKind::Unsupported, message));
    };
    decode_pool(bytes).map_err(|e| {
        let message = format!("the descriptors of module {} are no valid FileDescriptorSet: {e}", module.name());
        Error::new(ErrorKind::Load, message).caused_by(e)
    })
}

fn decode_pool(bytes: &[u8]) -> Result<DescriptorPool, Box<dyn std::error::Error + Send + Sync>> {
    // The well-known types are there even where a module leaves them out.
    let mut pool = DescriptorPool::global();
    // prost-reflect 0.16 panics over some that are wrong, where it puts together what it says of them: two types of one
    // name, for one. What it had done by then is dropped with this pool.
    let read = boundary::enter(|| Ok(pool.decode_file_descriptor_set(bytes)));
    read??;
    Ok(pool)
}

impl fmt::Debug for JsonFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JsonFunction").field(&self.function).finish()
    }
}

#[cfg(test)]
mod tests {
    use prost_reflect::prost_types;

    use super::*;

    #[test]
    fn what_is_wrong_in_json_is_told_with_its_path() {
        let pool = DescriptorPool::decode(polyhost_proto::DESCRIPTORS).expect("our own descriptors");
        let message = |name: &str| pool.get_message_by_name(name).expect("a message of ours");
        let all = message("conformance.v1.AllTypes");
        let check = |json: &str, parts: &[&str]| {
            let error = encode(&all, json).expect_err(json);
            for part in parts {
                assert!(error.message().contains(part), "{part:?} is not in {error}");
            }
        };
        check(r#"{"fInt32":"x"}"#, &["conformance.v1.AllTypes: fInt32: ", "line 1"]);
        check(r#"{"rMessage":[{},{"fBool":3}]}"#, &["rMessage[1].fBool: ", "line 1"]);
        check(r#"{"mStringMessage":{"k":{"fBool":3}}}"#, &["mStringMessage.k.fBool: "]);
        let fields = "; the fields of conformance.v1.AllTypes are: fDouble, fFloat, ";
        check(r#"{"nope":3}"#, &["'nope'", fields]);
        check(r#"{"fMessage":{"rMessage":[{"nope":3}]}}"#, &["fMessage.rMessage[0]", "'nope'", fields]);
        check(r#"{"mStringMessage":{"k":{"nope":3}}}"#, &["mStringMessage.k", "'nope'", fields]);
        let add = message("conformance.v1.AddRequest");
        assert_eq!(encode(&add, r#"{"n":2}"#).expect("good"), encode(&add, "\u{feff}{\"n\":2}").expect("good"));
        let error = encode(&add, r#"{"m":2}"#).expect_err("unknown");
        assert!(error.message().ends_with("; the fields of conformance.v1.AddRequest are: n"), "{error}");
    }

    #[test]
    fn descriptors_that_are_wrong_are_an_error() {
        let message = || prost_types::DescriptorProto { name: Some("M".into()), ..Default::default() };
        let file = |messages| prost_types::FileDescriptorProto {
            name: Some("m.proto".into()),
            message_type: messages,
            ..Default::default()
        };
        let decode =
            |messages| decode_pool(&prost_types::FileDescriptorSet { file: vec![file(messages)] }.encode_to_vec());
        assert!(decode(vec![message()]).is_ok());
        assert!(decode(vec![message(), message()]).is_err());
        assert!(decode_pool(b"\xff").is_err());
    }

    #[test]
    fn doubles_are_read_to_the_last_bit() {
        let pool = DescriptorPool::decode(polyhost_proto::DESCRIPTORS).expect("our own descriptors");
        let message = pool.get_message_by_name("conformance.v1.AllTypes").expect("a message of ours");
        for text in ["2.22507e-308", "-2.22507e-308", "0.1", "5e-324", "1.7976931348623157e308"] {
            let bytes = encode(&message, &format!("{{\"fDouble\":{text}}}")).expect("a double");
            let expected: f64 = text.parse().expect("a double");
            assert_eq!(expected.to_le_bytes(), bytes[1..], "{text}");
        }
    }

    #[test]
    fn entries_of_maps_are_sorted_and_fields_stay_by_number() {
        const TEXT: &str = concat!(
            r#"{"fFloat":0.1,"fMessage":{"mStringString":{"a":"1","b\"":"2","c":"3"}},"#,
            r#""rMessage":[{"mInt32Int64":{"-3":"1","2":"2","10":"3"}}],"#,
            r#""mStringMessage":{"x":{"mBoolBytes":{"false":"","true":"AA=="}},"y":{},"z":{}},"#,
            r#""wStruct":{"a":[{"x":1.0,"y":null}],"b":{"x":"","y":true},"c":"z"}}"#,
        );
        let pool = DescriptorPool::decode(polyhost_proto::DESCRIPTORS).expect("our own descriptors");
        let message = pool.get_message_by_name("conformance.v1.AllTypes").expect("a message of ours");
        let bytes = encode(&message, TEXT).expect("it is one");
        // The hash maps of each message that is decoded have an order of their own.
        for _ in 0..20 {
            assert_eq!(TEXT, decode(&message, &bytes).expect("has JSON"));
        }
        let pretty = decode_pretty(&message, &bytes).expect("has JSON");
        assert!(pretty.contains("\n      \"a\": \"1\",\n      \"b\\\"\": \"2\","), "{pretty}");
    }
}
