//! The limit on a VM's memory, and what is given back.

mod common;

use std::time::Duration;

use common::{call, in_child, load_proto, load_with};
use polyhost_bridge::{CallContext, ErrorKind, Export, LoadOptions, Output, Services, UnloadVerdict};
use polyhost_proto::conformance::v1::AllTypes;
use prost::Message;

const LIMIT: usize = 8 << 20;

const HOGS: &str = r#"
    local polyhost = require "polyhost"
    local function export(name, handler) polyhost.export("hog/" .. name, handler) end

    export("tables", function() local t = {} for i = 1, 1e9 do t[i] = { i } end end)
    export("string", function() local s = "x" while true do s = s .. s end end)
    export("strings", function() local t = {} for i = 1, 1e9 do t[i] = ("%d"):format(i):rep(100) end end)
    export("closures", function() local t = {} for i = 1, 1e9 do t[i] = function() return i end end end)
    export("coroutines", function() local t = {} for i = 1, 1e9 do t[i] = coroutine.create(print) end end)
    export("keys", function() local t = {} for i = 1, 1e9 do t["k" .. i] = true end end)
    export("rep", function() return ("x"):rep(1e9) end)
    export("concat", function()
        local t = {}
        for i = 1, 1000 do t[i] = ("x"):rep(1e5) end
        return table.concat(t)
    end)
    export("gsub", function() return (("x"):rep(1e6):gsub("x", "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy")) end)
    export("integers", function() local t = {} for i = 1, 1e9 do t[i] = 1LL + i end end)
    export("load", function() local t = {} for i = 1, 1e9 do t[i] = load("return " .. i) end end)
    export("persistent", function()
        persistent = persistent or {}
        while true do persistent[#persistent + 1] = ("x"):rep(1000) .. #persistent end
    end)
    polyhost.export("fine/Clear", function() persistent = nil return "" end)
    polyhost.export("fine/Echo", function(request) return request end)
    polyhost.export("fine/Garbage", function()
        for i = 1, 1e5 do local t = { i, {} } end
        return tostring(collectgarbage("count"))
    end)
    polyhost.export("fine/Caught", function()
        local ok, message = pcall(function() local t = {} for i = 1, 1e9 do t[i] = { i } end end)
        return tostring(message)
    end)
"#;

fn limited() -> LoadOptions {
    LoadOptions::new().option("memory_limit", LIMIT.to_string())
}

#[test]
fn who_takes_too_much_gets_an_error_and_the_vm_lives() {
    let module = load_with(HOGS, limited());
    for export in module.exports().iter().filter(|it| it.name().starts_with("hog/")) {
        for _ in 0..3 {
            let error = call(&*module, export.name(), b"").expect_err("too much");
            assert_eq!(ErrorKind::Exhausted, error.kind(), "{error:?}");
            assert_eq!(
                format!("the Lua VM is out of memory: the limit is {LIMIT} bytes, see the option memory_limit"),
                error.message()
            );
            // What it keeps for ever counts on.
            call(&*module, "fine/Clear", b"").unwrap_or_else(|e| panic!("after {}: {e:?}", export.name()));
            assert_eq!(b"x", call(&*module, "fine/Echo", b"x").expect("an echo").as_slice(), "after {}", export.name());
        }
    }
}

#[test]
fn garbage_does_not_count() {
    let module = load_with(HOGS, limited());
    for _ in 0..20 {
        call(&*module, "fine/Garbage", b"").expect("collected in time");
    }
}

#[test]
fn a_guest_can_catch_that_there_is_no_memory() {
    let module = load_with(HOGS, limited());
    for _ in 0..5 {
        assert_eq!(b"not enough memory", call(&*module, "fine/Caught", b"").expect("caught").as_slice());
    }
}

#[test]
fn requests_beyond_the_limit_are_refused_and_those_below_are_not() {
    let module = load_with(HOGS, limited());
    let (large, small) = (vec![b'x'; 2 * LIMIT], vec![b'x'; LIMIT / 4]);
    for _ in 0..10 {
        let error = call(&*module, "fine/Echo", &large).expect_err("too large");
        assert_eq!(ErrorKind::Exhausted, error.kind(), "{error:?}");
        // The garbage of the one before must not stand in the way.
        assert_eq!(small, call(&*module, "fine/Echo", &small).expect("small enough").as_slice());
    }
}

#[test]
fn a_request_that_no_string_can_hold_is_refused() {
    let module = load_with(HOGS, LoadOptions::new());
    // Of zero pages, which nobody reads.
    let error = call(&*module, "fine/Echo", &vec![0; i32::MAX as usize + 1]).expect_err("too large");
    assert_eq!(ErrorKind::Exhausted, error.kind(), "{error:?}");
    assert!(error.message().contains("2147483648 bytes"), "{error}");
    assert_eq!(b"x", call(&*module, "fine/Echo", b"x").expect("an echo").as_slice());
}

#[test]
fn messages_beyond_the_limit_are_refused() {
    let text = r#"
        local polyhost = require "polyhost"
        polyhost.proto("conformance/v1/conformance.proto")
        polyhost.export("conformance.v1.Conformance/Echo", function(request) return request end)
        polyhost.export("a/Decode", function(bytes)
            local ok, failure = pcall(polyhost.decode, "conformance.v1.AllTypes", bytes)
            return tostring(failure)
        end)
    "#;
    let protos = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let options = limited().option("proto_path", protos.display().to_string());
    let module = load_with(text, options);
    // Two bytes each on the wire, forty fields each in Lua.
    let many = AllTypes { r_message: vec![AllTypes::default(); 100_000], ..Default::default() }.encode_to_vec();
    for _ in 0..3 {
        let error = call(&*module, "conformance.v1.Conformance/Echo", &many).expect_err("too large");
        assert_eq!(ErrorKind::Exhausted, error.kind(), "{error:?}");
        assert_eq!(b"not enough memory", call(&*module, "a/Decode", &many).expect("caught").as_slice());
        let few = AllTypes { r_message: vec![AllTypes::default(); 10], ..Default::default() }.encode_to_vec();
        assert_eq!(few, call(&*module, "conformance.v1.Conformance/Echo", &few).expect("an echo").as_slice());
    }
}

#[test]
fn a_reply_that_repeats_one_string_is_held_to_the_replys_limit() {
    // Small in Lua, endless on the wire.
    let module = load_proto(
        r#"
        local polyhost = require "polyhost"
        polyhost.proto("conformance/v1/conformance.proto")
        polyhost.export("conformance.v1.Conformance/Echo", function()
            local list, text = {}, ("x"):rep(1e6)
            for i = 1, 1e5 do list[i] = text end
            return { r_string = list }
        end)
    "#,
    );
    let mut output = Output::with_limit(10 << 20);
    let echo = module.function("conformance.v1.Conformance/Echo").expect("exported");
    let error = echo.call(&CallContext::none(), b"", &mut output).expect_err("too large");
    assert_eq!((ErrorKind::Exhausted, 0), (error.kind(), output.len()), "{error:?}");
}

#[test]
fn a_services_reply_beyond_the_limit_is_an_error_in_the_guest() {
    let mut services = Services::new();
    let large =
        polyhost_native::function(Export::bytes("host/Large"), |_cx, _input, output| output.write(&vec![7; 2 * LIMIT]));
    services.add(large).expect("the only one");
    let module = load_with(
        "local large = require('polyhost').service('host/Large')
        require('polyhost').export('a/Large', function() return tostring(select(2, pcall(large, ''))) end)",
        limited().services(services),
    );
    for _ in 0..3 {
        assert_eq!(b"not enough memory", call(&*module, "a/Large", b"").expect("caught").as_slice());
    }
}

#[test]
fn a_vm_that_is_too_small_does_not_open() {
    use common::{lua, source};
    use polyhost_bridge::Runtime;
    let error = lua().load(&source(""), &LoadOptions::new().option("memory_limit", "50000")).expect_err("too small");
    assert_eq!(ErrorKind::Exhausted, error.kind(), "{error:?}");
}

/// Bytes of memory this process has, pages of 4 KiB.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a number") * 4096
}

