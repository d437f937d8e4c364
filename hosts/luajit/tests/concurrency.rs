//! Several threads, several VMs, calls within calls, and the end of a module.

mod common;

use std::sync::{Arc, Barrier, OnceLock, mpsc};
use std::time::Duration;

use common::{call, load, load_with, lua, source};
use polyhost_bridge::{
    CallContext, Error, ErrorKind, Export, Function, LoadOptions, MAX_DEPTH, Module, Output, Runtime, Services,
    UnloadVerdict,
};

fn service(
    name: &str,
    run: impl Fn(&CallContext, &[u8], &mut Output) -> Result<(), Error> + Send + Sync + 'static,
) -> Services {
    let mut services = Services::new();
    services.add(polyhost_native::function(Export::bytes(name), run)).expect("the only one");
    services
}

/// A function that is known only after the module that calls it as a service has been loaded.
#[derive(Clone, Default)]
struct Later(Arc<OnceLock<Arc<dyn Function>>>);

impl Later {
    fn set(&self, function: Arc<dyn Function>) {
        self.0.set(function).expect("once");
    }

    fn services(&self) -> Services {
        let later = self.0.clone();
        service("host/Later", move |cx, input, output| later.get().expect("set").call(cx, input, output))
    }
}

#[test]
fn a_call_that_comes_back_finds_its_own_state() {
    let later = Later::default();
    let text = r#"
        local polyhost = require "polyhost"
        local back = polyhost.service("host/Later")
        local sum = 0
        polyhost.export("a/Add", function(request)
            sum = sum + 1
            if request == "1" then return tostring(sum) end
            local reply = back(tostring(tonumber(request) - 1))
            return reply .. " " .. sum
        end)
    "#;
    for instances in [1, 3] {
        let later = if instances == 1 { later.clone() } else { Later::default() };
        let module = load_with(text, LoadOptions::new().services(later.services()).instances(instances));
        later.set(module.function("a/Add").expect("exported"));
        assert_eq!(b"4 4 4 4", call(&*module, "a/Add", b"4").expect("a reply").as_slice());
    }
}

#[test]
fn a_call_comes_back_through_a_coroutine_too() {
    let later = Later::default();
    let module = load_with(
        r#"
        local polyhost = require "polyhost"
        local back = polyhost.service("host/Later")
        polyhost.export("a/Deep", function(request)
            local n = tonumber(request)
            if n == 0 then return "bottom" end
            local co = coroutine.wrap(function()
                coroutine.yield("first")
                local reply = back(tostring(n - 1))
                coroutine.yield(reply)
            end)
            assert(co() == "first")
            return co() .. " " .. n
        end)
    "#,
        LoadOptions::new().services(later.services()),
    );
    later.set(module.function("a/Deep").expect("exported"));
    assert_eq!(b"bottom 1 2 3 4 5", call(&*module, "a/Deep", b"5").expect("a reply").as_slice());
}

#[test]
fn calls_within_calls_end_at_the_bridges_depth() {
    // On a large stack, so that the bridge's own limit is what ends it.
    let thread = std::thread::Builder::new().stack_size(64 << 20).spawn(|| {
        let later = Later::default();
        let module = load_with(
            r#"
            local polyhost = require "polyhost"
            local back = polyhost.service("host/Later")
            local depth = 0
            polyhost.export("a/Down", function() depth = depth + 1 local reply = back("") return reply end)
            polyhost.export("a/Depth", function() return tostring(depth) end)
        "#,
            LoadOptions::new().services(later.services()),
        );
        later.set(module.function("a/Down").expect("exported"));
        let error = call(&*module, "a/Down", b"").expect_err("endless");
        assert!(error.to_string().contains("calls are nested 64 deep"), "{error:?}");
        assert_eq!(MAX_DEPTH.to_string().as_bytes(), call(&*module, "a/Depth", b"").expect("a reply").as_slice());
    });
    thread.expect("a thread").join().expect("no panic");
}

#[test]
fn calls_within_calls_end_before_a_small_stack_does() {
    let thread = std::thread::Builder::new().stack_size(128 << 10).spawn(|| {
        let later = Later::default();
        let module = load_with(
            r#"
            local polyhost = require "polyhost"
            local back = polyhost.service("host/Later")
            polyhost.export("a/Down", function() local reply = back("") return reply end)
            polyhost.export("a/Fine", function() return "fine" end)
        "#,
            LoadOptions::new().services(later.services()),
        );
        later.set(module.function("a/Down").expect("exported"));
        let error = call(&*module, "a/Down", b"").expect_err("endless");
        let deepest = error.to_string().split("failed: ").last().unwrap_or_default().to_owned();
        assert!(deepest.contains("the thread's stack is nearly used up"), "{deepest}");
        assert_eq!(b"fine", call(&*module, "a/Fine", b"").expect("a reply").as_slice());
    });
    thread.expect("a thread").join().expect("no panic");
}

