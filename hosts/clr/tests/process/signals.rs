//! The host's signal handlers, before and after .NET has started.

use std::arch::asm;
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

use polyhost_bridge::{LoadOptions, ModuleSource};

use crate::common::{call, load, start};
use crate::{Case, Exit, case, dies};

const SIGNALS: [libc::c_int; 5] = [libc::SIGINT, libc::SIGTERM, libc::SIGQUIT, libc::SIGHUP, libc::SIGUSR1];

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("signals::handlers_from_before_the_start_fire", || {
            let seen = listen(&SIGNALS);
            let module = load(&*start());
            use_dotnet(&*module);
            SIGNALS.into_iter().for_each(|signal| expect(signal, seen));
            use_dotnet(&*module);
            SIGNALS.into_iter().for_each(|signal| expect(signal, seen));
        }),
        case("signals::handlers_from_after_the_start_fire", || {
            let module = load(&*start());
            use_dotnet(&*module);
            let seen = listen(&SIGNALS);
            SIGNALS.into_iter().for_each(|signal| expect(signal, seen));
            use_dotnet(&*module);
        }),
        case("signals::the_end_of_a_child_process_is_told", || {
            let seen = listen(&[libc::SIGCHLD]);
            let module = load(&*start());
            use_dotnet(&*module);
            let status = std::process::Command::new("true").status().expect("started");
            assert!(status.success());
            assert_eq!(libc::SIGCHLD, wait(seen));
        }),
        // From when a guest starts processes of its own, .NET listens too.
        case("signals::the_end_of_a_child_process_is_told_beside_those_of_a_guest", || {
            let seen = listen(&[libc::SIGCHLD]);
            let runtime = start();
            let text = "using Polyhost; using System.Diagnostics;\n\
                static class Guest { [Export(\"run\")] static void Run(ReadOnlySpan<byte> input, Output output) {\n\
                using var process = Process.Start(\"true\"); process.WaitForExit(); output.Write([(byte)process.ExitCode]); } }";
            let source = ModuleSource::Text { name: "child.cs".into(), text: text.into() };
            let module = runtime.load(&source, &LoadOptions::new()).unwrap_or_else(|error| panic!("{error:?}"));
            for _ in 0..10 {
                assert_eq!([0], *call(&*module, "run", b"").expect("runs"));
                assert_eq!(libc::SIGCHLD, wait(seen));
                assert!(std::process::Command::new("true").status().expect("started").success());
                assert_eq!(libc::SIGCHLD, wait(seen));
            }
        }),
        case("signals::a_process_that_goes_on_is_told_beside_a_guest_that_listens", || {
            let seen = listen(&[libc::SIGCONT]);
            let runtime = start();
            let text = "using Polyhost; using System.Runtime.InteropServices;\n\
                static class Guest { static readonly SemaphoreSlim s_told = new(0); static object? s_kept;\n\
                [Export(\"listen\")] static byte[] Listen(byte[] input) { s_kept = PosixSignalRegistration.Create(PosixSignal.SIGCONT, _ => s_told.Release()); return []; }\n\
                [Export(\"wait\")] static byte[] Wait(byte[] input) { s_told.Wait(); return []; } }";
            let source = ModuleSource::Text { name: "listener.cs".into(), text: text.into() };
            let module = runtime.load(&source, &LoadOptions::new()).unwrap_or_else(|error| panic!("{error:?}"));
            expect(libc::SIGCONT, seen);
            call(&*module, "listen", b"").expect("listens");
            for _ in 0..3 {
                expect(libc::SIGCONT, seen);
                call(&*module, "wait", b"").expect("is told");
            }
        }),
        case("signals::a_guest_that_listens_keeps_what_it_cancels_and_hands_on_the_rest", || {
            let seen = listen(&[libc::SIGTERM, libc::SIGHUP]);
            let runtime = start();
            let text = "using Polyhost; using System.Runtime.InteropServices;\n\
                static class Guest { static readonly List<object> s_kept = []; static readonly SemaphoreSlim s_told = new(0);\n\
                static void Listen(PosixSignal signal, bool cancel) => s_kept.Add(PosixSignalRegistration.Create(signal, context => {\n\
                context.Cancel = cancel; s_told.Release(); }));\n\
                [Export(\"listen\")] static byte[] Listen(byte[] input) { Listen(PosixSignal.SIGTERM, true); Listen(PosixSignal.SIGHUP, false); return []; }\n\
                [Export(\"wait\")] static byte[] Wait(byte[] input) { s_told.Wait(); return []; } }";
            let source = ModuleSource::Text { name: "listener.cs".into(), text: text.into() };
            let module = runtime.load(&source, &LoadOptions::new()).unwrap_or_else(|error| panic!("{error:?}"));
            call(&*module, "listen", b"").expect("listens");
            raise(libc::SIGTERM);
            call(&*module, "wait", b"").expect("is told");
            raise(libc::SIGHUP);
            call(&*module, "wait", b"").expect("is told");
            assert_eq!(libc::SIGHUP, wait(seen));
        }),
        // .NET takes it for itself, and tells its own from those of others by the process that sends it.
        case("signals::sigrtmin_of_others_reaches_a_handler_from_before_the_start", || {
            let seen = listen(&[libc::SIGRTMIN()]);
            let runtime = start();
            use_dotnet(&*load(&*runtime));
            for _ in 0..3 {
                let send = format!("kill -{} $PPID", libc::SIGRTMIN());
                assert!(std::process::Command::new("sh").args(["-c", &send]).status().expect("started").success());
                assert_eq!(libc::SIGRTMIN(), wait(seen));
                use_dotnet(&*load(&*runtime));
            }
        }),
        dies(
            "signals::a_fault_of_native_code_reaches_the_handler_from_before_the_start",
            // SAFETY: none; that is the fault.
            || hand_on(libc::SIGSEGV, || unsafe { _ = libc::strlen(std::hint::black_box(ptr::null())) }),
            is_handed_on,
        ),
        dies(
            "signals::a_division_by_zero_of_native_code_reaches_the_handler_from_before_the_start",
            || {
                hand_on(libc::SIGFPE, || {
                    // SAFETY: the process ends by it; else three registers are lost, and it says which.
                    unsafe { asm!("div {:e}", in(reg) 0, inout("eax") 1 => _, inout("edx") 0 => _) };
                });
            },
            is_handed_on,
        ),
        dies(
            "signals::an_illegal_instruction_of_native_code_reaches_the_handler_from_before_the_start",
            // SAFETY: the process ends by it.
            || hand_on(libc::SIGILL, || unsafe { asm!("ud2") }),
            is_handed_on,
        ),
        dies(
            "signals::a_breakpoint_of_native_code_reaches_the_handler_from_before_the_start",
            // SAFETY: the process ends by it; else nothing is changed.
            || hand_on(libc::SIGTRAP, || unsafe { asm!("int3") }),
            is_handed_on,
        ),
        dies(
            "signals::a_file_that_was_cut_short_reaches_the_handler_from_before_the_start",
            || hand_on(libc::SIGBUS, read_behind_the_end),
            is_handed_on,
        ),
        dies(
            "signals::an_abort_of_native_code_reaches_the_handler_from_before_the_start",
            // SAFETY: ends the process, and needs nothing.
            || hand_on(libc::SIGABRT, || unsafe { libc::abort() }),
            is_handed_on,
        ),
        dies(
            "signals::sigterm_without_a_handler_ends_the_process",
            || {
                use_dotnet(&*load(&*start()));
                raise(libc::SIGTERM);
                // The signal is for the process; whichever thread gets it, this one must not end first.
                loop {
                    std::thread::park();
                }
            },
            |exit| assert_eq!(Some(libc::SIGTERM), exit.signal(), "{exit}"),
        ),
    ]
}

