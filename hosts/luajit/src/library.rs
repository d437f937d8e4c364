//! The native half of the guest library: what `polyhost/init.lua` and the sandbox call.
//!
//! Each takes its arguments from the stack, where the Lua half has put them
//! with the right types; a guest that gets at one of these all the same does no
//! harm with other values.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use polyhost_bridge::{CallContext, Error, ErrorKind, LogLevel, Output};

use crate::ffi::{Kind, MAX_STRING, Raise, Stack};
use crate::host::{Exported, Handler, Host, Service};
use crate::message::{self, Schema};
use crate::printed::Stream;
use crate::types::stays_inside;

type Native = Result<i32, Raise>;

/// `export(name, raw, handler, doc, takes_context)`: registers an export while the module loads.
pub(crate) fn export(stack: &Stack<'_>) -> Native {
    stack.set_top(5);
    let name = text(stack, 1, "the name of an export")?;
    check_name(&name)?;
    let vm = stack.vm();
    let mut loading = vm.loading().borrow_mut();
    let Some(loading) = loading.as_mut() else {
        let message = format!("export {name} comes too late: exports are registered while the module loads");
        return Err(Raise::Text(message));
    };
    if loading.exports.iter().any(|it| it.name == name) {
        return Err(Raise::Text(format!("there is an export {name} already")));
    }
    vm.keep_handler(stack, 3, loading.exports.len());
    let number = loading.exports.len();
    loading.exports.push(Exported {
        name,
        raw: stack.truth(2),
        doc: stack.text(4),
        handler: Handler { number, takes_context: stack.truth(5) },
    });
    Ok(0)
}

fn check_name(name: &str) -> Result<(), Raise> {
    let wrong = name.is_empty() || name.len() > 1024 || name.chars().any(|c| c.is_whitespace() || c.is_control());
    if wrong {
        let message = format!("{name:?} is no name for an export; take pkg.Service/Method, without spaces");
        return Err(Raise::Text(message));
    }
    Ok(())
}

/// `proto(file, folder)`: loads the types of a `.proto` file. Like `require`, it finds nothing outside of the module's
/// folder and those that the host has named.
pub(crate) fn proto(stack: &Stack<'_>) -> Native {
    stack.set_top(2);
    let file = text(stack, 1, "the name of a .proto file")?;
    let host = stack.vm().host();
    let folder = stack.text(2);
    if let Some(outside) = [Some(&file), folder.as_ref()].into_iter().flatten().find(|name| !stays_inside(name)) {
        let message = format!("{outside:?} leads out of the module's folder; the option proto_path names others");
        return Err(Raise::Text(message));
    }
    let mut folders = Vec::new();
    if let (Some(folder), Some(module)) = (folder, &host.folder) {
        folders.push(module.join(folder));
    }
    folders.extend(host.folder.clone());
    folders.extend_from_slice(&host.settings.proto_path);
    host.types().load(&file, &folders)?;
    Ok(0)
}

/// `find_service(name)`: what to call it by.
pub(crate) fn find_service(stack: &Stack<'_>) -> Native {
    stack.set_top(1);
    let name = text(stack, 1, "the name of a host service")?;
    let mut found = stack.vm().services().borrow_mut();
    let at = match found.iter().position(|it| it.name == name) {
        Some(at) => at,
        None => {
            let host = stack.vm().host();
            let id = host.services.find(&name)?;
            let mut all = host.types();
            let types = all.method(&name).map(|method| all.of_method(&method)).transpose()?;
            found.push(Arc::new(Service { name, id, types }));
            found.len() - 1
        }
    };
    stack.push_number(at as f64);
    Ok(1)
}