#[test]
fn as_many_calls_wait_at_once_as_there_are_instances() {
    const N: usize = 4;
    let barrier = Arc::new(Barrier::new(N));
    let services = service("host/Wait", move |_cx, _input, _output| {
        barrier.wait();
        Ok(())
    });
    let module = load_with(
        r#"
        local polyhost = require "polyhost"
        local wait = polyhost.service("host/Wait")
        polyhost.export("a/Wait", function() wait("") return "all" end)
    "#,
        LoadOptions::new().services(services).instances(N),
    );
    for _ in 0..20 {
        std::thread::scope(|scope| {
            for _ in 0..N {
                scope.spawn(|| assert_eq!(b"all", call(&*module, "a/Wait", b"").expect("a reply").as_slice()));
            }
        });
    }
}

#[test]
fn two_threads_that_cross_end_with_an_error_that_names_both() {
    // A calls B and B calls A, each with one VM, and each inside before either calls.
    let (to_a, to_b) = (Later::default(), Later::default());
    let barrier = Arc::new(Barrier::new(2));
    let load = |name: &str, later: &Later| {
        let mut services = later.services();
        let barrier = barrier.clone();
        let meet = polyhost_native::function(Export::bytes("host/Meet"), move |_cx, _input, _output| {
            barrier.wait();
            Ok(())
        });
        services.add(meet).expect("another");
        let text = format!(
            r#"
            local polyhost = require "polyhost"
            local meet, other = polyhost.service("host/Meet"), polyhost.service("host/Later")
            polyhost.export("{name}/Cross", function() meet("") local reply = other("") return reply end)
            polyhost.export("{name}/End", function() return "end of {name}" end)
        "#
        );
        load_with(&text, LoadOptions::new().services(services).option("wait", "20ms"))
    };
    let (a, b) = (load("a", &to_b), load("b", &to_a));
    to_a.set(a.function("a/End").expect("exported"));
    to_b.set(b.function("b/End").expect("exported"));
    let cross = |module: Arc<dyn Module>, export: &'static str| {
        let thread = std::thread::Builder::new().name(format!("caller of {export}"));
        thread.spawn(move || call(&*module, export, b"")).expect("a thread")
    };
    let threads = [cross(a.clone(), "a/Cross"), cross(b.clone(), "b/Cross")];
    let outcomes = threads.map(|thread| thread.join().expect("no panic"));
    let errors: Vec<_> = outcomes.iter().filter_map(|it| it.as_ref().err()).collect();
    assert!(!errors.is_empty(), "one at least waited in vain");
    for error in errors {
        let deepest = error.chain().last().expect("itself");
        assert_eq!(ErrorKind::Exhausted, deepest.kind(), "{error:?}");
        for part in ["thread caller of a/Cross", "thread caller of b/Cross", "/Cross", "/End"] {
            assert!(deepest.message().contains(part), "{part} in {deepest}");
        }
    }
    // Nothing is held any more.
    assert_eq!(b"end of a", call(&*a, "a/End", b"").expect("a reply").as_slice());
    assert_eq!(b"end of b", call(&*b, "b/End", b"").expect("a reply").as_slice());
}

#[test]
fn a_deadline_ends_the_wait_for_a_vm() {
    let (entered, inside) = mpsc::channel();
    let (go, gone) = mpsc::channel();
    let gone = std::sync::Mutex::new(gone);
    let services = service("host/Hold", move |_cx, _input, _output| {
        entered.send(()).expect("the test waits");
        gone.lock().expect("no panic").recv().expect("the test says go");
        Ok(())
    });
    let module = load_with(
        r#"
        local polyhost = require "polyhost"
        local hold = polyhost.service("host/Hold")
        polyhost.export("a/Hold", function() hold("") return "held" end)
        polyhost.export("a/Other", function() return "other" end)
    "#,
        LoadOptions::new().services(services),
    );
    std::thread::scope(|scope| {
        let holder = scope.spawn(|| call(&*module, "a/Hold", b"").expect("a reply"));
        inside.recv().expect("it is inside");
        let cx = CallContext::none().with_timeout(Duration::from_millis(5));
        let other = module.function("a/Other").expect("exported");
        let error = other.call(&cx, b"", &mut Output::new()).expect_err("held");
        assert_eq!(ErrorKind::DeadlineExceeded, error.kind(), "{error:?}");
        assert!(error.message().contains("in a/Hold"), "{error}");
        go.send(()).expect("it waits");
        assert_eq!(b"held", holder.join().expect("no panic").as_slice());
    });
}

#[test]
fn instances_have_state_of_their_own() {
    let text = r#"
        local polyhost = require "polyhost"
        local wait = polyhost.service("host/Wait")
        local count = 0
        polyhost.export("a/Count", function() wait("") count = count + 1 return tostring(count) end)
    "#;
    let barrier = Arc::new(Barrier::new(2));
    let services = service("host/Wait", move |_cx, _input, _output| {
        barrier.wait();
        Ok(())
    });
    let module = load_with(text, LoadOptions::new().services(services).instances(2));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| assert_eq!(b"1", call(&*module, "a/Count", b"").expect("a reply").as_slice()));
        }
    });
}

