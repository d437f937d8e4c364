//! What a caller is told: kind, message, stack, causes, through as many runtimes as the call passed.

mod common;

use common::{call, conformance, conformance_with, load, load_with, lua, source};
use polyhost_bridge::{
    CallContext, Code, Error, ErrorKind, Export, LoadOptions, ModuleSource, Output, Runtime, Services,
};
use polyhost_proto::conformance::v1::{CallServiceReply, CallServiceRequest, FailRequest, RecurseRequest};
use prost::Message;

const FAIL: &str = "conformance.v1.Conformance/Fail";
const CALL_SERVICE: &str = "conformance.v1.Conformance/CallService";

fn fail(request: FailRequest) -> Error {
    call(&*conformance(), FAIL, &request.encode_to_vec()).expect_err("it fails")
}

#[test]
fn a_plain_error_has_its_message_and_the_stack() {
    let error = fail(FailRequest { message: "no".into(), depth: 3, ..Default::default() });
    assert_eq!((ErrorKind::Guest, Code::Unknown), (error.kind(), error.code()));
    let guest = error.guest().expect("the guest's own error");
    assert_eq!(("string", "no", None), (&*guest.type_name, &*guest.message, guest.status));
    let names: Vec<_> = guest.frames.iter().map(|frame| frame.function.as_str()).collect();
    assert_eq!(["fail", "fail_deep", "fail_deep", "fail_deep", "fail_deep"], names[..5]);
    for frame in &guest.frames {
        assert!(frame.file.ends_with("lua/tests/conformance.lua") && frame.line > 0, "{frame}");
    }
    assert_eq!(format!("call {FAIL}: no"), error.to_string());
}

#[test]
fn a_status_has_its_code() {
    for code in Code::ALL {
        let error = fail(FailRequest { message: "so it is".into(), code: code.number(), ..Default::default() });
        assert_eq!((ErrorKind::Guest, code), (error.kind(), error.code()));
        let guest = error.guest().expect("the guest's own error");
        assert_eq!((code.name(), "so it is", Some(code)), (&*guest.type_name, &*guest.message, guest.status));
        assert_eq!("fail", guest.frames[0].function);
    }
}

#[test]
fn a_wrapped_error_has_its_cause() {
    let request = FailRequest { message: "inner".into(), code: 5, wrapped: true, ..Default::default() };
    let error = fail(request);
    let guest = error.guest().expect("the guest's own error");
    assert_eq!(("error", "wrapped: inner"), (&*guest.type_name, &*guest.message));
    let cause = guest.cause.as_deref().expect("a cause");
    assert_eq!((Some(Code::NotFound), "inner"), (cause.status, &*cause.message));
    assert!(format!("{error:?}").contains("raised from NOT_FOUND: inner"), "{error:?}");
}

/// What a caller is told when a handler raises `expression`.
fn raised(expression: &str) -> Error {
    let module = load(
        &lua(),
        &format!(
            "local polyhost = require 'polyhost'
            polyhost.export('a/Raise', function() error({expression}) end)"
        ),
    );
    call(&*module, "a/Raise", b"").expect_err(expression)
}

#[test]
fn any_value_can_be_raised() {
    for (expression, type_name, message) in [
        ("'text'", "string", "text"),
        ("'text', 0", "string", "text"),
        ("'test.lua:1: not mine'", "string", "test.lua:1: not mine"),
        ("'a\\255b'", "string", "a\u{fffd}b"),
        ("nil", "nil", "an error that is nil"),
        ("42", "string", "42"),
        ("true", "boolean", "an error that is true"),
        ("1LL", "cdata", "an error that is 1LL"),
        ("setmetatable({}, { __tostring = function() return 'shown' end })", "table", "shown"),
        ("setmetatable({}, { __tostring = function() error('no') end })", "table", "a table that can't be shown"),
        ("setmetatable({}, { __tostring = function() return {} end })", "table", "a table that can't be shown"),
        ("{}", "table", "an error that is an empty table"),
        ("{ message = 'told' }", "table", "told"),
        (
            "{ code = 3, why = 'so', more = {} }",
            "table",
            "an error that is a table { code = 3, more = a table, why = \"so\" }",
        ),
        ("{ 1, 2, 3, 4, 5, 6, 7, 8, 9 }", "table", "an error that is a table of 9 fields, with no message"),
        ("print", "function", "an error that is a function"),
        ("polyhost.error('plain')", "error", "plain"),
        ("polyhost.status('ABORTED', 'two\\nlines')", "ABORTED", "two\nlines"),
    ] {
        let error = raised(expression);
        assert_eq!(ErrorKind::Guest, error.kind(), "{expression}");
        let guest = error.guest().expect("the guest's own error");
        assert_eq!((type_name, message), (&*guest.type_name, &*guest.message), "{expression}");
        assert_eq!(("test.lua", 2), (&*guest.frames[0].file, guest.frames[0].line), "{expression}");
        let code = guest.status.map_or_else(String::new, |code| format!("{code}: "));
        assert_eq!(format!("{code}{message}"), error.message(), "{expression}");
    }
    // Causes without end are cut off.
    let error = raised("(function() local e = polyhost.error('x') e.cause = e return e end)()");
    assert_eq!("x", error.guest().expect("the guest's own").cause.as_ref().expect("itself").message);
}

