//! A steady call with bytes allocates nothing of the host's, whether it can be cancelled or not.
//!
//! Counted is what Rust's global allocator is asked for on the thread that calls. What a runtime keeps for itself does
//! not pass there: LuaJIT, CPython and the CLR allocate by the C library or by the kernel.

mod subjects;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use polyhost::{CallContext, CancelToken, LoadOptions, Output};

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // Not while the thread ends, when there is no such place any more.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: hands on to the system's allocator, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller vouches.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller vouches.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as the caller vouches.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller vouches.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn the_counter_counts() {
    let before = COUNT.get();
    drop(std::hint::black_box(Box::new(1)));
    drop(std::hint::black_box(Vec::<u8>::with_capacity(1)));
    assert_eq!(2, COUNT.get() - before);
}

#[test]
fn a_steady_call_with_bytes_allocates_nothing() {
    for subject in subjects::all() {
        // The sample's closures return a Vec each; its library has an allocator of its own.
        if subject.name() == "native" {
            continue;
        }
        let Some(runtime) = subject.require() else { continue };
        let module = runtime.load(subject.conformance(), &LoadOptions::new()).unwrap_or_else(|e| panic!("{e:?}"));
        check(subject.name(), &*module.function("raw/Echo").expect("is exported"));
    }
}

#[test]
fn a_steady_call_of_a_closure_allocates_nothing() {
    let echo = polyhost::native::function(polyhost::Export::bytes("echo"), |_cx, input, output| output.write(input));
    check("native", &*echo);
}

fn check(name: &str, echo: &dyn polyhost::Function) {
    let with_token = CallContext::none().with_cancel(&CancelToken::new()).with_metadata("a", "1");
    for (kind, cx) in [("without a context", CallContext::none()), ("that can be cancelled", with_token)] {
        let (mut input, mut output) = ([0_u8; 128], Output::new());
        let mut call = |i: u32| {
            input[..4].copy_from_slice(&i.to_le_bytes());
            output.clear();
            echo.call(&cx, &input, &mut output).unwrap_or_else(|error| panic!("{name}: {error:?}"));
            assert_eq!(input, output.as_slice(), "{name}");
        };
        // Until each pool is filled and each thread known.
        (0..1000).for_each(&mut call);
        let before = COUNT.get();
        (1000..3000).for_each(&mut call);
        let allocations = COUNT.get() - before;
        assert!(allocations == 0, "{name}: 2000 steady calls {kind} allocated {allocations} times");
    }
}
