//! What was raised, and where.

use std::ffi::{CStr, c_char, c_int};

use mlua_sys::lua51::{self as lua, lua_Debug, lua_State};
use polyhost_bridge::{Code, Frame, GuestError};

use super::natives::{self, vm_of};
use super::open;
use super::stack::{Kind, Stack};
use crate::error::{Cause, Raised};

/// Frames beyond this many are left out: a stack overflow has thousands, which nobody reads.
const MAX_FRAMES: usize = 100;
/// Causes of causes beyond this many are left out.
const MAX_CAUSES: usize = 16;

/// The message handler of every call of the host: keeps the stack as it is where the error is raised.
///
/// # Safety
/// Called by LuaJIT alone, as a native function of a VM.
pub(super) unsafe extern "C-unwind" fn handler(l: *mut lua_State) -> c_int {
    // SAFETY: the VM outlives its state. What follows raises nothing, and panics nowhere but for want of memory.
    unsafe {
        let vm = vm_of(l);
        if let Ok(mut frames) = vm.frames().try_borrow_mut() {
            *frames = collect(l);
        }
    }
    // The error itself stays as it is.
    1
}

/// The stack from the function that raised outwards.
///
/// # Safety
/// `l` runs on this thread, with room for a value.
unsafe fn collect(l: *mut lua_State) -> Vec<Frame> {
    let mut frames = Vec::new();
    // SAFETY: a zeroed lua_Debug is one to be filled.
    let mut at: lua_Debug = unsafe { std::mem::zeroed() };
    // Level 0 is the handler.
    for level in 1.. {
        // SAFETY: none of these raises; the first two fill `at`, and the second pushes the function.
        unsafe {
            if lua::lua_getstack(l, level, &mut at) == 0 {
                break;
            }
            lua::lua_getinfo(l, c"Snlf".as_ptr(), &mut at);
            let function = lua::lua_tocfunction(l, -1);
            lua::lua_settop(l, -2);
            // Below is another call of the host, whose own error will tell that; unless this one has raised itself.
            if level > 1 && function.is_some_and(natives::calls_out) {
                break;
            }
            if function.is_some_and(natives::is_native) || is_ours(&at) {
                continue;
            }
        }
        if frames.len() == MAX_FRAMES {
            frames.push(Frame::new("… (the rest is left out)", "", 0));
            break;
        }
        // SAFETY: just filled; its texts live as long as nothing else runs.
        let frame = unsafe { frame(&at) };
        // What raises is not where it was raised; and what has neither name nor place tells nothing.
        let raiser = frames.is_empty() && matches!(frame.function.as_str(), "error" | "assert");
        if !frame.file.is_empty() || !(raiser || frame.function == "?") {
            frames.push(frame);
        }
    }
    frames
}

/// Whether the function is one of the guest library's or the sandbox's, which tell nothing of the guest.
///
/// # Safety
/// As [`frame`].
unsafe fn is_ours(at: &lua_Debug) -> bool {
    // SAFETY: the caller's promise; a C string.
    let source = unsafe { CStr::from_ptr(at.source) };
    [open::SANDBOX, open::LIBRARY].contains(&source)
}

/// # Safety
/// `at` was filled by `lua_getinfo` with `Snl`, and nothing ran since.
unsafe fn frame(at: &lua_Debug) -> Frame {
    // SAFETY: the caller's promise; each is null or a C string.
    let text = |it: *const c_char| match it.is_null() {
        true => String::new(),
        // SAFETY: as above.
        false => unsafe { CStr::from_ptr(it) }.to_string_lossy().into_owned(),
    };
    let (source, what, name) = (text(at.source), text(at.what), text(at.name));
    let file = match source.strip_prefix(['@', '=']) {
        _ if what == "C" => String::new(),
        Some(file) => file.to_owned(),
        None => text(at.short_src.as_ptr()),
    };
    let function = match (name.is_empty(), what.as_str()) {
        (false, _) => name,
        (true, "main") => "main chunk".to_owned(),
        (true, "C") => "?".to_owned(),
        (true, _) => format!("function at line {}", at.linedefined),
    };
    Frame::new(function, file, u32::try_from(at.currentline).unwrap_or(0))
}

/// What the error on top of the stack says.
pub(super) fn describe(stack: &Stack<'_>, frames: Vec<Frame>, status: c_int) -> Raised {
    let top = stack.top();
    let cause = match status {
        lua::LUA_ERRMEM => Cause::Memory,
        _ if stack.is_interrupt(top) => Cause::Interrupt,
        _ => Cause::Guest,
    };
    let mut found = Found::default();
    let mut guest = describe_value(stack, top, MAX_CAUSES, &mut found);
    let Found { report, interrupted } = found;
    let cause = if interrupted { Cause::Interrupt } else { cause };
    if let Some(rest) = frames.iter().take(3).find_map(|frame| after_position(&guest.message, frame)) {
        guest.message = rest.to_owned();
    }
    guest.frames = frames;
    Raised { guest, report, cause }
}

