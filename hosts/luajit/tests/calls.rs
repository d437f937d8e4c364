//! Calls of raw bytes, the runtime's own facts, and the sample.

mod common;

use common::{call, load, load_with, lua, sample};
use polyhost_bridge::{CallContext, Capabilities, ErrorKind, LoadOptions, Output, Runtime};

const ECHO: &str = "require('polyhost').export('raw/Echo', function(request) return request end)";

#[test]
fn bytes_come_back_as_they_are() {
    let module = load(&lua(), ECHO);
    let echo = module.function("raw/Echo").expect("exported");
    for input in [&b""[..], b"x", b"\0\xff\0", &[7; 100_000]] {
        let mut output = Output::new();
        echo.call(&CallContext::none(), input, &mut output).expect("an echo");
        assert_eq!(input, output.as_slice());
    }
}

#[test]
fn a_reply_is_appended_and_one_over_the_limit_leaves_what_was_there() {
    let module = load(&lua(), ECHO);
    let echo = module.function("raw/Echo").expect("exported");
    let mut output = Output::with_limit(8);
    echo.call(&CallContext::none(), b"1234", &mut output).expect("room");
    echo.call(&CallContext::none(), b"56", &mut output).expect("room");
    let error = echo.call(&CallContext::none(), b"789", &mut output).expect_err("no room");
    assert_eq!((ErrorKind::Exhausted, &b"123456"[..]), (error.kind(), output.as_slice()));
}

#[test]
fn handlers_get_the_context_if_they_take_one() {
    let module = load(
        &lua(),
        r#"
        local polyhost = require "polyhost"
        polyhost.export("a/None", function() return "none" end)
        polyhost.export("a/Two", function(request, context) return tostring(context == polyhost.context) end)
        polyhost.export("a/All", function(...) return tostring(select('#', ...)) end)
    "#,
    );
    for (export, expected) in [("a/None", "none"), ("a/Two", "true"), ("a/All", "2")] {
        assert_eq!(expected.as_bytes(), call(&*module, export, b"").expect("a reply").as_slice());
    }
}

#[test]
fn coroutines_yield_through_protected_calls() {
    let module = load(
        &lua(),
        r#"
        require("polyhost").export("a/Yield", function()
            local co = coroutine.wrap(function()
                local parts = {}
                pcall(function() parts[#parts + 1] = coroutine.yield("a") end)
                xpcall(function() parts[#parts + 1] = coroutine.yield("b") error("c", 0) end, function(e)
                    parts[#parts + 1] = e
                end)
                for part in coroutine.wrap(function() coroutine.yield("d") coroutine.yield("e") end) do
                    parts[#parts + 1] = part
                end
                return table.concat(parts)
            end)
            return co() .. co(1) .. co(2)
        end)
    "#,
    );
    assert_eq!(b"ab12cde", call(&*module, "a/Yield", b"").expect("a reply").as_slice());
}

#[test]
fn a_handler_that_yields_is_an_error() {
    let module = load(&lua(), "require('polyhost').export('a/Yield', function() coroutine.yield('x') end)");
    for _ in 0..3 {
        assert_eq!(ErrorKind::Guest, call(&*module, "a/Yield", b"").expect_err("nobody resumes it").kind());
    }
}

#[test]
fn the_runtime_says_what_it_is() {
    let lua = lua();
    let info = lua.info();
    assert_eq!(("lua", "LuaJIT"), (info.scheme, info.name));
    assert!(info.version.starts_with("2.1."), "{}", info.version);
    // One VM runs one call at a time.
    for not in [Capabilities::PARALLEL, Capabilities::CONCURRENT_WAIT, Capabilities::NATIVE_ASYNC] {
        assert!(!lua.capabilities().contains(not));
    }
}

#[test]
fn the_sample_greets() {
    // HelloRequest { name: "world" }
    let reply = call(&*sample(), "greeter.v1.Greeter/SayHello", b"\x0a\x05world").expect("a greeting");
    assert_eq!(b"\x0a\x0dHello, world!", reply.as_slice());
    let error = call(&*sample(), "greeter.v1.Greeter/SayHello", b"").expect_err("no name");
    assert_eq!("call greeter.v1.Greeter/SayHello: INVALID_ARGUMENT: name is empty", error.to_string());
    let module = sample();
    assert_eq!("Greets by name; an empty name is an INVALID_ARGUMENT.", module.exports()[0].doc());
}

#[test]
fn a_module_without_a_name_has_that_of_its_source() {
    assert_eq!("test.lua", load(&lua(), ECHO).name());
    assert_eq!("mine", load_with(ECHO, LoadOptions::new().name("mine")).name());
}