/// Sets a handler that ends the process in an orderly way, starts .NET, and commits a fault in code of the host's.
fn hand_on(signal: libc::c_int, fault: fn()) {
    // SAFETY: zeroes are a valid sigaction without flags and mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = leave as *const () as usize;
    action.sa_flags = libc::SA_ONSTACK;
    // SAFETY: `leave` ends the process and does nothing else.
    assert_eq!(0, unsafe { libc::sigaction(signal, &action, ptr::null_mut()) });
    use_dotnet(&*load(&*start()));
    fault();
}

fn is_handed_on(exit: &Exit) {
    assert_eq!(Some(LEFT), exit.code(), "{exit}");
}

/// Reads from a page that is mapped from a file with nothing in it.
fn read_behind_the_end() {
    // SAFETY: a new file and a new mapping, which nobody else knows of. To read it is the fault.
    unsafe {
        let file = libc::memfd_create(c"empty".as_ptr(), 0);
        let page = libc::mmap(ptr::null_mut(), 4096, libc::PROT_READ, libc::MAP_SHARED, file, 0);
        assert_ne!(libc::MAP_FAILED, page);
        page.cast::<u8>().read_volatile();
    }
}

/// The exit code of [`leave`].
const LEFT: libc::c_int = 3;

extern "C" fn leave(_signal: libc::c_int) {
    // SAFETY: is allowed in a signal handler.
    unsafe { libc::_exit(LEFT) }
}

fn use_dotnet(module: &dyn polyhost_bridge::Module) {
    assert_eq!(b"hi", &*call(module, "raw/Echo", b"hi").expect("echoes"));
}

fn expect(signal: libc::c_int, seen: libc::c_int) {
    raise(signal);
    assert_eq!(signal, wait(seen));
}

fn raise(signal: libc::c_int) {
    // SAFETY: a signal to this very process.
    assert_eq!(0, unsafe { libc::kill(libc::getpid(), signal) });
}

/// Where the handler writes the numbers of signals.
static PIPE: AtomicI32 = AtomicI32::new(-1);

/// Installs a handler and gives the end of the pipe to read from.
fn listen(signals: &[libc::c_int]) -> libc::c_int {
    let mut ends = [0; 2];
    // SAFETY: writes two descriptors to `ends`.
    assert_eq!(0, unsafe { libc::pipe(ends.as_mut_ptr()) });
    PIPE.store(ends[1], Ordering::SeqCst);
    for signal in signals {
        // SAFETY: zeroes are a valid sigaction without flags and mask.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = handle as *const () as usize;
        action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
        // SAFETY: `handle` does what a handler may do.
        assert_eq!(0, unsafe { libc::sigaction(*signal, &action, ptr::null_mut()) });
    }
    ends[0]
}

extern "C" fn handle(signal: libc::c_int) {
    let number = signal as u8;
    // SAFETY: write(2) may be called in a handler; the byte is on its stack.
    unsafe { libc::write(PIPE.load(Ordering::SeqCst), (&raw const number).cast(), 1) };
}

fn wait(pipe: libc::c_int) -> libc::c_int {
    let mut number = 0_u8;
    // SAFETY: reads one byte into `number`.
    let read = unsafe { libc::read(pipe, (&raw mut number).cast(), 1) };
    assert_eq!(1, read);
    number.into()
}