#[test]
fn errors_of_lua_itself_are_strings_with_the_stack() {
    let module = load(
        &lua(),
        "local polyhost = require 'polyhost'
        local function inner(t) return t.field.of.nothing end
        polyhost.export('a/Index', function() local x = inner({}) return x end)
        polyhost.export('a/Coroutine', function()
            local co = coroutine.wrap(function() error('within') end)
            co()
        end)",
    );
    let error = call(&*module, "a/Index", b"").expect_err("nil");
    let guest = error.guest().expect("the guest's own");
    assert_eq!("attempt to index field 'field' (a nil value)", guest.message);
    assert_eq!(("inner", 2), (&*guest.frames[0].function, guest.frames[0].line));
    assert_eq!(("function at line 3", 3), (&*guest.frames[1].function, guest.frames[1].line));
    let error = call(&*module, "a/Coroutine", b"").expect_err("it raises");
    assert!(error.guest().expect("the guest's own").message.ends_with("within"), "{error:?}");
}

#[test]
fn the_wrong_type_of_reply_names_export_and_types() {
    let error = call(&*conformance(), "raw/WrongType", b"").expect_err("a table");
    assert_eq!(ErrorKind::Encode, error.kind());
    assert_eq!("raw/WrongType has to return a string, but its handler returned a table", error.message());
    let module = load(&lua(), "require('polyhost').export('a/Number', function() return 1 end)");
    let error = call(&*module, "a/Number", b"").expect_err("a number is no string");
    assert_eq!((ErrorKind::Encode, true), (error.kind(), error.message().contains("a number")));
}

fn failing_service() -> Services {
    let mut services = Services::new();
    let fail = |_cx: &CallContext, _input: &[u8], _output: &mut Output| {
        Err(Error::status(Code::PermissionDenied, "not yours").with("user", "nobody"))
    };
    services.add(polyhost_native::function(Export::bytes("host/Fail"), fail)).expect("another");
    let panic = |_cx: &CallContext, _input: &[u8], _output: &mut Output| panic!("a bug of the host's");
    services.add(polyhost_native::function(Export::bytes("host/Panic"), panic)).expect("another");
    services
}

fn call_service(service: &str, catch: bool) -> Result<Output, Error> {
    let module = conformance_with(LoadOptions::new().services(failing_service()));
    let request = CallServiceRequest { service: service.into(), catch, ..Default::default() };
    call(&*module, CALL_SERVICE, &request.encode_to_vec())
}

#[test]
fn a_failed_service_passes_through_the_guest() {
    let error = call_service("host/Fail", false).expect_err("it fails");
    assert_eq!((ErrorKind::Guest, Code::PermissionDenied), (error.kind(), error.code()));
    let guest = error.guest().expect("the guest's own error");
    assert_eq!(Some(Code::PermissionDenied), guest.status);
    assert!(guest.message.contains("host service host/Fail failed"), "{guest:?}");
    let kinds: Vec<_> = error.chain().map(Error::kind).collect();
    assert_eq!(vec![ErrorKind::Guest, ErrorKind::Service, ErrorKind::Guest], kinds);
    let cause = error.chain().last().expect("itself");
    assert_eq!(Some(("user", "nobody")), cause.context().next());
}

#[test]
fn the_frames_are_the_guests_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("part.lua", "error('here')");
    let module = load_with(
        "local polyhost = require 'polyhost'
        local fail = polyhost.service('host/Fail')
        local function deep(what)
            if what == 'service' then fail('') end
            if what == 'status' then polyhost.status('NO_CODE', '') end
            if what == 'encode' then polyhost.encode('no.Message', {}) end
            if what == 'require' then require 'part' end
            xpcall(error, function() end)
        end
        polyhost.export('a/Raise', function(request) deep(request) return '' end)",
        LoadOptions::new().services(failing_service()).option("path", folder.path().display().to_string()),
    );
    for (what, line) in [("service", 4), ("status", 5), ("encode", 6), ("require", 7)] {
        let error = call(&*module, "a/Raise", what.as_bytes()).expect_err(what);
        let frames = &error.guest().expect("the guest's own").frames;
        let places: Vec<_> = frames.iter().map(|it| (&*it.function, &*it.file, it.line)).collect();
        assert_eq!([("deep", "test.lua", line), ("function at line 10", "test.lua", 10)], places[..], "{what}");
    }
}

