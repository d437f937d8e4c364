//! Random types, as `.proto` text.

use std::collections::BTreeSet;
use std::fmt::Write;

use polyhost_testkit::Random;

const SCALARS: [&str; 15] = [
    "double", "float", "int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64", "sfixed32",
    "sfixed64", "bool", "string", "bytes",
];

/// Of a wire type other than delimited, so that lists of them may be packed.
const PACKABLE: usize = 13;

/// All but floating-point numbers and bytes.
const KEYS: [&str; 12] = [
    "int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64", "sfixed32", "sfixed64", "bool",
    "string",
];

/// Among them words that mean something in one of the languages.
const WORDS: [&str; 16] = [
    "end",
    "class",
    "def",
    "nil",
    "none",
    "string",
    "self",
    "type",
    "value",
    "key",
    "list",
    "import",
    "event",
    "a",
    "x1",
    "snake_case",
];

/// A file of types.
#[derive(Debug)]
pub(crate) struct Schema {
    /// The package, and the stem of the file.
    pub(crate) name: String,
    pub(crate) text: String,
    /// The path of each message within the package.
    pub(crate) messages: Vec<Vec<String>>,
}

impl Schema {
    /// The same for the same number, everywhere.
    pub(crate) fn new(number: u64) -> Self {
        let mut random = Random::known(number ^ 0x5eed);
        let is_proto2 = random.below(3) == 0;
        Maker { name: format!("s{number}"), random, is_proto2, messages: Vec::new() }.file()
    }

    /// The full name of a message.
    pub(crate) fn full_name(&self, message: &[String]) -> String {
        format!("made.{}.{}", self.name, message.join("."))
    }

    /// The export that does something with a message.
    pub(crate) fn export(&self, service: &str, message: &[String]) -> String {
        format!("made.{}.{service}/{}", self.name, message.join("_"))
    }
}

struct Maker {
    name: String,
    random: Random,
    is_proto2: bool,
    messages: Vec<Vec<String>>,
}

impl Maker {
    fn file(mut self) -> Schema {
        let count = 1 + self.random.below(5) as usize;
        for i in 0..count {
            let own = format!("M{i}");
            let path = match self.random.below(3) {
                0 if i > 0 => [&self.messages[self.random.below(i as u64) as usize][..], &[own]].concat(),
                _ => vec![own],
            };
            self.messages.push(path);
        }
        let syntax = if self.is_proto2 { "proto2" } else { "proto3" };
        let mut text = format!("syntax = \"{syntax}\";\npackage made.{};\n\n", self.name);
        text += "enum E0 {\n  option allow_alias = true;\n  E0_NONE = 0;\n  E0_ONE = 1;\n  E0_ALSO_ONE = 1;\n";
        text += "  E0_LEAST = -2147483648;\n  E0_MOST = 2147483647;\n}\n\n";
        // That of proto2 need not begin with zero.
        let first = if self.is_proto2 { 5 } else { 0 };
        let _ = writeln!(text, "enum E1 {{\n  E1_FIRST = {first};\n  E1_NEGATIVE = -1;\n}}\n");
        for i in 0..count {
            if self.messages[i].len() == 1 {
                self.message(i, &mut text, "");
            }
        }
        // Messages as they come, and put together anew by the guest.
        for service in ["Echo", "Copy"] {
            let _ = writeln!(text, "service {service} {{");
            for path in &self.messages {
                let (method, message) = (path.join("_"), self.full_name(path));
                let _ = writeln!(text, "  rpc {method}({message}) returns ({message});");
            }
            text += "}\n";
        }
        Schema { name: self.name, text, messages: self.messages }
    }

    /// As it is said wherever another name might hide the short one.
    fn full_name(&self, path: &[String]) -> String {
        format!(".made.{}.{}", self.name, path.join("."))
    }

    fn message(&mut self, index: usize, text: &mut String, indent: &str) {
        let path = self.messages[index].clone();
        let _ = writeln!(text, "{indent}message M{index} {{");
        let inner = format!("{indent}  ");
        for i in 0..self.messages.len() {
            if self.messages[i].len() == path.len() + 1 && self.messages[i].starts_with(&path) {
                self.message(i, text, &inner);
            }
        }
        let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
        for _ in 0..self.random.below(14) {
            let field = self.field(&mut names, &mut numbers, &inner);
            let _ = writeln!(text, "{inner}{field}");
        }
        let _ = writeln!(text, "{indent}}}\n");
    }

    fn field(&mut self, names: &mut BTreeSet<String>, numbers: &mut BTreeSet<u64>, indent: &str) -> String {
        let (name, number) = (self.name(names), self.number(numbers));
        match self.random.below(12) {
            0 | 1 => {
                let key = *self.random.one_of(&KEYS);
                // The first value of an enum in a map is zero.
                let value = self.value().replace("E1", "E0");
                format!("map<{key}, {value}> {name} = {number};")
            }
            2..=4 => self.list(&name, number),
            5 => {
                let mut oneof = format!("oneof {name} {{ ");
                for _ in 0..=self.random.below(3) {
                    let (name, number) = (self.name(names), self.number(numbers));
                    let _ = write!(oneof, "{} {name} = {number}; ", self.value());
                }
                oneof + "}"
            }
            6 if self.is_proto2 => {
                let label = *self.random.one_of(&["optional", "repeated"]);
                let value = self.value();
                format!("{label} group G{number} = {number} {{\n{indent}  optional {value} inner = 1;\n{indent}}}")
            }
            _ => self.single(&name, number),
        }
    }

    fn list(&mut self, name: &str, number: u64) -> String {
        let choice = self.random.below(4);
        if choice == 0 {
            return format!("repeated {} {name} = {number};", self.value());
        }
        let packed = ["", " [packed = true]", " [packed = false]"][choice as usize - 1];
        format!("repeated {} {name} = {number}{packed};", self.random.one_of(&SCALARS[..PACKABLE]))
    }

    fn single(&mut self, name: &str, number: u64) -> String {
        match (self.is_proto2, self.random.below(4)) {
            (false, 0) => format!("optional {} {name} = {number};", self.value()),
            (false, _) => format!("{} {name} = {number};", self.value()),
            (true, 0) => format!("required {} {name} = {number};", self.random.one_of(&SCALARS)),
            (true, 1) => format!("optional sint64 {name} = {number} [default = -7];"),
            (true, _) => format!("optional {} {name} = {number};", self.value()),
        }
    }

    /// A type that a value may have.
    fn value(&mut self) -> String {
        match self.random.below(10) {
            0 => "E0".to_owned(),
            1 => "E1".to_owned(),
            2 | 3 => {
                let path = self.random.one_of(&self.messages).clone();
                self.full_name(&path)
            }
            _ => (*self.random.one_of(&SCALARS)).to_owned(),
        }
    }

    fn name(&mut self, names: &mut BTreeSet<String>) -> String {
        let word = *self.random.one_of(&WORDS);
        let new = if names.contains(word) { format!("{word}_{}", names.len()) } else { word.to_owned() };
        names.insert(new.clone());
        new
    }

    /// Of one byte, two, and as many as there are.
    fn number(&mut self, numbers: &mut BTreeSet<u64>) -> u64 {
        loop {
            let number = match self.random.below(4) {
                0 | 1 => 1 + self.random.below(15),
                2 => 16 + self.random.below(2032),
                // Below what random messages have as unknown.
                _ => 20_000 + self.random.below((1 << 28) - 20_000),
            };
            if numbers.insert(number) {
                return number;
            }
        }
    }
}
