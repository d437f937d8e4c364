//! Starting and ending, and what ends the process: each in a process of its own.

mod common;

use std::time::Duration;

use common::{ask, call, function, in_child, in_good_child, load, load_with, log, python, text};
use polyhost_bridge::{CallContext, ErrorKind, Export, LoadOptions, ModuleSource, Output, Services, UnloadVerdict};
use polyhost_cpython::{Cpython, CpythonConfig};

const PATIENCE: Duration = Duration::from_secs(60);
const ECHO: &str = "from polyhost import export\n@export('echo')\ndef echo(data: bytes) -> bytes:\n    return data\n";

#[test]
fn starts_once_with_one_configuration() {
    if !in_good_child("starts_once_with_one_configuration") {
        return;
    }
    // A mistake can be mended: nothing has been started by then.
    let error = Cpython::start(&CpythonConfig::new().venv("/nowhere")).expect_err("is not there");
    assert_eq!(ErrorKind::Config, error.kind());
    let first = Cpython::start(&CpythonConfig::new()).expect("starts");
    let again = Cpython::start(&CpythonConfig::new()).expect("is the same");
    assert!(std::sync::Arc::ptr_eq(&first, &again));
    let error = Cpython::start(&CpythonConfig::new().dev_mode()).expect_err("is another");
    assert_eq!(ErrorKind::Config, error.kind());
    assert!(error.to_string().contains("dev_mode is false there and true here"), "{error}");
    let info = first.info();
    assert_eq!(("py", "CPython"), (info.scheme, info.name));
    assert!(info.location.as_ref().is_some_and(|file| file.display().to_string().contains("libpython")), "{info:?}");
}

#[test]
fn is_isolated_and_in_its_environment() {
    if !in_good_child("is_isolated_and_in_its_environment") {
        return;
    }
    let folder = common::Folder::new("search_path", &[("shared_by_all.py", "NAME = 'shared'\n")]);
    let config = CpythonConfig::new().search_path(folder.path()).switch_interval(Duration::from_millis(1));
    let python = Cpython::start(&config).expect("starts");
    let guest = "
import sys, shared_by_all, signal, threading
from polyhost import export

@export('f')
def f(data: bytes) -> bytes:
    assert sys.flags.isolated and sys.flags.no_user_site and sys.dont_write_bytecode
    assert '' not in sys.path
    assert sys.getswitchinterval() == 0.001
    assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL, signal.getsignal(signal.SIGINT)
    return shared_by_all.NAME.encode()
";
    let module = python.load(&text(guest), &LoadOptions::new()).unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!("shared", ask(&*module, "f", ""));
}

#[test]
fn everything_may_be_dropped_after_the_end() {
    if !in_good_child("everything_may_be_dropped_after_the_end") {
        return;
    }
    let (lines, sink) = log();
    let runtime = python();
    let module = load_with(
        "
import asyncio, atexit, threading
from polyhost import CallContext, export

kept = []
atexit.register(print, 'at exit')

@export('echo')
def echo(data: bytes, context: CallContext) -> bytes:
    kept.append(context)
    return data

@export('later')
async def later(data: bytes) -> bytes:
    await asyncio.sleep(0)
    return data

def forever():
    while True:
        pass

threading.Thread(target=forever, daemon=True).start()
",
        &LoadOptions::new().log(sink),
    );
    let (echo, later) = (function(&*module, "echo"), function(&*module, "later"));
    for function in [&echo, &later] {
        function.call(&CallContext::none(), b"x", &mut Output::new()).expect("is alive");
    }
    // A thread that has a kept state and outlives Python.
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let (ready, is_ready) = std::sync::mpsc::channel();
    let for_thread = echo.clone();
    let thread = std::thread::spawn(move || {
        for_thread.call(&CallContext::none(), b"x", &mut Output::new()).expect("is alive");
        ready.send(()).expect("the test waits");
        gone.recv().expect("the test says go");
        for_thread.call(&CallContext::none(), b"x", &mut Output::new()).map_err(|error| error.kind())
    });
    is_ready.recv().expect("the thread has called");
    runtime.shutdown(PATIENCE).expect("nobody is inside");
    go.send(()).expect("the thread waits");
    assert_eq!(Err(ErrorKind::Closed), thread.join().expect("no panic"));
    assert_eq!(ErrorKind::Closed, call(&*module, "echo", b"").expect_err("has ended").kind());
    assert_eq!(ErrorKind::Closed, runtime.load(&text(ECHO), &LoadOptions::new()).expect_err("has ended").kind());
    assert_eq!(ErrorKind::Closed, Cpython::start(&CpythonConfig::new()).expect_err("has ended").kind());
    assert_eq!(UnloadVerdict::Unloaded, module.unload(PATIENCE));
    drop((echo, later, module, runtime));
    assert!(lines.lock().expect("no panic").len() <= 1);
}

