//! From the wire to tables.

use super::schema::{Enum, Field, Message, Scalar, Schema, Shape, Type};
use super::wire::{Reader, WireType, append_varint, too_deep, unopened, unzigzag};
use super::{Failure, MAX_DEPTH, Wrong};
use crate::ffi::{Kind, Stack, Wide};
use polyhost_bridge::{Error, ErrorKind};

type Result<T> = std::result::Result<T, Failure>;

/// LuaJIT's tables hold a few more, and raise an error beyond.
const MAX_ENTRIES: i32 = 1 << 25;

/// Pushes the message that `bytes` are, as a table. After a failure there may be more on the stack.
pub(crate) fn push(stack: &Stack<'_>, schema: &Schema, bytes: &[u8]) -> Result<()> {
    let decoder = Decoder { stack, schema };
    decoder.push_message(0)?;
    decoder.fill(0, &mut Reader::new(bytes), None, MAX_DEPTH, false)
}

struct Decoder<'a> {
    stack: &'a Stack<'a>,
    schema: &'a Schema,
}

/// The list or map that is on the stack above the message's table, so that its next entry need not look it up.
#[derive(Clone, Copy)]
struct Open {
    number: u32,
    entries: i32,
}

impl Decoder<'_> {
    /// Pushes a table with what a message has that no field of is set.
    fn push_message(&self, index: usize) -> Result<()> {
        let (stack, message) = (self.stack, &self.schema.messages[index]);
        // Whatever the nesting adds: a list, a key, a value, and what the stack's own methods push.
        stack.reserve(12)?;
        self.check_memory(0)?;
        let always = message.fields.iter().filter(|field| field.always()).count();
        stack.push_table(0, always + 1);
        let table = stack.top();
        for field in message.fields.iter().filter(|field| field.always()) {
            stack.push_bytes(field.name.as_bytes());
            match field.shape {
                Shape::Implicit => self.push_default(field.value)?,
                _ => stack.push_table(0, 0),
            }
            stack.set_entry(table);
        }
        Ok(())
    }

    /// Reads fields into the table on top, to the end or to the end of the group of that number.
    fn fill(&self, index: usize, reader: &mut Reader<'_>, group: Option<u32>, depth: usize, again: bool) -> Result<()> {
        let (stack, message) = (self.stack, &self.schema.messages[index]);
        let table = stack.top();
        let mut open: Option<Open> = None;
        let mut unknown = Vec::new();
        // Which oneofs may have a member already; those beyond the 64th always may.
        let mut chosen = if again { !0u64 } else { 0 };
        loop {
            if reader.is_empty() {
                if group.is_some() {
                    return Err(Wrong::new("it ends within a group"));
                }
                break;
            }
            let before = *reader;
            let (number, wire_type) = reader.key()?;
            if wire_type == WireType::EndGroup {
                if group == Some(number) {
                    break;
                }
                return Err(unopened(number));
            }
            self.check_memory(0)?;
            let known = match message.field(number) {
                None => false,
                Some(field) => {
                    if open.is_some_and(|open| open.number != number) {
                        stack.set_top(table);
                        open = None;
                    }
                    if let Shape::Oneof(oneof) = field.shape {
                        self.choose(message, field, oneof, table, &mut chosen);
                    }
                    self.field(field, wire_type, reader, table, &mut open, depth, &mut unknown)
                        .map_err(|failure| failure.within(&field.name))?
                }
            };
            if !known {
                reader.skip(number, wire_type, depth)?;
                unknown.extend_from_slice(reader.since(before));
            }
        }
        stack.set_top(table);
        if !unknown.is_empty() {
            stack.remember_unknown(table, &message.name, &unknown, again);
        }
        Ok(())
    }

    /// Takes the other members of a oneof out of the table.
    fn choose(&self, message: &Message, field: &Field, oneof: usize, table: i32, chosen: &mut u64) {
        let bit = 1u64.checked_shl(oneof as u32).unwrap_or(0);
        if bit != 0 && *chosen & bit == 0 {
            *chosen |= bit;
            return;
        }
        for other in message.fields.iter().filter(|it| it.shape == field.shape && it.number != field.number) {
            self.stack.push_nil();
            self.stack.set_field(table, &other.name);
        }
    }

    /// Reads one field. False where the wire type is none of its own, so that it counts as unknown.
    #[allow(clippy::too_many_arguments, reason = "the state of one loop")]
    fn field(
        &self,
        field: &Field,
        wire_type: WireType,
        reader: &mut Reader<'_>,
        table: i32,
        open: &mut Option<Open>,
        depth: usize,
        unknown: &mut Vec<u8>,
    ) -> Result<bool> {
        match field.shape {
            Shape::Map { key } => {
                if wire_type != WireType::Delimited {
                    return Ok(false);
                }
                let (map, entries) = self.open(field, table, open);
                self.entry(field.value, key, Reader::new(reader.delimited()?), map, depth)?;
                self.counted(field, open, entries + 1)?;
            }
            Shape::List { .. } => {
                let own = field.value.wire_type();
                let packed = wire_type == WireType::Delimited && own != WireType::Delimited;
                if own == WireType::StartGroup && packed || wire_type != own && !packed {
                    return Ok(false);
                }
                let (list, mut entries) = self.open(field, table, open);
                let mut values = if packed { Reader::new(reader.delimited()?) } else { *reader };
                loop {
                    if packed && values.is_empty() {
                        break;
                    }
                    self.element(field, &mut values, list, &mut entries, depth, unknown)?;
                    self.counted(field, open, entries)?;
                    if !packed {
                        *reader = values;
                        break;
                    }
                }
            }
            _ if wire_type != field.value.wire_type() => return Ok(false),
            _ => self.single(field, reader, table, depth, unknown)?,
        }
        Ok(true)
    }

    fn single(
        &self,
        field: &Field,
        reader: &mut Reader<'_>,
        table: i32,
        depth: usize,
        unknown: &mut Vec<u8>,
    ) -> Result<()> {
        let stack = self.stack;
        match field.value {
            Type::Message(_) | Type::Group(_) => {
                stack.push_field(table, &field.name);
                let again = stack.kind(stack.top()) == Kind::Table;
                if !again {
                    stack.pop(1);
                    stack.push_bytes(field.name.as_bytes());
                }
                self.nested(field, reader, depth, again)?;
                if again {
                    stack.pop(1);
                } else {
                    stack.set_entry(table);
                }
            }
            Type::Enum(index) => {
                let (number, key) = (reader.varint()? as i32, (field.number, &mut *unknown));
                if self.is_value(index, number, key) {
                    stack.push_bytes(field.name.as_bytes());
                    self.push_enum(index, number);
                    stack.set_entry(table);
                }
            }
            Type::Scalar(scalar) => {
                stack.push_bytes(field.name.as_bytes());
                self.push_scalar(scalar, reader)?;
                stack.set_entry(table);
            }
        }
        Ok(())
    }

    /// Reads one element of a list and appends it.
    fn element(
        &self,
        field: &Field,
        reader: &mut Reader<'_>,
        list: i32,
        entries: &mut i32,
        depth: usize,
        unknown: &mut Vec<u8>,
    ) -> Result<()> {
        let at = |failure: Failure| failure.within(&format!("[{}]", *entries + 1));
        match field.value {
            Type::Enum(index) => {
                let number = reader.varint()? as i32;
                if !self.is_value(index, number, (field.number, unknown)) {
                    return Ok(());
                }
                self.push_enum(index, number);
            }
            Type::Scalar(scalar) => self.push_scalar(scalar, reader).map_err(at)?,
            Type::Message(_) | Type::Group(_) => self.nested(field, reader, depth, false).map_err(at)?,
        }
        *entries += 1;
        self.stack.set_index(list, *entries);
        Ok(())
    }

    /// Reads a message within the message into a new table on top, or into the one that is there already.
    fn nested(&self, field: &Field, reader: &mut Reader<'_>, depth: usize, again: bool) -> Result<()> {
        let depth = depth.checked_sub(1).ok_or_else(too_deep)?;
        match field.value {
            Type::Group(index) => {
                self.push_unless(again, index)?;
                self.fill(index, reader, Some(field.number), depth, again)
            }
            Type::Message(index) => {
                let mut content = Reader::new(reader.delimited()?);
                self.push_unless(again, index)?;
                self.fill(index, &mut content, None, depth, again)
            }
            _ => unreachable!("no message"),
        }
    }

    fn push_unless(&self, there: bool, index: usize) -> Result<()> {
        if there { Ok(()) } else { self.push_message(index) }
    }

    /// Reads one entry of a map and puts it in.
    fn entry(&self, value: Type, key: Scalar, entry: Reader<'_>, map: i32, depth: usize) -> Result<()> {
        let depth = depth.checked_sub(1).ok_or_else(too_deep)?;
        let field = |number, value| Field { name: String::new(), number, value, shape: Shape::Explicit };
        // The last key counts, wherever it stands; so it is looked for first.
        let mut key_at = None;
        let mut reader = entry;
        while !reader.is_empty() {
            match reader.key()? {
                (1, wire_type) if wire_type == key.wire_type() => {
                    key_at = Some(reader);
                    reader.skip(1, wire_type, depth)?;
                }
                (number, wire_type) => reader.skip(number, wire_type, depth)?,
            }
        }
        self.push_key(key, key_at).map_err(|failure| failure.within("[a key]"))?;
        let value = field(2, value);
        let bottom = self.stack.top();
        let mut reader = entry;
        while !reader.is_empty() {
            let (number, wire_type) = reader.key()?;
            if number != 2 || wire_type != value.value.wire_type() {
                reader.skip(number, wire_type, depth)?;
                continue;
            }
            // A message that comes in parts is put together; of other values the last counts.
            let again = self.stack.top() > bottom;
            match value.value {
                Type::Message(_) | Type::Group(_) => self.nested(&value, &mut reader, depth, again)?,
                other => {
                    self.stack.set_top(bottom);
                    match other {
                        Type::Enum(index) => self.push_enum(index, reader.varint()? as i32),
                        Type::Scalar(scalar) => self.push_scalar(scalar, &mut reader)?,
                        _ => {}
                    }
                }
            }
        }
        if self.stack.top() == bottom {
            match value.value {
                Type::Message(index) | Type::Group(index) => self.push_message(index)?,
                other => self.push_default(other)?,
            }
        }
        self.stack.set_entry(map);
        Ok(())
    }

    /// The table of a list or map, left on the stack for the next of its entries, and how many there are so far.
    fn open(&self, field: &Field, table: i32, open: &mut Option<Open>) -> (i32, i32) {
        let entries = match open {
            Some(open) => open.entries,
            None => {
                self.stack.push_field(table, &field.name);
                let entries = self.stack.length(self.stack.top()) as i32;
                *open = Some(Open { number: field.number, entries });
                entries
            }
        };
        (table + 1, entries)
    }

    fn counted(&self, field: &Field, open: &mut Option<Open>, entries: i32) -> Result<()> {
        self.check_memory(0)?;
        if entries > MAX_ENTRIES {
            let message = format!("{} has more than {MAX_ENTRIES} entries; send less", field.name);
            return Err(Failure::Limit(Error::new(ErrorKind::Exhausted, message)));
        }
        *open = Some(Open { number: field.number, entries });
        Ok(())
    }

    fn push_scalar(&self, scalar: Scalar, reader: &mut Reader<'_>) -> Result<()> {
        let stack = self.stack;
        match scalar {
            Scalar::Double => stack.push_number(f64::from_le_bytes(reader.fixed64()?)),
            Scalar::Float => stack.push_number(f32::from_le_bytes(reader.fixed32()?).into()),
            Scalar::Int32 => stack.push_number((reader.varint()? as i32).into()),
            Scalar::Uint32 => stack.push_number((reader.varint()? as u32).into()),
            // Its lower bits are what counts, and among them the sign is the lowest.
            Scalar::Sint32 => stack.push_number((unzigzag(reader.varint()? as u32 as u64) as i32).into()),
            Scalar::Fixed32 => stack.push_number(u32::from_le_bytes(reader.fixed32()?).into()),
            Scalar::Sfixed32 => stack.push_number(i32::from_le_bytes(reader.fixed32()?).into()),
            Scalar::Bool => stack.push_boolean(reader.varint()? != 0),
            Scalar::String => {
                let text = reader.delimited()?;
                if let Err(e) = std::str::from_utf8(text) {
                    return Err(Wrong::new(format!("the string is not UTF-8 from byte {} on", e.valid_up_to() + 1)));
                }
                self.check_memory(text.len())?;
                stack.push_bytes(text);
            }
            Scalar::Bytes => {
                let bytes = reader.delimited()?;
                self.check_memory(bytes.len())?;
                stack.push_bytes(bytes);
            }
            _ => stack.push_wide(wide(scalar, reader)?)?,
        }
        Ok(())
    }

    fn push_key(&self, key: Scalar, reader: Option<Reader<'_>>) -> Result<()> {
        let Some(mut reader) = reader else { return self.push_default(Type::Scalar(key)) };
        if !is_wide(key) {
            return self.push_scalar(key, &mut reader);
        }
        // LuaJIT's own integers are objects, each a key of its own.
        match wide(key, &mut reader)? {
            Wide::Signed(value) if value.unsigned_abs() > Wide::EXACT => {
                self.stack.push_bytes(value.to_string().as_bytes())
            }
            Wide::Unsigned(value) if value > Wide::EXACT => self.stack.push_bytes(value.to_string().as_bytes()),
            exact => self.stack.push_wide(exact)?,
        }
        Ok(())
    }

    fn push_default(&self, value: Type) -> Result<()> {
        match value {
            Type::Scalar(Scalar::Bool) => self.stack.push_boolean(false),
            Type::Scalar(Scalar::String | Scalar::Bytes) => self.stack.push_bytes(b""),
            Type::Scalar(_) => self.stack.push_number(0.0),
            Type::Enum(index) => self.push_enum(index, self.schema.enums[index].default),
            Type::Message(_) | Type::Group(_) => self.stack.push_nil(),
        }
        Ok(())
    }

    fn push_enum(&self, index: usize, number: i32) {
        match self.schema.enums[index].names.get(&number) {
            Some(name) => self.stack.push_bytes(name.as_bytes()),
            None => self.stack.push_number(number.into()),
        }
    }

    /// Whether the number is a value of the enum; where the enum is closed and it is not, it is kept as unknown.
    fn is_value(&self, index: usize, number: i32, (field, unknown): (u32, &mut Vec<u8>)) -> bool {
        let Enum { closed, names, .. } = &self.schema.enums[index];
        if !closed || names.contains_key(&number) {
            return true;
        }
        append_varint(unknown, field, i64::from(number) as u64);
        false
    }

    fn check_memory(&self, more: usize) -> Result<()> {
        match self.stack.vm().over_limit(more) {
            None => Ok(()),
            Some(_) => Err(Failure::Memory),
        }
    }
}

fn is_wide(scalar: Scalar) -> bool {
    use Scalar::{Fixed64, Int64, Sfixed64, Sint64, Uint64};
    matches!(scalar, Int64 | Uint64 | Sint64 | Fixed64 | Sfixed64)
}

fn wide(scalar: Scalar, reader: &mut Reader<'_>) -> Result<Wide> {
    Ok(match scalar {
        Scalar::Int64 => Wide::Signed(reader.varint()? as i64),
        Scalar::Sint64 => Wide::Signed(unzigzag(reader.varint()?)),
        Scalar::Sfixed64 => Wide::Signed(i64::from_le_bytes(reader.fixed64()?)),
        Scalar::Uint64 => Wide::Unsigned(reader.varint()?),
        _ => Wide::Unsigned(u64::from_le_bytes(reader.fixed64()?)),
    })
}
