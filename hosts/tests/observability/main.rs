//! Spans, events and metrics of calls into the real runtimes; `bridge/docs/observability.md` says what they are.

mod measured;
mod seen;
#[path = "../subjects/mod.rs"]
mod subjects;

use std::future::Future;
use std::sync::{Arc, OnceLock};

use polyhost::native::{NativeModule, function};
use polyhost::{
    Bytes, CallContext, Export, Function, LoadOptions, Method, Module, ModuleSource, Output, Result, Runtime, Services,
    TraceParent,
};
use polyhost_proto::conformance::v1::{CallServiceReply, CallServiceRequest, FailRequest, LogRequest, Nothing};
use prost::Message;

const CALL_SERVICE: Method<CallServiceRequest, CallServiceReply> =
    Method::new("conformance.v1.Conformance/CallService");
const FAIL: Method<FailRequest, Nothing> = Method::new("conformance.v1.Conformance/Fail");
const LOG: Method<LogRequest, Nothing> = Method::new("conformance.v1.Conformance/Log");
const ECHO: &str = "raw/Echo";

#[derive(Debug, Clone, Copy)]
enum How {
    Here,
    Awaited,
}

/// Calls, either way.
fn call(how: How, module: &dyn Module, export: &str, cx: &CallContext, input: &[u8]) -> Result<Vec<u8>> {
    let function = module.function(export)?;
    match how {
        How::Here => {
            let mut output = Output::new();
            function.call(cx, input, &mut output)?;
            Ok(output.into_vec())
        }
        How::Awaited => {
            let call = function.call_async(cx.clone(), Bytes::copy_from_slice(input));
            Ok(wait(call)?.to_vec())
        }
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("starts").block_on(future)
}

/// Before any runtime starts.
fn watch() {
    seen::watch();
    measured::watch();
}

/// Runs `check` with the conformance guest of every runtime there is, under a name of its own, called both ways.
fn with_each(test: &str, services: &Services, check: impl Fn(How, &str, &dyn Module, &dyn Runtime)) {
    watch();
    for subject in subjects::all() {
        let Some(runtime) = subject.require() else { continue };
        for how in [How::Here, How::Awaited] {
            let name = format!("{test} {} {how:?}", subject.name());
            let options = LoadOptions::new().name(&name).services(services.clone());
            let module = runtime.load(subject.conformance(), &options).unwrap_or_else(|e| panic!("{name}: {e:?}"));
            check(how, &name, &*module, &**runtime);
        }
    }
}

/// The one span of a module's calls, which has ended.
#[track_caller]
fn only_span(module: &str) -> seen::Seen {
    let mut spans = seen::spans_of(module);
    assert_eq!(1, spans.len(), "{module}: {spans:?}");
    let span = spans.remove(0);
    assert!(span.is_closed, "{span:?}");
    span
}

#[test]
fn a_call_has_a_span_with_what_it_took() {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let cx = CallContext::none().with_trace(TraceParent::parse(parent.as_bytes()).expect("is good"), "");
    with_each("took", &Services::new(), |how, name, module, runtime| {
        call(how, module, ECHO, &cx, b"hello").expect("echoes");
        let span = only_span(name);
        let told = ["runtime", "export", "trace_id", "bytes_in", "bytes_out", "error"].map(|field| span.field(field));
        assert_eq!([runtime.info().name, ECHO, trace, "5", "5", ""], told, "{span:?}");
        assert!(span.number("guest_ns") > 0 && span.number("waiting_ns") < u64::MAX, "{span:?}");
    });
}

#[test]
fn a_failure_is_told_by_its_kind() {
    with_each("failure", &Services::new(), |how, name, module, _| {
        let request = FailRequest { message: "as told".into(), ..FailRequest::default() };
        call(how, module, FAIL.name(), &CallContext::none(), &request.encode_to_vec()).expect_err("fails");
        let span = only_span(name);
        // Native code has no exceptions of its own.
        assert!(["guest", "internal"].contains(&span.field("error")) && span.field("bytes_out") == "0", "{span:?}");
    });
}

#[test]
fn a_refused_call_has_a_span_too() {
    with_each("refused", &Services::new(), |how, name, module, _| {
        let token = polyhost::CancelToken::new();
        token.cancel();
        let cx = CallContext::none().with_cancel(&token);
        call(how, module, ECHO, &cx, b"").expect_err("is cancelled");
        // A worker does not begin what is cancelled.
        if let Some(span) = seen::spans_of(name).first() {
            assert_eq!("cancelled", span.field("error"), "{span:?}");
        }
    });
}

#[test]
fn lines_of_a_guest_are_events_in_the_span_of_their_call() {
    with_each("lines", &Services::new(), |how, name, module, _| {
        let request = LogRequest { level: "warn".into(), message: "a line".into() };
        call(how, module, LOG.name(), &CallContext::none(), &request.encode_to_vec()).expect("logs");
        let events = seen::events_of(name);
        let [line] = &*events else { panic!("{name}: {events:?}") };
        assert_eq!((LOG.name(), "a line"), (line.field("call"), line.field("message")), "{line:?}");
        assert_eq!(Some(LOG.name()), line.outer.get("export").map(String::as_str), "{line:?}");
    });
}

#[test]
fn the_call_of_a_service_is_in_the_span_of_the_guest_that_calls() {
    let inner = NativeModule::builder("inner service").export(Export::bytes("inner"), |_, _, _| Ok(()));
    let inner = inner.build().expect("one export");
    let mut services = Services::new();
    services.link(&*inner).expect("is the only one");
    with_each("outer", &services, |how, name, module, _| {
        let request = CallServiceRequest { service: "inner".into(), ..CallServiceRequest::default() };
        call(how, module, CALL_SERVICE.name(), &CallContext::none(), &request.encode_to_vec()).expect("calls");
        only_span(name);
        let inside = |span: &&seen::Seen| span.outer.get("module").is_some_and(|module| module == name);
        assert_eq!(1, seen::spans_of("inner service").iter().filter(inside).count(), "{name}");
    });
}

#[test]
fn a_call_that_goes_on_elsewhere_takes_its_span_along() {
    watch();
    let sources = [("cpython", "elsewhere.py", PYTHON), ("clr", "Elsewhere.cs", CSHARP)];
    for subject in subjects::all() {
        let Some((_, file, text)) = sources.iter().find(|(name, ..)| *name == subject.name()) else { continue };
        let Some(runtime) = subject.require() else { continue };
        for how in [How::Here, How::Awaited] {
            let name = format!("elsewhere {} {how:?}", subject.name());
            let source = ModuleSource::Text { name: (*file).into(), text: (*text).into() };
            let module = runtime.load(&source, &LoadOptions::new().name(&name)).unwrap_or_else(|e| panic!("{e:?}"));
            call(how, &*module, "elsewhere", &CallContext::none(), b"").expect("logs");
            let events = seen::events_of(&name);
            let [line] = &*events else { panic!("{name}: {events:?}") };
            assert_eq!("elsewhere", line.field("call"), "{line:?}");
            assert_eq!(Some(&name), line.outer.get("module"), "{line:?}");
        }
    }
}

const PYTHON: &str = "
import asyncio
from polyhost import export, log

@export('elsewhere')
async def elsewhere(request: bytes) -> bytes:
    await asyncio.sleep(0)
    log('info', 'elsewhere')
    return request
";

const CSHARP: &str = r#"
using System.Threading.Tasks;
using Polyhost;

public static class Elsewhere
{
    [Export("elsewhere")]
    public static async Task<byte[]> Run(byte[] input, CallContext context)
    {
        await Task.Yield();
        Log.Info("elsewhere");
        return input;
    }
}
"#;

#[test]
fn waiting_for_a_vm_is_not_the_guests_time() {
    watch();
    let Some(subject) = subjects::all().into_iter().find(|subject| subject.name() == "luajit") else { return };
    let Some(runtime) = subject.require() else { return };
    wait_in_vain(&**runtime, "waits");
    let spans = seen::spans_of("waits");
    let waited = spans.iter().find(|span| span.field("error") == "exhausted").expect("one call waited in vain");
    assert!(waited.number("waiting_ns") >= 1_000_000, "{waited:?}");
}

/// Has a call hold the module's only VM while another waits for it, a millisecond, as long as it may.
fn wait_in_vain(runtime: &dyn Runtime, name: &str) {
    let other = Arc::new(OnceLock::<Arc<dyn Function>>::new());
    let mut services = Services::new();
    let waits = other.clone();
    let service = function(Export::bytes("wait"), move |_, _, _| {
        let echo = waits.get().expect("set before").clone();
        let waiter = std::thread::spawn(move || echo.call(&CallContext::none(), b"", &mut Output::new()));
        waiter.join().expect("no panic").expect_err("there is no other VM");
        Ok(())
    });
    services.add(service).expect("is the only one");
    let text = "local polyhost = require 'polyhost'
        local wait = polyhost.service('wait')
        polyhost.export('echo', function(request) return request end)
        polyhost.export('hold', function() return wait('') end)";
    let source = ModuleSource::Text { name: "waits.lua".into(), text: text.into() };
    let options = LoadOptions::new().name(name).services(services).option("wait", "1ms");
    let module = runtime.load(&source, &options).expect("loads");
    let _ = other.set(module.function("echo").expect("is exported"));
    call(How::Here, &*module, "hold", &CallContext::none(), b"").expect("holds");
}