#[test]
fn a_guest_can_catch_a_failed_service() {
    let reply = call_service("host/Fail", true).expect("caught");
    let reply = CallServiceReply::decode(&*reply).expect("a message");
    assert_eq!(Code::PermissionDenied.number(), reply.code);
    assert!(reply.message.contains("not yours"), "{reply:?}");
    let reply = CallServiceReply::decode(&*call_service("host/Panic", true).expect("caught")).expect("a message");
    assert_eq!(Code::Internal.number(), reply.code);
    let reply = CallServiceReply::decode(&*call_service("host/None", true).expect("caught")).expect("a message");
    assert_eq!(Code::NotFound.number(), reply.code);
    assert!(reply.message.contains("there are: host/Fail, host/Panic"), "{reply:?}");
}

#[test]
fn a_service_of_messages_takes_and_returns_tables() {
    let mut services = Services::new();
    let recurse = |_cx: &CallContext, input: &[u8], output: &mut Output| {
        let request = RecurseRequest::decode(input).expect("a message");
        output.write(&RecurseRequest { depth: request.depth + 1 }.encode_to_vec())
    };
    let name = "conformance.v1.Conformance/Recurse";
    services.add(polyhost_native::function(Export::bytes(name), recurse)).expect("the only one");
    let text = r#"
        local polyhost = require "polyhost"
        polyhost.proto("conformance/v1/conformance.proto")
        local recurse = polyhost.service("conformance.v1.Conformance/Recurse")
        polyhost.export("a/Down", function() return tostring(recurse({ depth = 41 }).depth) end)
        polyhost.export("a/Wrong", function() return recurse({ depth = "deep" }) end)
    "#;
    let protos = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let options = LoadOptions::new().services(services).option("proto_path", protos.display().to_string());
    let module = load_with(text, options);
    assert_eq!(b"42", call(&*module, "a/Down", b"").expect("a reply").as_slice());
    let error = call(&*module, "a/Wrong", b"").expect_err("no message");
    assert_eq!(
        format!("no conformance.v1.RecurseRequest for {name}: depth: expected a number, got a string"),
        error.guest().expect("the guest's own").message
    );
}

#[test]
fn a_chain_over_several_modules_reads_as_one() {
    let lua = lua();
    let inner = lua
        .load(
            &ModuleSource::Text {
                name: "inner.lua".into(),
                text: "local function deep() error(require('polyhost').status('DATA_LOSS', 'all gone')) end
                    require('polyhost').export('inner/Fail', function() deep() end)"
                    .into(),
            },
            &LoadOptions::new(),
        )
        .expect("it loads");
    let mut services = Services::new();
    services.link(&*inner).expect("no two of a name");
    let outer = lua
        .load(
            &ModuleSource::Text {
                name: "outer.lua".into(),
                text: "local fail = require('polyhost').service('inner/Fail')
                    require('polyhost').export('outer/Call', function() local reply = fail('') return reply end)"
                    .into(),
            },
            &LoadOptions::new().services(services),
        )
        .expect("it loads");
    let error = call(&*outer, "outer/Call", b"").expect_err("it fails");
    assert_eq!(Code::DataLoss, error.code());
    let report = format!("{error:?}");
    let places = ["outer.lua:2", "caused by: call inner/Fail", "inner.lua:1", "inner.lua:2"];
    let at: Vec<_> = places.iter().map(|it| report.find(it).unwrap_or_else(|| panic!("{it} in {report}"))).collect();
    assert!(at.is_sorted(), "{report}");
}

fn load_error(text: &str) -> Error {
    lua().load(&source(text), &LoadOptions::new()).expect_err(text)
}

#[test]
fn a_syntax_error_says_where() {
    let error = load_error("local x = 1\nlocal y = = 2\n");
    assert_eq!(ErrorKind::Load, error.kind());
    let guest = error.guest().expect("the guest's own");
    assert_eq!(("syntax error", "unexpected symbol near '='"), (&*guest.type_name, &*guest.message));
    assert_eq!(("test.lua", 2), (&*guest.frames[0].file, guest.frames[0].line));
    assert_eq!("test.lua:2: syntax error: unexpected symbol near '='", error.message());
}

