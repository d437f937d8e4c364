//! Guest code that does not end is stopped, wherever it is; and nothing else is.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{call, in_child, load, load_with, lua};
use polyhost_bridge::{
    CallContext, CancelToken, Error, ErrorKind, Export, Function, LoadOptions, Module, Output, Runtime, Services,
    UnloadVerdict,
};

const LOOPS: &str = r#"
    local polyhost = require "polyhost"
    local function export(name, handler) polyhost.export("loop/" .. name, handler) end

    -- Each begins by telling the host that it is inside.
    local ready = polyhost.service("host/Ready")

    export("plain", function() ready("") while true do end end)
    export("counting", function() ready("") local n = 0 while true do n = n + 1 end end)
    export("numeric_for", function() ready("") for i = 1, math.huge do end end)
    export("repeat_until", function() ready("") repeat until false end)
    export("tables", function() ready("") while true do local t = { {}, {} } end end)
    export("strings", function() ready("") local s = 0 while true do s = s + #tostring(s) end end)
    export("pcall", function()
        ready("")
        while true do pcall(function() while true do end end) end
    end)
    export("nested_pcall", function()
        ready("")
        while true do
            pcall(pcall, function() pcall(function() while true do pcall(error) end end) while true do end end)
        end
    end)
    export("xpcall", function()
        ready("")
        while true do xpcall(function() while true do end end, function(e) return e end) end
    end)
    export("handler", function()
        ready("")
        xpcall(function() while true do end end, function() while true do end end)
        while true do end
    end)
    export("handler_alone", function()
        xpcall(error, function() ready("") while true do end end)
        while true do end
    end)
    export("wrap", function()
        ready("")
        return coroutine.wrap(function() while true do end end)()
    end)
    export("resume", function()
        ready("")
        while true do coroutine.resume(coroutine.create(function() while true do end end)) end
    end)
    export("yield", function()
        ready("")
        local co = coroutine.wrap(function() while true do coroutine.yield() end end)
        while true do co() end
    end)
    export("gsub", function()
        ready("")
        while true do ("abc"):gsub(".", function() while true do end end) end
    end)
    export("sort", function()
        ready("")
        while true do
            pcall(table.sort, { 3, 1, 2 }, function(a, b) for i = 1, 1e5 do end return a < b end)
        end
    end)
    export("metamethod", function()
        ready("")
        local t = setmetatable({}, { __index = function() while true do end end })
        while true do pcall(function() return t.x end) end
    end)
    export("tostring", function()
        error(setmetatable({}, { __tostring = function() ready("") while true do end end }))
    end)
    export("load", function()
        ready("")
        while true do load(function() while true do end end) end
    end)
    export("recursion", function()
        ready("")
        local function f() return f() end
        f()
    end)
    polyhost.export("fine/Sum", function()
        local sum = 0
        for i = 1, 1000 do sum = sum + i end
        return tostring(sum)
    end)
"#;

/// A module with [`LOOPS`], whose loops cancel `token` when they are inside.
fn loops(token: &CancelToken) -> Arc<dyn Module> {
    let token = token.clone();
    let mut services = Services::new();
    let ready = polyhost_native::function(Export::bytes("host/Ready"), move |_cx, _input, _output| {
        let token = token.clone();
        // From another thread, so that the service has returned, or not, when it comes.
        std::thread::spawn(move || token.cancel());
        Ok(())
    });
    services.add(ready).expect("the only one");
    load_with(LOOPS, LoadOptions::new().services(services))
}

fn call_with(module: &dyn Module, export: &str, cx: &CallContext) -> Result<Output, Error> {
    let mut output = Output::new();
    module.function(export)?.call(cx, b"", &mut output)?;
    Ok(output)
}

#[test]
fn loops_of_every_kind_are_stopped() {
    let names: Vec<String> = loops(&CancelToken::new()).exports().iter().map(|it| it.name().to_owned()).collect();
    for name in names.iter().filter(|it| it.starts_with("loop/")) {
        eprintln!("{name}");
        for _ in 0..5 {
            let token = CancelToken::new();
            let module = loops(&token);
            let error = call_with(&*module, name, &CallContext::none().with_cancel(&token)).expect_err("endless");
            assert_eq!(ErrorKind::Cancelled, error.kind(), "{name}: {error:?}");
            // The next call is another one.
            assert_eq!(b"500500", call(&*module, "fine/Sum", b"").expect("not interrupted").as_slice(), "after {name}");
        }
    }
}

#[test]
fn a_deadline_stops_a_loop() {
    let module = load(&lua(), "require('polyhost').export('a/Spin', function() while true do end end)");
    let cx = CallContext::none().with_timeout(Duration::from_millis(5));
    let error = call_with(&*module, "a/Spin", &cx).expect_err("endless");
    assert_eq!(ErrorKind::DeadlineExceeded, error.kind(), "{error:?}");
}

#[test]
fn the_stack_says_where_a_call_was_stopped() {
    let token = CancelToken::new();
    let mut services = Services::new();
    let cancel = token.clone();
    let ready = polyhost_native::function(Export::bytes("host/Ready"), move |_cx, _input, _output| {
        // On this very thread: the hook is set when the guest goes on.
        cancel.cancel();
        Ok(())
    });
    services.add(ready).expect("the only one");
    let text = r#"
        local ready = require("polyhost").service("host/Ready")
        local function spin()
            ready("")
            while true do end
        end
        require("polyhost").export("a/Spin", function() spin() end)"#;
    let module = load_with(text, LoadOptions::new().services(services));
    let error = call_with(&*module, "a/Spin", &CallContext::none().with_cancel(&token)).expect_err("endless");
    assert_eq!(ErrorKind::Cancelled, error.kind(), "{error:?}");
    let frames = &error.guest().expect("what was stopped").frames;
    let spin = frames.iter().find(|frame| frame.file == "test.lua").expect("a frame of the guest's");
    assert_eq!(("spin", 4), (&*spin.function, spin.line), "{frames:?}");
}

#[test]
fn a_loop_in_a_module_that_is_being_called_elsewhere_is_the_only_one_stopped() {
    // Calls that end race with their own cancellation; those without a token must never see it.
    let module = load(
        &lua(),
        "local polyhost = require 'polyhost'
        polyhost.export('a/Work', function()
            local sum = 0
            for i = 1, 2000 do sum = sum + i end
            return tostring(sum)
        end)",
    );
    let work = module.function("a/Work").expect("exported");
    let mut output = Output::new();
    for round in 0..2000 {
        let token = CancelToken::new();
        let cx = CallContext::none().with_cancel(&token);
        let canceller = std::thread::spawn({
            let token = token.clone();
            move || {
                for _ in 0..round % 50 * 20 {
                    std::hint::spin_loop();
                }
                token.cancel();
            }
        });
        output.clear();
        match work.call(&cx, b"", &mut output) {
            Ok(()) => assert_eq!(b"2001000", output.as_slice()),
            Err(error) => assert_eq!(ErrorKind::Cancelled, error.kind(), "{error:?}"),
        }
        output.clear();
        work.call(&CallContext::none(), b"", &mut output).expect("nobody cancels this one");
        assert_eq!(b"2001000", output.as_slice());
        canceller.join().expect("no panic");
    }
}

#[test]
fn a_nested_call_without_a_token_is_not_stopped_and_the_outer_one_is_when_it_is_back() {
    let token = CancelToken::new();
    let lua = lua();
    let inner: Arc<std::sync::OnceLock<Arc<dyn Function>>> = Arc::default();
    let mut services = Services::new();
    let (cancel, back) = (token.clone(), inner.clone());
    let service = polyhost_native::function(Export::bytes("host/Back"), move |_cx, input, output| {
        cancel.cancel();
        // Another call into the same VM, of its own accord: it has nothing to do with the cancelled one.
        back.get().expect("set before the call").call(&CallContext::none(), input, output)
    });
    services.add(service).expect("the only one");
    let text = r#"
        local polyhost = require "polyhost"
        local back = polyhost.service("host/Back")
        local seen = {}
        polyhost.export("a/Outer", function(request)
            seen[#seen + 1] = pcall(back, request)
            while true do end
        end)
        polyhost.export("a/Inner", function(request)
            local sum = 0
            for i = 1, 1e5 do sum = sum + i end
            seen[#seen + 1] = sum
            return request
        end)
        polyhost.export("a/Seen", function()
            for i, it in ipairs(seen) do seen[i] = tostring(it) end
            return table.concat(seen, " ")
        end)
    "#;
    let module = lua.load(&common::source(text), &LoadOptions::new().services(services)).expect("it loads");
    inner.set(module.function("a/Inner").expect("exported")).expect("once");
    let error = call_with(&*module, "a/Outer", &CallContext::none().with_cancel(&token)).expect_err("cancelled");
    assert_eq!(ErrorKind::Cancelled, error.kind(), "{error:?}");
    assert_eq!(b"5000050000", call(&*module, "a/Seen", b"").expect("not cancelled").as_slice());
}

#[test]
fn a_cancelled_call_does_not_begin() {
    let token = CancelToken::new();
    let module = loops(&token);
    token.cancel();
    let error = call_with(&*module, "loop/plain", &CallContext::none().with_cancel(&token)).expect_err("cancelled");
    assert_eq!((ErrorKind::Cancelled, None), (error.kind(), error.guest()));
}

#[test]
fn many_vms_are_interrupted_at_once() {
    let module = load_with(
        "local polyhost = require 'polyhost'
        polyhost.export('a/Spin', function() while true do pcall(function() while true do end end) end end)",
        LoadOptions::new().instances(8),
    );
    let token = CancelToken::new();
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (module, cx) = (module.clone(), CallContext::none().with_cancel(&token));
            std::thread::spawn(move || call_with(&*module, "a/Spin", &cx).expect_err("endless").kind())
        })
        .collect();
    token.cancel();
    for thread in threads {
        assert_eq!(ErrorKind::Cancelled, thread.join().expect("no panic"));
    }
}

/// A library function is one step: it is stopped when it returns, and a pattern can keep it for ever. The VM it holds is
/// lost, and nobody waits for it but who calls that very module.
#[test]
fn a_pattern_without_end_is_not_stopped_and_holds_up_nobody_else() {
    if !in_child("a_pattern_without_end_is_not_stopped_and_holds_up_nobody_else") {
        return;
    }
    let (ready, is_ready) = std::sync::mpsc::channel();
    let mut services = Services::new();
    let service = polyhost_native::function(Export::bytes("host/Ready"), move |_cx, _input, _output| {
        ready.send(std::fs::read_link("/proc/thread-self").expect("Linux has it")).expect("the test waits");
        Ok(())
    });
    services.add(service).expect("the only one");
    let text = "local polyhost = require 'polyhost'
        local ready = polyhost.service('host/Ready')
        polyhost.export('a/Find', function()
            ready('')
            return tostring((('a'):rep(64)):find(('a?'):rep(64) .. ('a'):rep(64) .. 'b'))
        end)";
    let lua = lua();
    let module = lua.load(&common::source(text), &LoadOptions::new().services(services)).expect("it loads");
    let token = CancelToken::new();
    let (find, cx) = (module.function("a/Find").expect("exported"), CallContext::none().with_cancel(&token));
    std::thread::spawn(move || find.call(&cx, b"", &mut Output::new()));
    let thread = is_ready.recv().expect("the guest is inside");
    // What comes before the pattern takes microseconds.
    let spent = || {
        let text = std::fs::read_to_string(std::path::Path::new("/proc").join(&thread).join("schedstat"));
        let text = text.expect("the thread is there");
        text.split(' ').next().expect("nanoseconds on a processor").parse::<u64>().expect("a number")
    };
    let before = spent();
    while spent() < before + 50_000_000 {
        std::thread::yield_now();
    }
    token.cancel();
    let other = load(&lua, "require('polyhost').export('a/Echo', function(request) return request end)");
    assert_eq!(b"x", call(&*other, "a/Echo", b"x").expect("is not held up").as_slice());
    let UnloadVerdict::StillAlive { what } = module.unload(Duration::from_millis(10)) else { panic!("it was stopped") };
    assert!(what.iter().any(|line| line.contains("inside")), "{what:?}");
}

/// Calls of one request, one after the other, are watched by what the first made; and others come between.
#[test]
fn a_cancel_hits_the_calls_of_its_token_and_no_others() {
    let module = load(
        &lua(),
        "local polyhost = require 'polyhost'
        polyhost.export('a/Short', function(input) local n = 0 for i = 1, 200 do n = n + i end return input end)
        polyhost.export('a/Spin', function() while true do end end)",
    );
    for round in 0..3000_u32 {
        let token = CancelToken::new();
        let cx = CallContext::none().with_cancel(&token);
        let other = CallContext::none().with_cancel(&CancelToken::new());
        let canceller = (round % 3 == 0).then(|| {
            std::thread::spawn(move || {
                (0..round % 500).for_each(|_| std::hint::spin_loop());
                token.cancel();
            })
        });
        for _ in 0..round % 7 {
            match call_with(&*module, "a/Short", &cx) {
                Ok(_) => {}
                Err(error) => {
                    assert_eq!(ErrorKind::Cancelled, error.kind(), "{error:?}");
                    assert!(canceller.is_some(), "round {round}: {error:?}");
                }
            }
            // Neither of these was cancelled.
            for cx in [&other, &CallContext::none()] {
                call_with(&*module, "a/Short", cx).unwrap_or_else(|error| panic!("round {round}: {error:?}"));
            }
        }
        if let Some(canceller) = canceller {
            // Before it began, or in the middle.
            let error = call_with(&*module, "a/Spin", &cx).expect_err("endless");
            assert_eq!(ErrorKind::Cancelled, error.kind(), "{error:?}");
            canceller.join().expect("no panic");
            assert_eq!(None, call_with(&*module, "a/Short", &cx).expect_err("cancelled").guest());
        }
    }
}
