//! Endless recursion is an error, by whatever way it goes.

mod common;

use common::{call, in_child, load, lua};
use polyhost_bridge::ErrorKind;

/// Functions that call themselves without end, each by a way of its own.
const RECURSIONS: &str = r#"
    local polyhost = require "polyhost"
    local ways = {}

    function ways.plain() return 1 + ways.plain() end
    function ways.pcall() local ok, e = pcall(ways.pcall) error(e, 0) end
    function ways.xpcall() xpcall(error, ways.xpcall) error("x") end
    function ways.xpcall_body() local ok, e = xpcall(ways.xpcall_body, function(e) return e end) error(e, 0) end
    function ways.gsub() return (("x"):gsub("x", ways.gsub)) end
    function ways.gsub_table()
        return (("x"):gsub("x", setmetatable({}, { __index = ways.gsub_table })))
    end
    function ways.sort() table.sort({ 1, 2, 3 }, ways.sort) end
    function ways.sort_lt()
        local mt = { __lt = ways.sort_lt }
        table.sort({ setmetatable({}, mt), setmetatable({}, mt), setmetatable({}, mt) })
    end
    function ways.foreach() table.foreach({ 1 }, ways.foreach) end
    function ways.foreachi() table.foreachi({ 1 }, ways.foreachi) end
    function ways.tostring() return "" .. tostring(setmetatable({}, { __tostring = ways.tostring })) end
    function ways.print() print(setmetatable({}, { __tostring = ways.print })) return "" end
    function ways.format() return string.format("%s", setmetatable({}, { __tostring = ways.format })) end
    function ways.load() return load(ways.load) end
    function ways.wrap() return coroutine.wrap(ways.wrap)() end
    function ways.resume() local ok, e = coroutine.resume(coroutine.create(ways.resume)) error(e, 0) end
    function ways.index() return setmetatable({}, { __index = ways.index }).x end
    function ways.newindex() setmetatable({}, { __newindex = ways.newindex }).x = 1 end
    function ways.call() return 1 + setmetatable({}, { __call = ways.call })() end
    function ways.concat() return setmetatable({}, { __concat = ways.concat }) .. "" end
    function ways.add() return 1 + (setmetatable({}, { __add = ways.add }) + 1) end
    function ways.eq() local mt = { __eq = ways.eq } return setmetatable({}, mt) == setmetatable({}, mt) end
    function ways.lt() local mt = { __lt = ways.lt } return setmetatable({}, mt) < setmetatable({}, mt) end
    function ways.unm() return -setmetatable({}, { __unm = ways.unm }) end
    function ways.int64() return 1LL + setmetatable({}, { __add = ways.int64 }) end
    function ways.require()
        package.preload.x = ways.require
        package.loaded.x = nil
        return require "x"
    end
    function ways.iterator() for _ in ways.iterator do end end
    function ways.handler_tostring() error(setmetatable({}, { __tostring = ways.format })) end

    local mixed = { "gsub", "wrap", "sort", "pcall", "format", "tostring" }
    local turn = 0
    function ways.mixed()
        turn = turn + 1
        local way = mixed[turn % #mixed + 1]
        if way == "gsub" then return (("x"):gsub("x", ways.mixed)) end
        if way == "wrap" then return coroutine.wrap(ways.mixed)() end
        if way == "sort" then return table.sort({ 2, 1 }, ways.mixed) end
        if way == "format" then return ("%s"):format(setmetatable({}, { __tostring = ways.mixed })) end
        if way == "tostring" then return "" .. tostring(setmetatable({}, { __tostring = ways.mixed })) end
        local ok, e = pcall(ways.mixed)
        error(e, 0)
    end

    for name, way in pairs(ways) do
        polyhost.export("stack/" .. name, function() way() error("it came back") end)
    end
    polyhost.export("stack/fine", function(request) return request end)
    local function depth(n) if n == 0 then return 0 end return 1 + depth(n - 1) end
    polyhost.export("stack/deep", function(request) return tostring(depth(tonumber(request))) end)
    polyhost.export("stack/nested", function(request)
        local text = ("("):rep(190) .. "1" .. (")"):rep(190)
        return tostring(load("return " .. text)())
    end)
"#;

fn every_way() {
    let module = load(&lua(), RECURSIONS);
    for export in module.exports() {
        let way = export.name().strip_prefix("stack/").expect("the prefix");
        if matches!(way, "fine" | "deep" | "nested") {
            continue;
        }
        eprintln!("{way}");
        // Twice: the first must not use anything up.
        for _ in 0..2 {
            let error = call(&*module, export.name(), b"").expect_err("endless");
            eprintln!("  {}", error.to_string().chars().take(150).collect::<String>());
            assert_eq!(ErrorKind::Guest, error.kind(), "{way}: {error:?}");
        }
        assert_eq!(b"x", call(&*module, "stack/fine", b"x").expect("the VM is fine").as_slice(), "after {way}");
    }
}

#[test]
fn endless_recursion_is_an_error_on_a_small_stack() {
    if !in_child("endless_recursion_is_an_error_on_a_small_stack") {
        return;
    }
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(every_way).expect("a thread");
    thread.join().expect("no panic");
}

#[test]
fn endless_recursion_is_an_error_on_a_large_stack() {
    if !in_child("endless_recursion_is_an_error_on_a_large_stack") {
        return;
    }
    let thread = std::thread::Builder::new().stack_size(64 << 20).spawn(every_way).expect("a thread");
    thread.join().expect("no panic");
}

#[test]
fn deep_recursion_that_ends_is_none() {
    let module = load(&lua(), RECURSIONS);
    assert_eq!(b"5000", call(&*module, "stack/deep", b"5000").expect("deep, not endless").as_slice());
    assert_eq!(b"1", call(&*module, "stack/nested", b"").expect("deep in the parser").as_slice());
}
