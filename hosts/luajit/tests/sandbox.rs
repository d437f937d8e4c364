//! What guests can't reach.

mod common;

use std::sync::{Arc, Mutex};

use common::{call, load, load_with, lua, source};
use polyhost_bridge::{LoadOptions, LogLevel, LogSink, ModuleSource, Output, Runtime};

/// What the Lua expression is, as a string.
fn eval_with(expression: &str, options: LoadOptions) -> String {
    let text = format!("require('polyhost').export('a/Eval', function() return tostring({expression}) end)");
    let module = load_with(&text, options);
    String::from_utf8_lossy(&call(&*module, "a/Eval", b"").unwrap_or_else(|e| panic!("{expression}: {e:?}"))).into()
}

fn check(expression: &str, expected: &str) {
    assert_eq!(expected, eval_with(expression, LoadOptions::new()), "{expression}");
}

#[test]
fn what_is_dangerous_is_not_there() {
    for name in [
        "ffi",
        "jit",
        "io",
        "newproxy",
        "dofile",
        "loadfile",
        "module",
        "gcinfo",
        "arg",
        "debug.getregistry",
        "debug.sethook",
        "debug.getupvalue",
        "debug.setmetatable",
        "debug.getinfo",
        "debug.debug",
        "debug.setfenv",
        "debug.upvalueid",
        "debug.setlocal",
        "string.dump",
        "os.execute",
        "os.exit",
        "os.getenv",
        "os.remove",
        "os.rename",
        "os.tmpname",
        "os.setlocale",
        "package.loadlib",
        "package.cpath",
        "package.loaders",
        "package.searchers",
        "package.seeall",
        "table.new",
        "string.buffer",
    ] {
        check(name, "nil");
    }
}

#[test]
fn every_global_is_one_that_was_thought_of() {
    let expression = r#"(function()
        local names = {}
        for name, value in pairs(_G) do
            names[#names + 1] = name
            if type(value) == "table" and name ~= "_G" then
                for key in pairs(value) do names[#names + 1] = name .. "." .. tostring(key) end
            end
        end
        table.sort(names)
        return table.concat(names, " ")
    end)()"#;
    let expected = "_G _VERSION assert bit bit.arshift bit.band bit.bnot bit.bor bit.bswap bit.bxor bit.lshift bit.rol \
        bit.ror bit.rshift bit.tobit bit.tohex collectgarbage coroutine coroutine.create coroutine.isyieldable \
        coroutine.resume coroutine.running coroutine.status coroutine.wrap coroutine.yield debug debug.traceback error \
        getfenv getmetatable ipairs load loadstring math math.abs math.acos math.asin math.atan math.atan2 math.ceil \
        math.cos math.cosh math.deg math.exp math.floor math.fmod math.frexp math.huge math.ldexp math.log math.log10 \
        math.max math.min math.modf math.pi math.pow math.rad math.random math.randomseed math.sin math.sinh math.sqrt \
        math.tan math.tanh next os os.clock os.date os.difftime os.time package package.config package.loaded \
        package.preload pairs pcall print rawequal rawget rawset require select setfenv setmetatable string string.byte \
        string.char string.find string.format string.gmatch string.gsub string.len string.lower string.match string.rep \
        string.reverse string.sub string.upper table table.concat table.foreach table.foreachi table.getn table.insert \
        table.maxn table.move table.remove table.sort tonumber tostring type unpack xpcall";
    check(expression, expected);
}

#[test]
fn libraries_that_are_not_there_can_not_be_required() {
    for name in ["ffi", "jit", "jit.util", "jit.opt", "jit.profile", "string.buffer", "table.new", "io", "socket"] {
        check(&format!("pcall(require, '{name}')"), "false");
    }
    check("package.loaded.ffi", "nil");
    // A 64-bit literal makes LuaJIT open its FFI by itself.
    check("1LL and package.loaded.ffi", "nil");
    check("1LL and ffi", "nil");
    check("pcall(require, 'ffi', 1LL)", "false");
}

#[test]
fn modules_are_found_in_their_folders_alone() {
    for name in ["../secret", "..secret", "/etc/passwd", "a/../../secret", "", ".", "a..b", "a\\0b"] {
        check(&format!("pcall(require, '{name}')"), "false");
    }
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("lib.lua"), "return 'from the path'").expect("written");
    let options = LoadOptions::new().option("path", folder.path().display().to_string());
    assert_eq!("from the path", eval_with("require 'lib'", options));
    check("pcall(require, 'lib')", "false");
    // Beside the folder, and not in it.
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).expect("a folder");
    std::fs::write(folder.path().join("inner.lua"), "return 'from outside'").expect("written");
    for name in [".", "..", "...", "x."] {
        let options = LoadOptions::new().option("path", inner.display().to_string());
        assert_eq!("false", eval_with(&format!("pcall(require, '{name}')"), options), "{name}");
    }
}