/// `call_service(id, request)`: the reply; messages are tables and raw bytes strings, both ways.
pub(crate) fn call_service(stack: &Stack<'_>) -> Native {
    stack.set_top(2);
    let vm = stack.vm();
    let found = stack.number(1).and_then(|at| vm.services().borrow().get(at as usize).cloned());
    let Some(service) = found else { return Err(wrong_type(stack, 1, "what a service is called by", "number")) };
    let mut output = Output::new();
    let mut call = |request: &[u8]| {
        let none = CallContext::none();
        vm.with_cx(|cx| vm.host().services.call(service.id, cx.unwrap_or(&none), request, &mut output))
    };
    let Some((input, reply)) = &service.types else {
        let Some(outcome) = stack.with_bytes(2, call) else {
            return Err(wrong_type(stack, 2, &format!("the request of {}", service.name), "string"));
        };
        outcome?;
        return push_reply(stack, &output);
    };
    let of = |schema: &Schema| format!("{} for {}", schema.name(), service.name);
    vm.with_scratch(|request| {
        message::take(stack, input, request, Output::DEFAULT_LIMIT)
            .map_err(|failure| failure.raise(ErrorKind::Encode, &of(input)))?;
        Ok::<_, Raise>(call(request)?)
    })?;
    message::push(stack, reply, &output).map_err(|failure| failure.raise(ErrorKind::Decode, &of(reply)))?;
    Ok(1)
}

fn push_reply(stack: &Stack<'_>, bytes: &[u8]) -> Native {
    // Refused before it is made: it may be far larger than the VM may be.
    if stack.vm().over_limit(bytes.len()).is_some() || bytes.len() >= MAX_STRING {
        return Err(Raise::Memory);
    }
    stack.push_bytes(bytes);
    Ok(1)
}

/// `encode(type, message)`: the message's bytes.
pub(crate) fn encode(stack: &Stack<'_>) -> Native {
    stack.set_top(2);
    let schema = stack.vm().host().types().message(&text(stack, 1, "the name of a message")?)?;
    stack.vm().with_scratch(|bytes| {
        message::take(stack, &schema, bytes, Output::DEFAULT_LIMIT)
            .map_err(|failure| failure.raise(ErrorKind::Encode, schema.name()))?;
        push_reply(stack, bytes)
    })
}

/// `decode(type, bytes)`: the message as a table.
pub(crate) fn decode(stack: &Stack<'_>) -> Native {
    stack.set_top(2);
    let schema = stack.vm().host().types().message(&text(stack, 1, "the name of a message")?)?;
    match stack.with_bytes(2, |bytes| message::push(stack, &schema, bytes)) {
        Some(outcome) => outcome.map_err(|failure| failure.raise(ErrorKind::Decode, schema.name()))?,
        None => return Err(wrong_type(stack, 2, "the bytes of a message", "string")),
    }
    Ok(1)
}

/// `log(level, target, message)`.
pub(crate) fn log(stack: &Stack<'_>) -> Native {
    stack.set_top(3);
    let level = text(stack, 1, "a log level")?;
    let Some(level) = LogLevel::from_name(&level) else {
        let message = format!("no log level {level:?}; there are trace, debug, info, warn, error");
        return Err(Raise::Text(message));
    };
    let (target, message) = (stack.text(2).unwrap_or_default(), stack.text(3).unwrap_or_default());
    stack.vm().host().log(level, &target, &message);
    Ok(0)
}

/// `print(to_stderr, text)`: lines of the log, as far as they are complete.
pub(crate) fn print(stack: &Stack<'_>) -> Native {
    stack.set_top(2);
    let stream = if stack.truth(1) { Stream::Err } else { Stream::Out };
    let Some(bytes) = stack.with_bytes(2, <[u8]>::to_vec) else {
        return Err(wrong_type(stack, 2, "what is printed", "string"));
    };
    stack.vm().printed().add(stack.vm().host(), stream, &bytes);
    Ok(0)
}

/// `remaining()`: seconds until the deadline, or nil.
pub(crate) fn remaining(stack: &Stack<'_>) -> Native {
    match stack.vm().with_cx(|cx| cx.and_then(|cx| cx.remaining())) {
        Some(left) => stack.push_number(left.as_secs_f64()),
        None => stack.push_nil(),
    }
    Ok(1)
}

