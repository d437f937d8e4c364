//! `polyhost inspect`: what a module exports.

use std::fmt::Write;
use std::process::ExitCode;

use clap::Args;
use polyhost::{Export, Module, Registry, RuntimeInfo, no_such_export};
use prost_reflect::{DynamicMessage, MessageDescriptor, SerializeOptions};
use serde::Serialize;
use serde_json::json;

use crate::cli::Global;
use crate::failure::Failure;
use crate::load::{self, Load};
use crate::message::{Messages, Side};
use crate::schema::{self, Schema};
use crate::screen::{self, Paint};

/// Loads a module and tells what it exports, with message types and descriptions.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Inspect {
    #[command(flatten)]
    load: Load,
    /// Tells about this export alone, and how to call it.
    export: Option<String>,
}

const EXAMPLES: &str = "\
Examples, from a checkout after `make setup`:
  polyhost inspect clr:target/guests/Greeter/Greeter.dll
  polyhost inspect lua:hosts/examples/hello/lua/greeter.lua greeter.v1.Greeter/SayHello
  polyhost inspect py:hosts/examples/hello/python/greeter.py --json";

/// What is told of an export.
#[derive(Debug, Serialize)]
struct Entry {
    name: String,
    /// Full names of the messages; null for raw bytes.
    input_type: Option<String>,
    output_type: Option<String>,
    doc: String,
    #[serde(skip)]
    input: Option<MessageDescriptor>,
}

pub(crate) fn run(global: &Global, arguments: &Inspect) -> Result<ExitCode, Failure> {
    let registry = arguments.load.registry();
    let outcome = inspect(global, arguments, &registry);
    load::finish(&registry);
    outcome.map(|()| ExitCode::SUCCESS)
}

fn inspect(global: &Global, arguments: &Inspect, registry: &Registry) -> Result<(), Failure> {
    let module = arguments.load.load(registry)?;
    let messages = Messages::of(&*module);
    let mut schema = Schema::default();
    let mut entries = Vec::new();
    for export in chosen(&*module, arguments.export.as_deref())? {
        entries.push(describe(export, &messages, &mut schema));
    }
    let (scheme, _) = registry.parse(&arguments.load.location)?;
    let runtime = registry.runtime(scheme)?;
    let text = if global.json {
        let info = runtime.info();
        let object = json!({
            "module": module.name(),
            "location": arguments.load.location,
            "runtime": {
                "scheme": info.scheme,
                "name": info.name,
                "version": info.version,
                "location": info.location,
                "capabilities": runtime.capabilities().names().collect::<Vec<_>>(),
            },
            "exports": entries,
            "messages": schema.messages,
            "enums": schema.enums,
        });
        format!("{object:#}\n")
    } else {
        let mut text = tell(arguments, &*module, runtime.info(), &entries, &schema);
        if let (Some(_), [entry]) = (&arguments.export, &*entries) {
            text += &how_to_call(arguments, entry);
        }
        text
    };
    screen::write(text.as_bytes())
}

fn chosen<'a>(module: &'a dyn Module, name: Option<&str>) -> Result<Vec<&'a Export>, Failure> {
    let Some(name) = name else { return Ok(module.exports().iter().collect()) };
    match module.exports().iter().find(|export| export.name() == name) {
        Some(export) => Ok(vec![export]),
        None => Err(no_such_export(module.name(), module.exports(), name).into()),
    }
}

fn describe(export: &Export, messages: &Messages, schema: &mut Schema) -> Entry {
    let mut message = |type_name: Option<&str>| match messages.side(type_name) {
        Side::Message(message) => {
            schema.add(&message);
            Some(message)
        }
        Side::Raw | Side::Unknown(_) => None,
    };
    let input = message(export.input_type());
    message(export.output_type());
    let doc = match (export.doc(), messages.pool()) {
        ("", Some(pool)) => schema::method_comment(pool, export.name()).unwrap_or_default(),
        (doc, _) => doc.trim().to_owned(),
    };
    Entry {
        name: export.name().to_owned(),
        input_type: export.input_type().map(str::to_owned),
        output_type: export.output_type().map(str::to_owned),
        doc,
        input,
    }
}

fn tell(arguments: &Inspect, module: &dyn Module, runtime: &RuntimeInfo, entries: &[Entry], schema: &Schema) -> String {
    let paint = Paint::stdout();
    let mut text = String::new();
    let title = format!("{} ({}, {} {})", arguments.load.location, module.name(), runtime.name, runtime.version);
    let _ = writeln!(text, "{}", paint.title(title));
    if entries.is_empty() {
        let _ = writeln!(text, "exports nothing; {}", how_to_export(runtime.scheme));
    }
    for entry in entries {
        let side = |type_name: &Option<String>| type_name.clone().unwrap_or_else(|| "bytes".to_owned());
        let _ = writeln!(text, "\n{}", paint.good(&entry.name));
        let _ = writeln!(text, "    {} -> {}", side(&entry.input_type), side(&entry.output_type));
        for line in entry.doc.lines() {
            let _ = writeln!(text, "{}", paint.faint(format!("    {line}").trim_end()));
        }
    }
    let messages = schema.messages.iter().map(ToString::to_string);
    for definition in messages.chain(schema.enums.iter().map(ToString::to_string)) {
        let _ = write!(text, "\n{definition}");
    }
    text
}

/// What a guest has to do, in its own language.
fn how_to_export(scheme: &str) -> &'static str {
    match scheme {
        "clr" => "mark a method with [Export(\"pkg.Service/Method\")] of Polyhost.Guest",
        "py" => "put @export(\"pkg.Service/Method\") of the package polyhost before a function of the module",
        "lua" => "call polyhost.export(\"pkg.Service/Method\", handler) while the file loads",
        _ => "a library lists them in the PolyhostModule that its `open` fills, see polyhost.h",
    }
}

/// A command to copy, with every field of the request.
fn how_to_call(arguments: &Inspect, entry: &Entry) -> String {
    let input = match &entry.input {
        Some(message) => skeleton(message),
        None if entry.input_type.is_none() => "bytes".to_owned(),
        None => return String::new(),
    };
    let (location, name, input) = (quoted(&arguments.load.location), quoted(&entry.name), quoted(&input));
    format!("\npolyhost call {location} {name} --input {input}\n")
}

/// A word as a shell takes it.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:@%+,=".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The JSON of a message with every field at its default.
fn skeleton(message: &MessageDescriptor) -> String {
    let mut serializer = serde_json::Serializer::new(Vec::new());
    let options = SerializeOptions::new().skip_default_fields(false);
    let written = DynamicMessage::new(message.clone()).serialize_with_options(&mut serializer, &options);
    written.ok().and_then(|()| String::from_utf8(serializer.into_inner()).ok()).unwrap_or_else(|| "{}".to_owned())
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_are_quoted_where_a_shell_would_split_or_expand_them() {
        assert_eq!("lua:a/b.lua", quoted("lua:a/b.lua"));
        assert_eq!("'lua:my guest.lua'", quoted("lua:my guest.lua"));
        assert_eq!(r#"'{"a":"it'\''s"}'"#, quoted(r#"{"a":"it's"}"#));
        assert_eq!("''", quoted(""));
    }
}