#[test]
fn protos_are_found_in_their_folders_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let guest = folder.path().join("guest");
    std::fs::create_dir_all(guest.join("inner")).expect("a folder");
    let write = |file: &str, text: &str| std::fs::write(folder.path().join(file), text).expect("written");
    write("secret", "the secret");
    write("guest/inner/good.proto", "syntax = \"proto3\"; message Good {}");
    write("guest/imports.proto", "syntax = \"proto3\"; import \"../secret\";");
    let absolute = folder.path().join("secret").display().to_string();
    let load = |arguments: &str| {
        write("guest/guest.lua", &format!("require('polyhost').proto({arguments})"));
        lua().load(&ModuleSource::Path(guest.join("guest.lua")), &LoadOptions::new())
    };
    for good in ["'good.proto', 'inner'", "'good.proto', './inner'", "'inner/good.proto'"] {
        load(good).unwrap_or_else(|error| panic!("{error:?}"));
    }
    for outside in
        ["'../secret'", "'secret', '..'", "'secret', 'inner/../..'", &format!("'{absolute}'"), "'imports.proto'"]
    {
        let report = format!("{:?}", load(outside).expect_err("is outside"));
        assert!(!report.contains("the secret"), "{report}");
    }
    let error = load(&format!("'secret', '{}'", folder.path().display())).expect_err("is outside");
    assert!(error.message().contains("leads out of the module's folder; the option proto_path"), "{error}");
}

#[test]
fn bytecode_is_not_loaded() {
    // The head of LuaJIT's bytecode.
    let code = r#""\27LJ\2\2\0""#;
    check(&format!("load({code})"), "nil");
    check(&format!("loadstring({code})"), "nil");
    check(&format!("load({code}, 'x', 'b')"), "nil");
    check(&format!("load({code}, 'x', 'bt')"), "nil");
    check(&format!("load(coroutine.wrap(function() coroutine.yield({code}) end))"), "nil");
    let error = lua().load(&source("\u{1b}LJ"), &LoadOptions::new()).expect_err("bytecode");
    assert!(error.to_string().contains("attempt to load chunk with wrong mode"), "{error:?}");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("code.lua");
    std::fs::write(&file, b"\x1bLJ\x02\x02\x00").expect("written");
    lua().load(&ModuleSource::Path(file), &LoadOptions::new()).expect_err("bytecode");
}

#[test]
fn load_takes_text_as_lua_does() {
    check("load('return 1 + 1')()", "2");
    check("load('return x', 'name', 't', { x = 3 })()", "3");
    check(
        "select(2, pcall(load('return x.y', '=name', 't', {})))",
        "name:1: attempt to index global 'x' (a nil value)",
    );
    check("load(coroutine.wrap(function() coroutine.yield('return ') coroutine.yield('4') end))()", "4");
    check("select(2, load('return +'))", "[string \"return +\"]:1: unexpected symbol near '+'");
    check("select(2, load(function() return 1 end))", "reader function must return a string");
    check("loadstring('return ...')(5)", "5");
}

