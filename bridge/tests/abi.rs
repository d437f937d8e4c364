//! What a guest may rely on that uses one call on several threads.

use std::cell::Cell;
use std::sync::{Arc, Barrier};

use polyhost_bridge::abi::sys::{PolyhostCall, PolyhostGuest, PolyhostOutput, PolyhostSlice, PolyhostStatus};
use polyhost_bridge::abi::{self, GuestModule};
use polyhost_bridge::{CallContext, CancelToken, Code, Error, LogSink, Output, Services};

/// A call, for other threads too, as `polyhost.h` allows it.
#[derive(Clone, Copy)]
struct Call(*mut PolyhostCall);

// SAFETY: the functions of the host take it on any thread.
unsafe impl Send for Call {}

impl Call {
    fn watch(self) -> u64 {
        // SAFETY: the call is not over.
        unsafe { abi::host().watch.expect("in version 1.0")(self.0) }
    }

    /// Asks for a service that is not there.
    fn fail(self, name: &str) {
        let mut id = 0;
        // SAFETY: the call is not over; the name and the id outlive this.
        let status =
            unsafe { abi::host().service_find.expect("in version 1.0")(self.0, abi::slice(name.as_bytes()), &mut id) };
        assert_eq!(Code::NotFound.number(), status);
    }

    /// The last failure of this thread: its line as the host lends it, and its report.
    fn service_error(self) -> Option<(PolyhostSlice, Error)> {
        let (mut report, mut line) = (Output::new(), abi::slice(&[]));
        let fetch = abi::host().service_error.expect("in version 1.0");
        // SAFETY: the call is not over; the report and the line outlive this.
        let status = unsafe { fetch(self.0, abi::output_pointer(&mut report), &mut line) };
        (status == abi::OK).then(|| (line, Error::from_report(&report).expect("a report")))
    }
}

fn text(line: PolyhostSlice) -> String {
    // SAFETY: lent to this thread, which has not called the host since.
    String::from_utf8_lossy(unsafe { abi::bytes(line) }).into_owned()
}

thread_local! {
    static GUEST: Cell<Option<fn(Call)>> = const { Cell::new(None) };
}

/// Makes a call that can be cancelled, whose guest is `run`.
fn guest(run: fn(Call)) {
    unsafe extern "C" fn enter(
        _: u64,
        call: *mut PolyhostCall,
        _: *const u8,
        _: usize,
        _: *mut PolyhostOutput,
    ) -> PolyhostStatus {
        // A failed assertion must not leave this function.
        let run = GUEST.take().expect("set below");
        match std::panic::catch_unwind(|| run(Call(call))) {
            Ok(()) => abi::OK,
            Err(_) => Code::Internal.number(),
        }
    }
    unsafe extern "C" fn cancel(_: u64) {}
    // SAFETY: zeroes are valid for integers, null pointers, empty slices and functions that are not there.
    let mut table: PolyhostGuest = unsafe { std::mem::zeroed() };
    table.call = Some(enter);
    table.cancel = Some(cancel);
    let module = GuestModule::new("test", Services::new(), LogSink::default());
    let cx = CallContext::none().with_cancel(&CancelToken::new());
    GUEST.set(Some(run));
    // SAFETY: the guest is here and keeps the contract.
    unsafe { abi::call(&table, 0, &module, &cx, b"", &mut Output::new()) }.expect("goes well");
}

#[test]
fn threads_that_watch_one_call_get_one_id() {
    for _ in 0..200 {
        guest(|call| {
            let start = Arc::new(Barrier::new(4));
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let start = start.clone();
                    std::thread::spawn(move || {
                        start.wait();
                        call.watch()
                    })
                })
                .collect();
            let ids: Vec<_> = threads.into_iter().map(|thread| thread.join().expect("no panic")).collect();
            assert!(ids[0] != 0 && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        });
    }
}

#[test]
fn each_thread_has_its_own_failure_of_a_service() {
    guest(|call| {
        call.fail("one");
        let (line, _) = call.service_error().expect("has failed");
        let other = std::thread::spawn(move || {
            assert!(call.service_error().is_none());
            call.fail("two");
            let (line, report) = call.service_error().expect("has failed");
            assert!(text(line).contains("two") && report.to_string().contains("two"), "{report}");
        });
        other.join().expect("no panic");
        // What the host lent before is still there, and still what it was.
        assert!(text(line).contains("one"));
        let (_, report) = call.service_error().expect("has failed");
        assert!(report.to_string().contains("one"), "{report}");
    });
}

#[test]
fn a_call_does_not_wait_for_a_cancel_that_may_come_late() {
    static WATCHED: Barrier = Barrier::new(2);
    static INSIDE: Barrier = Barrier::new(2);
    static LEAVE: Barrier = Barrier::new(2);
    unsafe extern "C" fn enter(
        _: u64,
        call: *mut PolyhostCall,
        _: *const u8,
        _: usize,
        _: *mut PolyhostOutput,
    ) -> PolyhostStatus {
        Call(call).watch();
        WATCHED.wait();
        INSIDE.wait();
        abi::OK
    }
    unsafe extern "C" fn cancel(_: u64) {
        INSIDE.wait();
        LEAVE.wait();
    }
    // SAFETY: zeroes are valid for integers, null pointers, empty slices and functions that are not there.
    let mut table: PolyhostGuest = unsafe { std::mem::zeroed() };
    table.call = Some(enter);
    table.cancel = Some(cancel);
    let module = GuestModule::new("test", Services::new(), LogSink::default()).late_cancels();
    let token = CancelToken::new();
    let cx = CallContext::none().with_cancel(&token);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            WATCHED.wait();
            token.cancel();
        });
        // SAFETY: the guest is here and keeps the contract.
        unsafe { abi::call(&table, 0, &module, &cx, b"", &mut Output::new()) }.expect("goes well");
        // The cancel is still inside the guest.
        LEAVE.wait();
    });
}
