//! From tables to the wire.

use super::schema::{Enum, Field, Message, Scalar, Schema, Shape, Type};
use super::wire::{WireType, Writer, zigzag};
use super::{Failure, MAX_DEPTH, Wrong};
use crate::ffi::{Kind, Stack, Wide};

type Result<T> = std::result::Result<T, Failure>;

/// Appends the message that the table on top is to `bytes`, which may hold `limit` bytes in all.
pub(crate) fn take(stack: &Stack<'_>, schema: &Schema, bytes: &mut Vec<u8>, limit: usize) -> Result<()> {
    let encoder = Encoder { stack, schema };
    encoder.message(0, stack.top(), &mut Writer::new(bytes, limit), MAX_DEPTH)
}

struct Encoder<'a> {
    stack: &'a Stack<'a>,
    schema: &'a Schema,
}

impl Encoder<'_> {
    /// Writes the fields of the table at `at`, by number.
    fn message(&self, index: usize, at: i32, writer: &mut Writer<'_>, depth: usize) -> Result<()> {
        let (stack, message) = (self.stack, &self.schema.messages[index]);
        stack.reserve(12)?;
        if stack.kind(at) != Kind::Table {
            return Err(self.expected(&format!("a table ({})", message.name), at));
        }
        let mut chosen: Vec<Option<&str>> = vec![None; message.oneofs.len()];
        let mut known = 0;
        for field in &message.fields {
            stack.push_field(at, &field.name);
            let value = stack.top();
            if stack.kind(value) != Kind::Nil {
                known += 1;
                if let Shape::Oneof(oneof) = field.shape
                    && let Some(other) = chosen[oneof].replace(&field.name)
                {
                    let name = &message.oneofs[oneof];
                    return Err(Wrong::new(format!("{other} and {} are both set, of the oneof {name}", field.name)));
                }
                self.field(field, value, writer, depth).map_err(|failure| failure.within(&field.name))?;
            }
            stack.set_top(value - 1);
        }
        self.check_keys(message, at, known)?;
        stack.with_unknown(at, &message.name, |bytes| writer.raw(bytes))
    }

    /// Refuses keys that are no fields.
    fn check_keys(&self, message: &Message, at: i32, known: usize) -> Result<()> {
        let stack = self.stack;
        let mut keys = 0;
        stack.push_nil();
        while stack.next(at) {
            stack.pop(1);
            keys += 1;
        }
        if keys == known {
            return Ok(());
        }
        stack.push_nil();
        while stack.next(at) {
            stack.pop(1);
            let key = stack.top();
            let is_field = |name: String| message.fields.iter().any(|field| field.name == name);
            if !stack.text(key).is_some_and(is_field) {
                return Err(Wrong::new(format!("{} is no field of {}", self.show(key), message.name)));
            }
        }
        Ok(())
    }

    fn field(&self, field: &Field, at: i32, writer: &mut Writer<'_>, depth: usize) -> Result<()> {
        match field.shape {
            Shape::List { packed } => self.list(field, packed, at, writer, depth),
            Shape::Map { key } => self.map(field, key, at, writer, depth),
            Shape::Implicit if self.is_default(field.value, at) => Ok(()),
            _ => self.value(field.value, field.number, at, writer, depth),
        }
    }

    fn list(&self, field: &Field, packed: bool, at: i32, writer: &mut Writer<'_>, depth: usize) -> Result<()> {
        let stack = self.stack;
        if stack.kind(at) != Kind::Table {
            return Err(self.expected("a table (a list)", at));
        }
        let len = stack.length(at);
        self.check_list(at, len)?;
        let each = |writer: &mut Writer<'_>| {
            for index in 1..=len as i32 {
                stack.push_entry(at, index);
                let value = stack.top();
                let written = match packed {
                    true => self.payload(field.value, value, writer),
                    false => self.value(field.value, field.number, value, writer, depth),
                };
                written.map_err(|failure| failure.within(&format!("[{index}]")))?;
                stack.set_top(value - 1);
            }
            Ok(())
        };
        if !packed {
            return each(writer);
        }
        if len == 0 {
            return Ok(());
        }
        writer.key(field.number, WireType::Delimited)?;
        writer.nested(each)
    }

    /// Refuses keys that are not 1 to the length.
    fn check_list(&self, at: i32, len: usize) -> Result<()> {
        let stack = self.stack;
        stack.push_nil();
        while stack.next(at) {
            stack.pop(1);
            let key = stack.top();
            let fits = |it: f64| it.fract() == 0.0 && it >= 1.0 && it <= len as f64;
            if !stack.number(key).is_some_and(fits) {
                let key = self.show(key);
                return Err(Wrong::new(format!("a list has the keys 1, 2, 3 and so on without a gap, not {key}")));
            }
        }
        Ok(())
    }

    fn map(&self, field: &Field, key: Scalar, at: i32, writer: &mut Writer<'_>, depth: usize) -> Result<()> {
        let stack = self.stack;
        if stack.kind(at) != Kind::Table {
            return Err(self.expected("a table (a map)", at));
        }
        stack.push_nil();
        while stack.next(at) {
            let depth = depth.checked_sub(1).ok_or_else(too_deep)?;
            let value = stack.top();
            writer.key(field.number, WireType::Delimited)?;
            writer.nested(|writer| {
                self.value(Type::Scalar(key), 1, value - 1, writer, depth)
                    .map_err(|failure| failure.within("[a key]"))?;
                self.value(field.value, 2, value, writer, depth)
                    .map_err(|failure| failure.within(&format!("[{}]", self.show(value - 1))))
            })?;
            stack.set_top(value - 1);
        }
        Ok(())
    }

    /// Writes a value with its key.
    fn value(&self, value: Type, number: u32, at: i32, writer: &mut Writer<'_>, depth: usize) -> Result<()> {
        writer.key(number, value.wire_type())?;
        let depth = || depth.checked_sub(1).ok_or_else(too_deep);
        match value {
            Type::Message(index) => {
                let depth = depth()?;
                writer.nested(|writer| self.message(index, at, writer, depth))
            }
            Type::Group(index) => {
                self.message(index, at, writer, depth()?)?;
                writer.key(number, WireType::EndGroup)
            }
            _ => self.payload(value, at, writer),
        }
    }

    /// Writes a scalar or an enum without its key.
    fn payload(&self, value: Type, at: i32, writer: &mut Writer<'_>) -> Result<()> {
        let scalar = match value {
            Type::Enum(index) => {
                let number = self.enum_number(&self.schema.enums[index], at)?;
                return writer.varint(i64::from(number) as u64);
            }
            Type::Scalar(scalar) => scalar,
            Type::Message(_) | Type::Group(_) => unreachable!("messages are no payload"),
        };
        match scalar {
            Scalar::Double => writer.raw(&self.number(at)?.to_le_bytes()),
            Scalar::Float => writer.raw(&self.float(at)?.to_le_bytes()),
            Scalar::Bool if self.stack.kind(at) == Kind::Boolean => writer.varint(self.stack.truth(at).into()),
            Scalar::Bool => Err(self.expected("a boolean", at)),
            Scalar::String => {
                let check = |text: &[u8]| match std::str::from_utf8(text) {
                    Ok(_) => writer.delimited(text),
                    Err(e) => {
                        let from = e.valid_up_to() + 1;
                        Err(Wrong::new(format!("the string is not UTF-8 from byte {from} on; use a bytes field")))
                    }
                };
                self.stack.with_bytes(at, check).unwrap_or_else(|| Err(self.expected("a string", at)))
            }
            Scalar::Bytes => {
                let write = |bytes: &[u8]| writer.delimited(bytes);
                self.stack.with_bytes(at, write).unwrap_or_else(|| Err(self.expected("a string of bytes", at)))
            }
            _ => self.integer(scalar, at, writer),
        }
    }

    fn integer(&self, scalar: Scalar, at: i32, writer: &mut Writer<'_>) -> Result<()> {
        let value = self.integer_in(scalar, at)?;
        match scalar {
            // Negative numbers have ten bytes, as 64-bit ones have.
            Scalar::Int32 | Scalar::Int64 | Scalar::Uint32 | Scalar::Uint64 => writer.varint(value as u64),
            Scalar::Sint32 | Scalar::Sint64 => writer.varint(zigzag(value as i64)),
            Scalar::Fixed32 | Scalar::Sfixed32 => writer.raw(&(value as u32).to_le_bytes()),
            _ => writer.raw(&(value as u64).to_le_bytes()),
        }
    }

    /// The integer at `at`, where it fits.
    fn integer_in(&self, scalar: Scalar, at: i32) -> Result<i128> {
        let (min, max): (i128, i128) = match scalar {
            Scalar::Int32 | Scalar::Sint32 | Scalar::Sfixed32 => (i32::MIN.into(), i32::MAX.into()),
            Scalar::Uint32 | Scalar::Fixed32 => (0, u32::MAX.into()),
            Scalar::Int64 | Scalar::Sint64 | Scalar::Sfixed64 => (i64::MIN.into(), i64::MAX.into()),
            _ => (0, u64::MAX.into()),
        };
        let is_wide = max > u32::MAX.into();
        let value = match self.stack.kind(at) {
            Kind::Number => self.whole(at)?,
            Kind::Cdata => match self.stack.wide(at)? {
                Some(Wide::Signed(value)) => value.into(),
                Some(Wide::Unsigned(value)) => value.into(),
                None => return Err(self.expected("an integer", at)),
            },
            Kind::String if is_wide => {
                let text = self.stack.text(at).unwrap_or_default();
                let digits = text.strip_prefix('-').unwrap_or(&text);
                let is_decimal = !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit());
                match text.parse() {
                    Ok(value) if is_decimal => value,
                    _ => return Err(Wrong::new(format!("expected a decimal number, got the string {text:?}"))),
                }
            }
            _ => return Err(self.expected("a number", at)),
        };
        if (min..=max).contains(&value) {
            return Ok(value);
        }
        Err(Wrong::new(format!("{value} is out of the range of {}", scalar.name())))
    }

    fn whole(&self, at: i32) -> Result<i128> {
        let value = self.number(at)?;
        if value.fract() != 0.0 || !value.is_finite() {
            return Err(Wrong::new(format!("expected an integer, got {value}")));
        }
        // Saturates far beyond every range.
        Ok(value as i128)
    }

    fn number(&self, at: i32) -> Result<f64> {
        self.stack.number(at).ok_or_else(|| self.expected("a number", at))
    }

    fn float(&self, at: i32) -> Result<f32> {
        let value = self.number(at)?;
        let float = value as f32;
        if float.is_infinite() && value.is_finite() {
            return Err(Wrong::new(format!("{value} is out of the range of float")));
        }
        Ok(float)
    }

    fn enum_number(&self, it: &Enum, at: i32) -> Result<i32> {
        if let Some(name) = self.stack.text(at) {
            return it.numbers.get(&name).copied().ok_or_else(|| {
                let mut names: Vec<_> = it.numbers.iter().collect();
                names.sort_by_key(|(_, number)| **number);
                let names: Vec<_> = names.into_iter().map(|(name, _)| name.as_str()).collect();
                Wrong::new(format!("{name:?} is no value of {}; there are {}", it.name, names.join(", ")))
            });
        }
        if self.stack.kind(at) != Kind::Number {
            return Err(self.expected(&format!("a name or number of {}", it.name), at));
        }
        let number = self.whole(at)?;
        i32::try_from(number).map_err(|_| Wrong::new(format!("{number} is out of the range of an enum")))
    }

    /// Whether an implicit field has the value it has when it is not written.
    fn is_default(&self, value: Type, at: i32) -> bool {
        match value {
            Type::Scalar(Scalar::Bool) => self.stack.kind(at) == Kind::Boolean && !self.stack.truth(at),
            Type::Scalar(Scalar::String | Scalar::Bytes) => {
                self.stack.with_bytes(at, <[u8]>::is_empty).unwrap_or(false)
            }
            // Negative zero is another number than zero.
            Type::Scalar(_) => self.stack.number(at).is_some_and(|it| it == 0.0 && it.is_sign_positive()),
            Type::Enum(index) => match self.stack.kind(at) {
                Kind::Number => self.stack.number(at) == Some(0.0),
                Kind::String => {
                    let zero = self.schema.enums[index].numbers.get(&self.stack.text(at).unwrap_or_default());
                    zero == Some(&0)
                }
                _ => false,
            },
            Type::Message(_) | Type::Group(_) => false,
        }
    }

    /// A value as it is shown in an error.
    fn show(&self, at: i32) -> String {
        match self.stack.kind(at) {
            Kind::String => format!("{:?}", self.stack.text(at).unwrap_or_default()),
            Kind::Number => self.stack.number(at).unwrap_or_default().to_string(),
            Kind::Boolean => self.stack.truth(at).to_string(),
            kind => format!("a {}", kind.name()),
        }
    }

    #[cold]
    fn expected(&self, what: &str, at: i32) -> Failure {
        Wrong::new(format!("expected {what}, got {}", article(self.stack.kind(at))))
    }
}

fn article(kind: Kind) -> String {
    match kind {
        Kind::None | Kind::Nil => "nil".into(),
        kind => format!("a {}", kind.name()),
    }
}

#[cold]
fn too_deep() -> Failure {
    Wrong::new(format!("messages are nested more than {MAX_DEPTH} deep; does a table contain itself?"))
}