#[test]
fn sixty_four_bit_integers_are_all_there_is_of_the_ffi() {
    check("type(1LL)", "cdata");
    check("getmetatable(1LL)", "ffi");
    check("getmetatable(2i)", "ffi");
    check("type((2i)[0]) .. type((2i).re)", "numbernumber");
    check("1LL + 2", "3LL");
    for expression in [
        "(1LL).x",
        "(1LL)[0]",
        "(1LL)()",
        "#1LL",
        "(1LL) .. ''",
        "setmetatable(1LL, {})",
        "rawget(1LL, 1)",
        "next(1LL)",
        "unpack(1LL)",
        "1LL + 'x'",
        "1LL + {}",
    ] {
        check(&format!("pcall(load([==[return {expression}]==]))"), "false");
    }
    // What the host itself takes them apart with is out of reach: nothing in the VM that can be walked to is cdata,
    // or a function of the host's own environment.
    let expression = r#"(function()
        local seen, found = {}, {}
        local function walk(value, path)
            local kind = type(value)
            if kind == "cdata" or kind == "userdata" then found[#found + 1] = path end
            if (kind ~= "table" and kind ~= "function") or seen[value] then return end
            seen[value] = true
            local mt = getmetatable(value)
            if mt ~= nil then walk(mt, path .. "<mt>") end
            if kind == "function" then
                local env = getfenv(value)
                if env ~= _G then walk(env, path .. "<env>") end
                return
            end
            for k, v in next, value do
                walk(k, path .. "<key>")
                walk(v, path .. "." .. tostring(k))
            end
        end
        walk(_G, "_G")
        walk(getmetatable(""), "string")
        walk(require "polyhost", "polyhost")
        walk(getfenv(0), "env")
        return table.concat(found, " ")
    end)()"#;
    check(expression, "");
}

#[test]
fn the_metatable_of_errors_is_the_hosts() {
    check("getmetatable(require('polyhost').error('x'))", "polyhost.Error");
    check("pcall(setmetatable, require('polyhost').error('x'), {})", "false");
}

#[test]
fn what_a_guest_does_to_its_globals_does_not_reach_the_library() {
    let module = load(
        &lua(),
        r#"
        local polyhost = require "polyhost"
        polyhost.export("a/Raise", function() error(polyhost.status("ABORTED", "still told")) end)
        polyhost.export("a/Raw", function(request) return request end)
        local all = _G
        for name in pairs(all) do all[name] = nil end
    "#,
    );
    assert_eq!(b"x", call(&*module, "a/Raw", b"x").expect("an echo").as_slice());
    let error = call(&*module, "a/Raise", b"").expect_err("error is nil");
    assert!(error.to_string().contains("attempt to call global 'error'"), "{error}");
    let module = load(
        &lua(),
        r#"
        local polyhost = require "polyhost"
        local error = error
        polyhost.export("a/Raise", function() error(polyhost.status("ABORTED", "still told")) end)
        tostring, setmetatable, pcall, string.format = nil, nil, nil, nil
        getmetatable("").__index = nil
    "#,
    );
    let error = call(&*module, "a/Raise", b"").expect_err("it raises");
    assert_eq!("call a/Raise: ABORTED: still told", error.to_string());
}

#[test]
fn native_functions_take_anything_without_harm() {
    // Through the library's own closures, with what they do not expect.
    let module = load(
        &lua(),
        r#"
        local polyhost = require "polyhost"
        local values = { false, 0, -1, 1e308, 0/0, "", ("x"):rep(300), {}, function() end, 1LL, coroutine.create(print) }
        local functions = {
            polyhost.export, polyhost.proto, polyhost.service, polyhost.encode, polyhost.decode, polyhost.error,
            polyhost.status, polyhost.context.metadata, polyhost.context.remaining, polyhost.log.info, print, require,
            load, loadstring, xpcall, coroutine.wrap, coroutine.resume, string.format, string.gsub, table.sort,
        }
        polyhost.export("a/Fuzz", function()
            for _, f in ipairs(functions) do
                pcall(f)
                for _, a in ipairs(values) do
                    pcall(f, a)
                    for _, b in ipairs(values) do
                        pcall(f, a, b)
                        pcall(f, a, b, a)
                    end
                end
            end
            return "alive"
        end)
    "#,
    );
    assert_eq!(b"alive", call(&*module, "a/Fuzz", b"").expect("alive").as_slice());
}

/// The lines that a module logged.
fn logged(text: &str, options: LoadOptions) -> Vec<(LogLevel, String, String)> {
    let lines: Arc<Mutex<Vec<_>>> = Arc::default();
    let sink = lines.clone();
    let log = LogSink::new(move |record| {
        assert_eq!("named", record.module);
        let line = (record.level, record.target.to_owned(), record.message.to_owned());
        sink.lock().expect("no panic").push(line);
    });
    let _module = load_with(text, options.name("named").log(log));
    let lines = lines.lock().expect("no panic");
    lines.clone()
}