#[test]
fn instances_that_export_other_things_do_not_load() {
    let text = r#"
        local polyhost = require "polyhost"
        polyhost.export("a/" .. polyhost.service("host/Name")(""), function() end)
    "#;
    let count = std::sync::atomic::AtomicUsize::new(0);
    let services = service("host/Name", move |_cx, _input, output| {
        let count = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        output.write(count.to_string().as_bytes())
    });
    let error = lua().load(&source(text), &LoadOptions::new().services(services).instances(2)).expect_err("different");
    assert_eq!(ErrorKind::Load, error.kind(), "{error:?}");
}

#[test]
fn unload_waits_for_calls_and_then_refuses_them() {
    let (entered, inside) = mpsc::channel();
    let (go, gone) = mpsc::channel();
    let gone = std::sync::Mutex::new(gone);
    let services = service("host/Hold", move |_cx, _input, _output| {
        entered.send(()).expect("the test waits");
        gone.lock().expect("no panic").recv().expect("the test says go");
        Ok(())
    });
    let text = r#"
        local polyhost = require "polyhost"
        local hold = polyhost.service("host/Hold")
        polyhost.export("a/Hold", function(request) hold("") return request end)
    "#;
    let module = load_with(text, LoadOptions::new().services(services));
    let hold = module.function("a/Hold").expect("exported");
    std::thread::scope(|scope| {
        let holder = scope.spawn(|| call(&*module, "a/Hold", b"x").expect("it is let finish"));
        inside.recv().expect("it is inside");
        let verdict = module.unload(Duration::ZERO);
        assert_eq!(UnloadVerdict::StillAlive { what: vec!["1 call is still inside".into()] }, verdict);
        go.send(()).expect("it waits");
        assert_eq!(b"x", holder.join().expect("no panic").as_slice());
    });
    assert_eq!(UnloadVerdict::Unloaded, module.unload(Duration::from_secs(60)));
    assert_eq!(UnloadVerdict::Unloaded, module.unload(Duration::ZERO));
    let error = hold.call(&CallContext::none(), b"", &mut Output::new()).expect_err("unloaded");
    assert_eq!(ErrorKind::Closed, error.kind());
    assert_eq!(ErrorKind::Closed, module.function("a/Hold").expect_err("unloaded").kind());
}

#[test]
fn a_module_can_not_unload_itself() {
    let module: Arc<OnceLock<Arc<dyn Module>>> = Arc::default();
    let itself = module.clone();
    let services = service("host/Unload", move |_cx, _input, output| {
        output.write(format!("{:?}", itself.get().expect("set").unload(Duration::from_secs(60))).as_bytes())
    });
    let loaded = load_with(
        "local unload = require('polyhost').service('host/Unload')
        require('polyhost').export('a/Unload', function() local verdict = unload('') return verdict end)",
        LoadOptions::new().services(services),
    );
    module.set(loaded.clone()).expect("once");
    let verdict = call(&*loaded, "a/Unload", b"").expect("a reply");
    assert_eq!(
        "StillAlive { what: [\"the call that unloads it is inside itself\"] }",
        String::from_utf8_lossy(&verdict)
    );
    assert_eq!(UnloadVerdict::Unloaded, loaded.unload(Duration::ZERO));
}

#[test]
fn shutdown_unloads_everything_and_loads_nothing_more() {
    let lua = lua();
    let module = load(&lua, "require('polyhost').export('a/Echo', function(request) return request end)");
    let echo = module.function("a/Echo").expect("exported");
    lua.shutdown(Duration::ZERO).expect("nobody is inside");
    lua.shutdown(Duration::ZERO).expect("again");
    assert_eq!(ErrorKind::Closed, echo.call(&CallContext::none(), b"", &mut Output::new()).expect_err("closed").kind());
    assert_eq!(ErrorKind::Closed, lua.load(&source(""), &LoadOptions::new()).expect_err("closed").kind());
}

#[test]
fn the_same_text_loaded_again_stands_beside_the_first() {
    let lua = lua();
    let text = "local n = 0 require('polyhost').export('a/Count', function() n = n + 1 return tostring(n) end)";
    let (first, second) = (load(&lua, text), load(&lua, text));
    assert_eq!(b"1", call(&*first, "a/Count", b"").expect("a reply").as_slice());
    assert_eq!(b"2", call(&*first, "a/Count", b"").expect("a reply").as_slice());
    assert_eq!(b"1", call(&*second, "a/Count", b"").expect("a reply").as_slice());
    assert_eq!(UnloadVerdict::Unloaded, first.unload(Duration::ZERO));
    assert_eq!(b"2", call(&*second, "a/Count", b"").expect("a reply").as_slice());
}