/// What else an error and its causes tell.
#[derive(Default)]
struct Found {
    /// The report of a failed host service.
    report: Option<Vec<u8>>,
    /// The call was stopped while the guest's own `__tostring` ran.
    interrupted: bool,
}

fn describe_value(stack: &Stack<'_>, at: i32, depth: usize, found: &mut Found) -> GuestError {
    if stack.reserve(8).is_err() {
        return GuestError::new("error", "an error that the full stack has no room to read");
    }
    if let Some(text) = stack.text(at) {
        return GuestError::new("string", text);
    }
    if !stack.is_error(at) {
        return GuestError::new(stack.kind(at).name(), describe_plain(stack, at, found));
    }
    let field = |name| {
        stack.push_field(at, name);
        let text = stack.text(stack.top());
        stack.pop(1);
        text
    };
    let code = field("code").and_then(|name| Code::from_name(&name));
    let mut guest = GuestError::new(code.map_or("error", Code::name), field("message").unwrap_or_default());
    guest.status = code;
    if found.report.is_none() {
        stack.push_field(at, "report");
        found.report = stack.with_bytes(stack.top(), <[u8]>::to_vec);
        stack.pop(1);
    }
    stack.push_field(at, "cause");
    let cause = stack.top();
    if depth > 0 && stack.kind(cause) != Kind::Nil {
        guest.cause = Some(Box::new(describe_value(stack, cause, depth - 1, found)));
    }
    stack.set_top(cause - 1);
    guest
}

/// What stands for the message of a value that is no error of the guest library's: its own `__tostring`, the field
/// `message` of a table, or what it is.
fn describe_plain(stack: &Stack<'_>, at: i32, found: &mut Found) -> String {
    let kind = stack.kind(at);
    let text = stack.display(at).unwrap_or_else(|_| {
        found.interrupted = true;
        None
    });
    match (kind, text) {
        (_, None) => format!("a {} that can't be shown", kind.name()),
        (Kind::Table, Some(text)) if text.starts_with("table: 0x") => describe_table(stack, at),
        (Kind::Table | Kind::Other(_), Some(text)) => text,
        (Kind::Function, Some(_)) => "an error that is a function".to_owned(),
        (_, Some(text)) => format!("an error that is {text}"),
    }
}

/// A table with more fields than this is not shown.
const MAX_FIELDS: usize = 8;
/// Longer texts in one are cut off.
const MAX_SHOWN: usize = 80;

fn describe_table(stack: &Stack<'_>, at: i32) -> String {
    stack.push_field(at, "message");
    let message = stack.text(stack.top());
    stack.pop(1);
    if let Some(message) = message.filter(|message| !message.is_empty()) {
        return message;
    }
    let (mut fields, mut count) = (Vec::new(), 0);
    stack.push_nil();
    while stack.next(at) {
        count += 1;
        if count <= MAX_FIELDS {
            let value = stack.top();
            let key = stack.text(value - 1).unwrap_or_else(|| format!("[{}]", show(stack, value - 1)));
            fields.push(format!("{key} = {}", show(stack, value)));
        }
        stack.pop(1);
    }
    // The order of a hash differs from run to run.
    fields.sort();
    match count {
        0 => "an error that is an empty table".to_owned(),
        1..=MAX_FIELDS => format!("an error that is a table {{ {} }}", fields.join(", ")),
        _ => format!("an error that is a table of {count} fields, with no message"),
    }
}

/// A value within a table; no guest code runs.
fn show(stack: &Stack<'_>, at: i32) -> String {
    match stack.kind(at) {
        Kind::String => {
            let text = stack.text(at).unwrap_or_default();
            let cut = text.char_indices().nth(MAX_SHOWN).map_or(text.len(), |(end, _)| end);
            format!("{:?}{}", &text[..cut], if cut < text.len() { "…" } else { "" })
        }
        Kind::Number => stack.number(at).unwrap_or_default().to_string(),
        Kind::Boolean => stack.truth(at).to_string(),
        kind => format!("a {}", kind.name()),
    }
}

/// The message behind the `file:line: ` that `error` puts before it, where that is the place of `frame`.
fn after_position<'a>(message: &'a str, frame: &Frame) -> Option<&'a str> {
    let line = format!(":{}: ", frame.line);
    let (file, rest) = message.split_once(&line)?;
    // Lua shortens long paths from the left.
    let same = match file.strip_prefix("...") {
        Some(end) => frame.file.ends_with(end),
        None => frame.file == file || file == format!("[string \"{}\"]", frame.file),
    };
    same.then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_position_is_cut_off_only_where_it_is_the_frames() {
        let frame = Frame::new("f", "guests/long/a.lua", 3);
        assert_eq!(Some("no: 1"), after_position("guests/long/a.lua:3: no: 1", &frame));
        assert_eq!(Some("no"), after_position("...long/a.lua:3: no", &frame));
        assert_eq!(None, after_position("b.lua:3: no", &frame));
        assert_eq!(None, after_position("guests/long/a.lua:4: no", &frame));
    }
}