#[test]
fn an_error_while_loading_says_where() {
    let error = load_error("local function setup()\n    error('not today')\nend\nsetup()");
    assert_eq!(ErrorKind::Load, error.kind());
    let guest = error.guest().expect("the guest's own");
    assert_eq!("not today", guest.message);
    assert_eq!("test.lua:2: not today", error.message());
    let places: Vec<_> = guest.frames.iter().map(|frame| (&*frame.function, frame.line)).collect();
    assert_eq!(vec![("setup", 2), ("main chunk", 4)], places);
}

#[test]
fn what_can_not_be_exported_is_a_load_error() {
    for (call, expected) in [
        ("polyhost.export('a b', print)", "\"a b\" is no name for an export; take pkg.Service/Method, without spaces"),
        ("polyhost.export('', print)", "\"\" is no name for an export; take pkg.Service/Method, without spaces"),
        ("polyhost.export(1, print)", "the name of an export has to be a string, not a number"),
        ("polyhost.export('a/B')", "the handler of export a/B has to be a function, not a nil"),
        ("polyhost.export('a/B', print) polyhost.export('a/B', print)", "there is an export a/B already"),
        ("polyhost.status('NO_CODE', 'x')", "no status code NO_CODE; see polyhost.codes"),
        ("polyhost.log.loud('x')", "attempt to call field 'loud' (a nil value)"),
        ("polyhost.decode('no.Message', '')", "no message no.Message in what polyhost.proto has loaded"),
    ] {
        let error = load_error(&format!("local polyhost = require 'polyhost'\n{call}"));
        assert_eq!(ErrorKind::Load, error.kind(), "{call}: {error:?}");
        let guest = error.guest().expect("the guest's own");
        assert_eq!(expected, guest.message, "{call}");
        let mine = guest.frames.iter().find(|frame| frame.file == "test.lua").expect("a frame of the module");
        assert_eq!(2, mine.line);
    }
}

#[test]
fn an_export_that_is_no_method_of_its_service_is_a_load_error() {
    let protos = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let load = |export: &str| {
        let text = format!(
            "local polyhost = require 'polyhost'
            polyhost.proto('conformance/v1/conformance.proto')
            polyhost.export({export})"
        );
        let options = LoadOptions::new().option("proto_path", protos.display().to_string());
        lua().load(&source(&text), &options)
    };
    let error = load("'conformance.v1.Conformance/Ecko', print").expect_err("no such method");
    assert_eq!(ErrorKind::Load, error.kind());
    for part in ["conformance.v1.Conformance/Ecko is no method", "whose methods are: ", "Echo, "] {
        assert!(error.message().contains(part), "{part} is not in {error}");
    }
    load("'conformance.v1.Conformance/Ecko', { raw = true }, print").expect("bytes need no method");
    load("'conformance.v1.Other/Ecko', print").expect("another service");
}

#[test]
fn an_export_after_loading_is_refused() {
    let module = load(
        &lua(),
        "local polyhost = require 'polyhost'
        polyhost.export('a/Late', function() polyhost.export('a/New', print) end)",
    );
    let error = call(&*module, "a/Late", b"").expect_err("too late");
    assert!(error.to_string().contains("exports are registered while the module loads"), "{error}");
}

#[test]
fn what_is_not_there_is_told_with_where_it_was_looked_for() {
    let lua = lua();
    let path = ModuleSource::Path("no/such/file.lua".into());
    let error = lua.load(&path, &LoadOptions::new()).expect_err("not there");
    let here = std::env::current_dir().expect("a folder");
    assert_eq!(ErrorKind::Load, error.kind());
    assert!(
        error.message().starts_with(&format!("no Lua file no/such/file.lua, from {}: ", here.display())),
        "{error}"
    );
    let error = load_error("require 'no.such.module'");
    assert_eq!(ErrorKind::Load, error.kind());
    assert!(error.message().contains("no module no.such.module"), "{error:?}");
    let error = load_error("require('polyhost').proto('no/such.proto')");
    assert!(error.message().contains("no file no/such.proto: there is no folder to look in"), "{error:?}");
    let module = load(&lua, "require('polyhost').export('a/There', print)");
    let error = module.function("a/NotThere").expect_err("not there");
    assert_eq!((ErrorKind::NotFound, true), (error.kind(), error.to_string().contains("there are: a/There")));
}