/// `cancelled()`: whether the call is to stop.
pub(crate) fn cancelled(stack: &Stack<'_>) -> Native {
    stack.push_boolean(stack.vm().with_cx(|cx| cx.is_some_and(|cx| cx.cancelled().is_some())));
    Ok(1)
}

/// `metadata()`: a list of `{key, value}`; `metadata(key)`: the first value of that key, or nil.
pub(crate) fn metadata(stack: &Stack<'_>) -> Native {
    stack.set_top(1);
    let key = stack.text(1);
    stack.vm().with_cx(|cx| {
        let entries = cx.map_or(&[][..], |cx| cx.metadata());
        if let Some(key) = key {
            match entries.iter().find(|(it, _)| *it == key) {
                Some((_, value)) => stack.push_bytes(value.as_bytes()),
                None => stack.push_nil(),
            }
            return;
        }
        stack.push_table(entries.len(), 0);
        let list = stack.top();
        for (index, (key, value)) in (1..).zip(entries) {
            stack.push_table(2, 0);
            let pair = stack.top();
            for (index, text) in [(1, key), (2, value)] {
                stack.push_bytes(text.as_bytes());
                stack.set_index(pair, index);
            }
            stack.set_index(list, index);
        }
    });
    Ok(1)
}

/// `interrupts()`: how often calls have been interrupted in this VM.
pub(crate) fn interrupts(stack: &Stack<'_>) -> Native {
    stack.push_number(stack.vm().times_interrupted() as f64);
    Ok(1)
}

/// `find_module(name)`: the text and the chunk name of the Lua file that `require` takes for it; or nil and where it
/// was looked for.
pub(crate) fn find_module(stack: &Stack<'_>) -> Native {
    stack.set_top(1);
    let name = text(stack, 1, "the name of a Lua module")?;
    let host = stack.vm().host();
    let relative: PathBuf = name.split('.').collect();
    // An empty part would lead to the file beside a folder: `.` to `FOLDER.lua`.
    let plain = name.split('.').all(|part| !part.is_empty())
        && relative.components().all(|part| matches!(part, Component::Normal(_)));
    if !plain {
        return Err(Raise::Text(format!("{name:?} is no name of a Lua module")));
    }
    let mut looked = Vec::new();
    for folder in folders(host) {
        for file in [folder.join(&relative).with_extension("lua"), folder.join(&relative).join("init.lua")] {
            match std::fs::read(&file) {
                Ok(content) => {
                    push_reply(stack, &content)?;
                    stack.push_bytes(format!("@{}", file.display()).as_bytes());
                    return Ok(2);
                }
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => looked.push(file.display().to_string()),
                Err(e) => looked.push(format!("{} ({e})", file.display())),
            }
        }
    }
    stack.push_nil();
    stack.push_bytes(looked.join("\n\t").as_bytes());
    Ok(2)
}

fn folders(host: &Host) -> impl Iterator<Item = &Path> {
    host.folder.iter().chain(&host.settings.path).map(PathBuf::as_path)
}

/// The error that stands for a failure of the host in Lua: a table with the code, one line, and the report, which goes
/// back to the host when the error reaches it.
pub(crate) fn push_error(stack: &Stack<'_>, error: &Error) {
    stack.push_table(0, 4);
    let table = stack.top();
    let message = error.to_string();
    let report = error.to_report();
    for (key, value) in [("code", error.code().name().as_bytes()), ("message", message.as_bytes()), ("report", &report)]
    {
        stack.push_bytes(value);
        stack.set_field(table, key);
    }
    stack.make_error();
}

fn text(stack: &Stack<'_>, at: i32, what: &str) -> Result<String, Raise> {
    stack.text(at).ok_or_else(|| wrong_type(stack, at, what, "string"))
}

#[cold]
fn wrong_type(stack: &Stack<'_>, at: i32, what: &str, wanted: &str) -> Raise {
    let got = stack.kind(at);
    let got = if got == Kind::None { Kind::Nil } else { got };
    Raise::Text(format!("{what} has to be a {wanted}, not a {}", got.name()))
}
