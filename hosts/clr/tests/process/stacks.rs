//! Signal stacks: the fault that a null dereference is, on a stack as small as it is on other machines.

use std::ptr;
use std::sync::Arc;

use polyhost_bridge::{Bytes, CallContext, ErrorKind, Module};
use polyhost_proto::conformance::v1::MisbehaveRequest;
use polyhost_proto::conformance::v1::misbehave_request::Deed;
use prost::Message;

use crate::common::{load, start};
use crate::{Case, MISBEHAVE, case, dies, misbehave};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("stacks::a_null_dereference_is_an_error_on_the_main_thread", || {
            small_signal_stack();
            expect_null_reference(&*load(&*start()));
        }),
        case("stacks::a_null_dereference_is_an_error_on_other_threads", || {
            let module = load(&*start());
            let on_a_thread = |module: Arc<dyn Module>| {
                move || {
                    small_signal_stack();
                    expect_null_reference(&*module);
                }
            };
            std::thread::spawn(on_a_thread(module.clone())).join().expect("no panic");
            let threads: Vec<_> = (0..8).map(|_| std::thread::spawn(on_a_thread(module.clone()))).collect();
            threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        }),
        case("stacks::a_null_dereference_is_an_error_on_a_worker", || {
            let function = load(&*start()).function(MISBEHAVE.name()).expect("is exported");
            let input = Bytes::from(MisbehaveRequest { deed: Deed::Null.into() }.encode_to_vec());
            let (answer, answered) = std::sync::mpsc::channel();
            polyhost_bridge::workers::shared()
                .spawn(move || {
                    small_signal_stack();
                    let mut output = polyhost_bridge::Output::new();
                    let outcome = function.call(&CallContext::none(), &input, &mut output);
                    answer.send(outcome).expect("the test waits");
                })
                .expect("a worker");
            let error = answered.recv().expect("an answer").expect_err("null");
            assert_eq!(ErrorKind::Guest, error.kind(), "{error:?}");
        }),
        // What the guard is for. Where this passes without it, the processor needs little room; here the stack is
        // smaller than any needs.
        dies(
            "stacks::without_the_guard_a_null_dereference_is_the_end",
            || {
                let module = load(&*start());
                expect_null_reference(&*module);
                // The guard is put up once for a thread. This takes it away.
                small_signal_stack();
                let _ = misbehave(&*module, Deed::Null);
            },
            |exit| assert_eq!(Some(libc::SIGSEGV), exit.signal(), "{exit}"),
        ),
        case("stacks::what_was_there_before_comes_back_when_a_thread_ends", || {
            let module = load(&*start());
            // Rust takes its own stack away before this thread-local's destructor; another's stays.
            thread_local!(static LAST: OnDrop = const { OnDrop });
            struct OnDrop;
            impl Drop for OnDrop {
                fn drop(&mut self) {
                    let now = signal_stack();
                    assert!(now.ss_flags & libc::SS_DISABLE != 0 || now.ss_size == SMALL, "{}", now.ss_size);
                }
            }
            let thread = std::thread::spawn(move || {
                LAST.with(|_| ());
                small_signal_stack();
                expect_null_reference(&*module);
            });
            thread.join().expect("no panic");
        }),
    ]
}

fn expect_null_reference(module: &dyn Module) {
    for _ in 0..3 {
        let error = misbehave(module, Deed::Null).expect_err("a null dereference");
        assert_eq!(ErrorKind::Guest, error.kind(), "{error:?}");
        assert_eq!("System.NullReferenceException", error.guest().expect("raised").type_name);
    }
}

/// A page. With 8 KiB, as Rust gives, the test would fail on some processors only.
const SMALL: usize = 4096;

/// Above a page that faults, as Rust's is: what runs over it must not go unnoticed.
fn small_signal_stack() {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: new pages, wherever there is room.
    let pages = unsafe { libc::mmap(ptr::null_mut(), 2 * SMALL, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    assert_ne!(libc::MAP_FAILED, pages);
    // SAFETY: the first of the two; nobody uses it.
    assert_eq!(0, unsafe { libc::mprotect(pages, SMALL, libc::PROT_NONE) });
    let stack = libc::stack_t { ss_sp: pages.wrapping_byte_add(SMALL), ss_flags: 0, ss_size: SMALL };
    // SAFETY: the pages are never unmapped.
    assert_eq!(0, unsafe { libc::sigaltstack(&stack, ptr::null_mut()) });
}

fn signal_stack() -> libc::stack_t {
    let mut now = std::mem::MaybeUninit::uninit();
    // SAFETY: asks only, and writes to `now`.
    assert_eq!(0, unsafe { libc::sigaltstack(ptr::null(), now.as_mut_ptr()) });
    // SAFETY: written by the successful call.
    unsafe { now.assume_init() }
}