#[test]
fn what_is_printed_and_logged_is_the_hosts_log() {
    let lines = logged(
        r#"
        local log = require("polyhost").log
        print("a", 1, nil, true)
        log.warn("%d of %s", 1, "two")
        log.info("100 %")
        log.error({} == nil)
    "#,
        LoadOptions::new(),
    );
    let expected = [
        (LogLevel::Info, "stdout", "a\t1\tnil\ttrue"),
        (LogLevel::Warn, "lua", "1 of two"),
        (LogLevel::Info, "lua", "100 %"),
        (LogLevel::Error, "lua", "false"),
    ];
    assert_eq!(expected.map(|(level, target, text)| (level, target.to_owned(), text.to_owned())), lines[..]);
}

#[test]
fn a_panic_of_the_log_is_not_the_guests() {
    let log = LogSink::new(|_| panic!("a bug of the host's"));
    let module = load_with(
        "require('polyhost').export('a/Print', function() print('x') return 'went on' end)",
        LoadOptions::new().log(log),
    );
    assert_eq!(b"went on", call(&*module, "a/Print", b"").expect("a reply").as_slice());
}

#[test]
fn io_and_os_come_by_option_and_without_processes() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("x.txt").display().to_string();
    let io = || LoadOptions::new().option("libs", "io");
    let write =
        format!("(function() local f = io.open('{file}', 'w') f:write('text') f:close() return 'written' end)()");
    assert_eq!("written", eval_with(&write, io()));
    assert_eq!("text", eval_with(&format!("io.open('{file}'):read('*a')"), io()));
    assert_eq!("text", eval_with(&format!("io.lines('{file}')()"), io()));
    for name in ["io.popen", "io.read", "io.stdin", "io.input", "io.output", "io.close", "os.getenv", "os.execute"] {
        assert_eq!("nil", eval_with(name, io()), "{name}");
    }
    assert_eq!("false", eval_with("pcall(io.lines)", io()));
    let os = || LoadOptions::new().option("libs", "os");
    assert_eq!("true", eval_with(&format!("os.remove('{file}')"), os()));
    for name in ["io", "os.execute", "os.exit"] {
        assert_eq!("nil", eval_with(name, os()), "{name}");
    }
    let lines = logged("io.write('a', 1, '\\n') io.stderr:write('b') io.stdout:write(''):flush()", io());
    let expected = [(LogLevel::Info, "stdout", "a1"), (LogLevel::Warn, "stderr", "b")];
    assert_eq!(expected.map(|(level, target, text)| (level, target.to_owned(), text.to_owned())), lines[..]);
}

#[test]
fn what_is_printed_in_parts_is_a_line_at_its_newline_or_at_the_end_of_the_call() {
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let sink = lines.clone();
    let log = LogSink::new(move |record| sink.lock().expect("no panic").push(record.message.to_owned()));
    let module = load_with(
        "io.write('lo') io.write('ad\\r\\nrest of the load')
        require('polyhost').export('a/Print', function(request)
            io.write('a') io.stderr:write('e') io.write('b\\n\\nc') print('d')
            io.write(request)
            if request == 'fail' then error('no') end
            return request
        end)",
        LoadOptions::new().option("libs", "io").log(log),
    );
    let check = |expected: &[&str]| assert_eq!(expected, std::mem::take(&mut *lines.lock().expect("no panic")));
    check(&["load", "rest of the load"]);
    call(&*module, "a/Print", b"x").expect("a reply");
    check(&["ab", "", "cd", "x", "e"]);
    call(&*module, "a/Print", b"fail").expect_err("it raises");
    check(&["ab", "", "cd", "fail", "e"]);
    // What has no end is not kept for ever.
    let long = "y".repeat(100_000);
    call(&*module, "a/Print", long.as_bytes()).expect("a reply");
    check(&["ab", "", "cd", &long, "e"]);
}

#[test]
fn modules_share_nothing() {
    let lua = lua();
    let first =
        load(&lua, "shared = 1 string.x = 1 require('polyhost').y = 1 require('polyhost').export('a/X', print)");
    let second = load(
        &lua,
        "require('polyhost').export('a/Y', function()
            return tostring(shared) .. tostring(string.x) .. tostring(require('polyhost').y)
        end)",
    );
    let mut output = Output::new();
    second.function("a/Y").expect("exported").call(&Default::default(), b"", &mut output).expect("a reply");
    assert_eq!(b"nilnilnil", output.as_slice());
    drop(first);
}