#[test]
fn a_proto_that_does_not_compile_says_where() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("bad.proto"), "syntax = \"proto3\";\nmessage M {\n  int33 x = 1;\n}\n")
        .expect("written");
    let file = folder.path().join("bad.lua");
    std::fs::write(&file, "require('polyhost').proto('bad.proto')").expect("written");
    let error = lua().load(&ModuleSource::Path(file), &LoadOptions::new()).expect_err("no int33");
    assert_eq!(ErrorKind::Load, error.kind());
    let text = format!("{error:?}");
    assert!(text.contains("bad.proto") && text.contains("int33") && text.contains(":3"), "{text}");
}

#[test]
fn two_protos_of_one_name_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |file: &str, text: &str| {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("a folder");
        std::fs::write(&path, text).expect("written");
        ModuleSource::Path(path)
    };
    let one = "syntax = \"proto3\"; message One {}";
    write("x/a.proto", one);
    write("y/a.proto", "syntax = \"proto3\"; message Other {}");
    write("same/a.proto", &format!("// As in x.\n{one}"));
    let load = |then: &str| {
        let text = format!("local p = require('polyhost') p.proto('a.proto', 'x') p.proto('a.proto', '{then}')");
        lua().load(&write("guest.lua", &text), &LoadOptions::new())
    };
    load("same").expect("declares the same");
    let error = load("y").expect_err("is another file");
    assert_eq!(ErrorKind::Load, error.kind());
    for part in ["x/a.proto", "y/a.proto"] {
        assert!(error.message().contains(part), "{error}");
    }
}

#[test]
fn other_kinds_of_source_are_refused() {
    for source in
        [ModuleSource::Name("module".into()), ModuleSource::Bytes { name: "x".into(), bytes: b"return 1".to_vec() }]
    {
        let error = lua().load(&source, &LoadOptions::new()).expect_err("no such source");
        assert_eq!(ErrorKind::Unsupported, error.kind());
    }
    assert_eq!(ErrorKind::Config, lua().load(&source(""), &LoadOptions::new().instances(0)).expect_err("none").kind());
}

#[test]
fn a_file_with_a_byte_order_mark_and_a_first_line_for_the_shell_loads() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in [
        ("shell.lua", "#!/usr/bin/env luajit\nrequire('polyhost').export('a/Echo', function(x) return x end)"),
        ("mark.lua", "\u{feff}require('polyhost').export('a/Echo', function(x) return x end)"),
    ] {
        let file = folder.path().join(name);
        std::fs::write(&file, text).expect("written");
        let module = lua().load(&ModuleSource::Path(file), &LoadOptions::new()).expect("it loads");
        assert_eq!(b"x", call(&*module, "a/Echo", b"x").expect("an echo").as_slice());
    }
}

#[test]
fn modules_beside_the_module_are_required_and_stacks_go_through_them() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("part")).expect("made");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("init.lua", "local part = require 'part'\nrequire('polyhost').export('a/Part', function() part.fail() end)");
    write(
        "part/init.lua",
        "local M = {}\nM.helper = require 'part.helper'\nfunction M.fail() M.helper() end\nreturn M",
    );
    write("part/helper.lua", "return function() error('here') end");
    // A folder is its init.lua.
    let module = lua().load(&ModuleSource::Path(folder.path().into()), &LoadOptions::new()).expect("it loads");
    let error = call(&*module, "a/Part", b"").expect_err("it raises");
    let files: Vec<_> = error.guest().expect("the guest's own").frames.iter().map(|it| it.file.clone()).collect();
    for (file, end) in files.iter().zip(["part/helper.lua", "part/init.lua", "init.lua"]) {
        assert!(file.ends_with(end), "{files:?}");
    }
}

#[test]
fn the_context_is_the_calls() {
    use polyhost_proto::conformance::v1::ContextReply;
    let context = conformance().function("conformance.v1.Conformance/Context").expect("exported");
    let ask = |cx: &CallContext| {
        let mut output = Output::new();
        context.call(cx, b"", &mut output).expect("a reply");
        ContextReply::decode(&*output).expect("a message")
    };
    assert_eq!(ContextReply::default(), ask(&CallContext::none()));
    let cx = CallContext::none()
        .with_metadata("user", "me")
        .with_metadata("trace", "1")
        .with_timeout(std::time::Duration::from_secs(3600));
    let reply = ask(&cx);
    assert!(reply.has_deadline && !reply.cancelled && reply.remaining_nanos > 0, "{reply:?}");
    assert_eq!(
        (Some("me"), Some("1")),
        (reply.metadata.get("user").map(String::as_str), reply.metadata.get("trace").map(String::as_str))
    );
}