#[test]
fn unloading_gives_the_memory_back() {
    if !in_child("unloading_gives_the_memory_back") {
        return;
    }
    let round = || {
        let module = load_with(
            "local kept = {} for i = 1, 1e5 do kept[i] = { i } end
            require('polyhost').export('a/Echo', function(request) return request end)",
            LoadOptions::new(),
        );
        let echo = module.function("a/Echo").expect("exported");
        echo.call(&CallContext::none(), b"x", &mut Output::new()).expect("an echo");
        assert_eq!(UnloadVerdict::Unloaded, module.unload(Duration::ZERO));
        // Functions that are still held hold nothing of the VM.
        echo
    };
    let _held: Vec<_> = (0..5).map(|_| round()).collect();
    let before = resident();
    let _held: Vec<_> = (0..100).map(|_| round()).collect();
    let grown = resident().saturating_sub(before);
    // Each holds about 6 MB while it is loaded.
    assert!(grown < 32 << 20, "{grown} bytes more after 100 modules");
}

/// Machine code is beside the limit on memory, and has LuaJIT's own.
#[test]
fn machine_code_is_not_counted_and_bounded() {
    if !in_child("machine_code_is_not_counted_and_bounded") {
        return;
    }
    let compiled = || -> usize {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux");
        let mut code = 0;
        for line in maps.lines() {
            let mut fields = line.split_ascii_whitespace();
            let (range, rights) = (fields.next().expect("addresses"), fields.next().expect("rights"));
            // No offset, device, inode and file are these.
            if rights.contains('x') && fields.nth(2) == Some("0") && fields.next().is_none() {
                let (from, to) = range.split_once('-').expect("two addresses");
                let number = |text| usize::from_str_radix(text, 16).expect("an address");
                code += number(to) - number(from);
            }
        }
        code
    };
    let module = load_with(
        r#"
        local polyhost = require "polyhost"
        polyhost.export("a/Compile", function(request)
            local sum = 0
            for i = 1, 3000 do
                local run = load(("local n = ... for i = 1, 100 do n = n * %d %% 1e6 + i end return n"):format(i))
                sum = sum + run(i)
            end
            return tostring(sum)
        end)
    "#,
        limited(),
    );
    let before = compiled();
    let first = call(&*module, "a/Compile", b"").expect("fits").into_vec();
    let after = compiled();
    assert!(after > before, "nothing was compiled");
    for _ in 0..5 {
        assert_eq!(first, call(&*module, "a/Compile", b"").expect("fits").as_slice());
    }
    let grown = compiled() - before;
    assert!(grown <= 4 << 20, "{grown} bytes of machine code");
}

#[test]
fn errors_leave_nothing_behind() {
    let module = load_with(
        r#"
        local polyhost = require "polyhost"
        polyhost.export("a/Raise", function(request) error(polyhost.status("ABORTED", request)) end)
        polyhost.export("a/Count", function()
            collectgarbage()
            return ("%d"):format(collectgarbage("count"))
        end)
    "#,
        LoadOptions::new(),
    );
    let count =
        || String::from_utf8_lossy(&call(&*module, "a/Count", b"").expect("a number")).parse::<usize>().expect("KiB");
    let raise = |n: usize| {
        for i in 0..n {
            call(&*module, "a/Raise", i.to_string().as_bytes()).expect_err("it raises");
        }
    };
    raise(100);
    let before = count();
    raise(3000);
    assert!(count() < before + 64, "{} KiB after 3,000 errors, {before} before", count());
}
