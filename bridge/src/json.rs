//! Calls with JSON, for callers who have nothing but the module.

mod order;

use std::fmt;
use std::sync::Arc;

use prost::Message;
use prost_reflect::{
    DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor, ReflectMessage, SerializeOptions,
};
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};
use serde_json::value::RawValue;

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

/// The bytes of a message given as proto3 JSON.
///
/// # Errors
/// [`ErrorKind::Decode`], with line and column.
pub fn encode(message: &MessageDescriptor, json: &str) -> Result<Vec<u8>> {
    let name = message.full_name();
    let wrong =
        |e: serde_json::Error| Error::new(ErrorKind::Decode, format!("the JSON is not a {name}: {e}")).caused_by(e);
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let options = DeserializeOptions::new().deny_unknown_fields(true);
    let message =
        DynamicMessage::deserialize_with_options(message.clone(), &mut deserializer, &options).map_err(wrong)?;
    deserializer.end().map_err(wrong)?;
    Ok(message.encode_to_vec())
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
    // The well-known types are there even where a module leaves them out.
    let mut pool = DescriptorPool::global();
    pool.decode_file_descriptor_set(bytes).map_err(|e| {
        let message = format!("the descriptors of module {} are no valid FileDescriptorSet: {e}", module.name());
        Error::new(ErrorKind::Load, message).caused_by(e)
    })?;
    Ok(pool)
}

impl fmt::Debug for JsonFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JsonFunction").field(&self.function).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
