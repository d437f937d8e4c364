//! When two messages are the same.

use std::fmt::Write;

use prost_reflect::{DynamicMessage, MessageDescriptor, Value};

/// A message in a form that is the same for equal messages: all fields by number, maps sorted, floats by their bits
/// (every NaN alike), unknown fields at the end.
///
/// # Errors
/// Where the bytes are no message of that type.
pub fn text(descriptor: &MessageDescriptor, bytes: &[u8]) -> Result<String, String> {
    let message = DynamicMessage::decode(descriptor.clone(), bytes).map_err(|error| error.to_string())?;
    let mut text = String::new();
    write_message(&message, &mut text);
    Ok(text)
}

fn write_message(message: &DynamicMessage, text: &mut String) {
    text.push('{');
    for (field, value) in message.fields() {
        let _ = write!(text, " {}: ", field.name());
        write_value(value, text);
    }
    let mut unknown: Vec<_> = message.unknown_fields().collect();
    unknown.sort_by_key(|field| field.number());
    for field in unknown {
        let mut bytes = Vec::new();
        field.encode(&mut bytes);
        let _ = write!(text, " #{}: {bytes:02x?}", field.number());
    }
    text.push_str(" }");
}

fn write_value(value: &Value, text: &mut String) {
    let _ = match value {
        Value::F32(it) if it.is_nan() => write!(text, "nan"),
        Value::F64(it) if it.is_nan() => write!(text, "nan"),
        Value::F32(it) => write!(text, "{it:e}/{:08x}", it.to_bits()),
        Value::F64(it) => write!(text, "{it:e}/{:016x}", it.to_bits()),
        Value::Message(it) => {
            write_message(it, text);
            Ok(())
        }
        Value::List(list) => {
            text.push('[');
            for it in list {
                write_value(it, text);
                text.push(' ');
            }
            text.push(']');
            Ok(())
        }
        Value::Map(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| (*key).clone());
            text.push('<');
            for (key, value) in entries {
                let _ = write!(text, "{key:?}=");
                write_value(value, text);
                text.push(' ');
            }
            text.push('>');
            Ok(())
        }
        plain => write!(text, "{plain:?}"),
    };
}
