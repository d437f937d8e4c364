//! What the tests share.
#![allow(dead_code, reason = "each test file uses a part")]

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use polyhost_bridge::{
    Bytes, CallContext, Error, Function, LoadOptions, LogLevel, LogSink, Module, ModuleSource, Output, Result, Runtime,
};
use polyhost_cpython::{Cpython, CpythonConfig};

pub(crate) fn python() -> Arc<dyn Runtime> {
    Cpython::start(&CpythonConfig::new()).unwrap_or_else(|error| panic!("{error:?}"))
}

pub(crate) fn text(text: &str) -> ModuleSource {
    ModuleSource::Text { name: "guest.py".into(), text: text.into() }
}

pub(crate) fn load(guest: &str) -> Arc<dyn Module> {
    load_with(guest, &LoadOptions::new())
}

pub(crate) fn load_with(guest: &str, options: &LoadOptions) -> Arc<dyn Module> {
    python().load(&text(guest), options).unwrap_or_else(|error| panic!("{error:?}"))
}

/// What loading fails with.
pub(crate) fn load_error(source: &ModuleSource) -> Error {
    python().load(source, &LoadOptions::new()).expect_err("it does not load")
}

pub(crate) fn function(module: &dyn Module, export: &str) -> Arc<dyn Function> {
    module.function(export).unwrap_or_else(|error| panic!("{error:?}"))
}

/// Calls an export without a deadline.
pub(crate) fn call(module: &dyn Module, export: &str, input: &[u8]) -> Result<Vec<u8>> {
    call_in(&CallContext::none(), module, export, input)
}

pub(crate) fn call_in(cx: &CallContext, module: &dyn Module, export: &str, input: &[u8]) -> Result<Vec<u8>> {
    let mut output = Output::new();
    module.function(export)?.call(cx, input, &mut output)?;
    Ok(output.into_vec())
}

/// Calls an export that has to succeed, and takes its reply for text.
pub(crate) fn ask(module: &dyn Module, export: &str, input: &str) -> String {
    let reply = call(module, export, input.as_bytes()).unwrap_or_else(|error| panic!("{error:?}"));
    String::from_utf8(reply).expect("text")
}

/// Waits for a future on this thread.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        std::thread::park();
    }
}

/// As [`ask`], by `call_async`.
pub(crate) fn ask_async(module: &dyn Module, export: &str, input: &str) -> String {
    let call = function(module, export).call_async(CallContext::none(), Bytes::copy_from_slice(input.as_bytes()));
    let reply = block_on(call).unwrap_or_else(|error| panic!("{error:?}"));
    String::from_utf8(reply.into()).expect("text")
}

/// Asks in both ways, which have to agree.
pub(crate) fn both(module: &dyn Module, export: &str, input: &str) -> String {
    let (reply, later) = (ask(module, export, input), ask_async(module, export, input));
    assert_eq!(reply, later, "{export}");
    reply
}

/// Lines as they arrive at a log: level, target, message.
pub(crate) type Lines = Arc<Mutex<Vec<(LogLevel, String, String)>>>;

/// A log, and what arrives there.
pub(crate) fn log() -> (Lines, LogSink) {
    let lines = Lines::default();
    let write = lines.clone();
    let sink = LogSink::new(move |record| {
        let line = (record.level, record.target.to_owned(), record.message.to_owned());
        write.lock().expect("no panic").push(line);
    });
    (lines, sink)
}

/// A folder with files, removed with the value.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str, files: &[(&str, &str)]) -> Folder {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        for (file, text) in files {
            let path = folder.join(file);
            std::fs::create_dir_all(path.parent().expect("it has one")).expect("can be made");
            std::fs::write(path, text).expect("can be written");
        }
        Folder(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self, name: &str) -> ModuleSource {
        ModuleSource::Path(self.0.join(name))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs the rest of the calling test in a process of its own, so that it may end it. `None` in the child.
pub(crate) fn in_child(test: &str) -> Option<std::process::Output> {
    const CHILD: &str = "POLYHOST_CPYTHON_CHILD";
    if std::env::var_os(CHILD).is_some() {
        return None;
    }
    let this = std::env::current_exe().expect("the test's own program");
    let output = std::process::Command::new(this)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .output()
        .expect("the test's own program starts");
    Some(output)
}

/// The same where the process is to end well, with nothing written but the test harness's own lines.
pub(crate) fn in_good_child(test: &str) -> bool {
    let Some(output) = in_child(test) else { return true };
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the child ended with {}: {text}", output.status);
    assert!(text.contains("1 passed"), "the child ran no test {test}: {text}");
    assert!(output.stderr.is_empty(), "the child wrote to stderr: {text}");
    false
}