#[test]
fn the_end_waits_for_threads_that_are_no_daemons() {
    if !in_good_child("the_end_waits_for_threads_that_are_no_daemons") {
        return;
    }
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let runtime = python();
    let module = load(&format!(
        "
import os, threading
from polyhost import export

@export('start')
def start(data: bytes) -> bytes:
    # Python makes a thread a daemon where the one that starts it is, as threads of the host are.
    threading.Thread(target=os.read, args=({}, 1), daemon=False).start()
    return data
",
        std::os::fd::AsRawFd::as_raw_fd(&reader)
    ));
    call(&*module, "start", b"").expect("starts a thread");
    let error = runtime.shutdown(Duration::from_millis(20)).expect_err("the thread waits");
    assert_eq!(ErrorKind::DeadlineExceeded, error.kind());
    assert_eq!(ErrorKind::Closed, call(&*module, "start", b"").expect_err("is ending").kind());
    std::io::Write::write_all(&mut &writer, b"x").expect("the pipe takes it");
    runtime.shutdown(PATIENCE).expect("the thread has ended");
    runtime.shutdown(Duration::ZERO).expect("again does nothing");
}

#[test]
fn services_may_load_and_unload() {
    if !in_good_child("services_may_load_and_unload") {
        return;
    }
    let mut services = Services::new();
    let nested = polyhost_native::function(Export::bytes("nested"), |cx, input, output| {
        let module = python().load(&text(ECHO), &LoadOptions::new())?;
        module.function("echo")?.call(cx, input, output)?;
        assert_eq!(UnloadVerdict::Unloaded, module.unload(PATIENCE));
        Ok(())
    });
    services.add(nested).expect("new");
    let module = load_with(
        "from polyhost import export, service\nnested = service('nested')\nfirst = nested(b'loading')\n@export('f')\ndef f(data: bytes) -> bytes:\n    return first + nested(data)\n",
        &LoadOptions::new().services(services),
    );
    assert_eq!("loading calling", ask(&*module, "f", " calling"));
    python().shutdown(PATIENCE).expect("nobody is inside");
}

#[test]
fn child_processes_of_guest_and_host_are_told_apart() {
    if !in_good_child("child_processes_of_guest_and_host_are_told_apart") {
        return;
    }
    let module = load(
        "import subprocess\nfrom polyhost import export\n@export('run')\ndef run(data: bytes) -> bytes:\n    return str(subprocess.run(['sh', '-c', 'exit 7']).returncode).encode()\n",
    );
    std::thread::scope(|scope| {
        scope.spawn(|| (0..20).for_each(|_| assert_eq!("7", ask(&*module, "run", ""))));
        for _ in 0..20 {
            let status = std::process::Command::new("sh").args(["-c", "exit 3"]).status().expect("every Unix has it");
            assert_eq!(Some(3), status.code());
        }
    });
}

#[test]
fn a_guest_can_end_the_process_by_os_exit() {
    let Some(child) = in_child("a_guest_can_end_the_process_by_os_exit") else {
        let module = load(
            "import os\nfrom polyhost import export\n@export('f')\ndef f(data: bytes) -> bytes:\n    os._exit(9)\n",
        );
        let _ = call(&*module, "f", b"");
        unreachable!("it has exited");
    };
    assert_eq!(Some(9), child.status.code(), "{child:?}");
}

#[test]
fn a_fault_in_c_ends_the_process_by_a_signal() {
    use std::os::unix::process::ExitStatusExt;

    let Some(child) = in_child("a_fault_in_c_ends_the_process_by_a_signal") else {
        let module = load(
            "import ctypes\nfrom polyhost import export\n@export('f')\ndef f(data: bytes) -> bytes:\n    return ctypes.string_at(0)\n",
        );
        let _ = call(&*module, "f", b"");
        unreachable!("it has crashed");
    };
    assert_eq!(Some(libc::SIGSEGV), child.status.signal(), "{child:?}");
}

#[test]
fn a_guest_may_have_an_interpreter_of_its_own_without_polyhost() {
    if !in_good_child("a_guest_may_have_an_interpreter_of_its_own_without_polyhost") {
        return;
    }
    let module = load(
        "
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
from polyhost import export

@export('run')
def run(code: bytes) -> bytes:
    own = interpreters.create()
    try:
        # Raises up to 3.12, returns what was raised from then on.
        raised = interpreters.run_string(own, code.decode())
        return (str(raised.formatted) if raised else 'done').encode()
    except interpreters.RunFailedError as error:
        return str(error).encode()
    finally:
        interpreters.destroy(own)

@export('echo')
def echo(data: bytes) -> bytes:
    return data
",
    );
    for _ in 0..3 {
        assert_eq!("done", ask(&*module, "run", "assert sum(range(10)) == 45"));
        let refused = ask(&*module, "run", "import polyhost");
        assert!(refused.contains("No module named 'polyhost'"), "{refused}");
        assert_eq!("x", ask(&*module, "echo", "x"));
    }
    python().shutdown(PATIENCE).expect("nobody is inside");
}

#[test]
fn sources_of_every_kind_load_by_the_registrys_names() {
    if !in_good_child("sources_of_every_kind_load_by_the_registrys_names") {
        return;
    }
    let folder = common::Folder::new("kinds", &[("guest.py", ECHO), ("package/__init__.py", ECHO)]);
    let by_path = LoadOptions::new().option("path", folder.path().display().to_string());
    for (source, options) in [
        (folder.file("guest.py"), LoadOptions::new()),
        (folder.file("package"), LoadOptions::new()),
        (ModuleSource::Name("guest".into()), by_path.clone()),
        (ModuleSource::Name("package".into()), by_path),
    ] {
        let module = python().load(&source, &options).unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!("x", ask(&*module, "echo", "x"));
    }
}
