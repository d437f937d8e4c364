//! What a call allocates: on the host's side, nothing.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::{function, load_with};
use polyhost_bridge::{CallContext, Export, LoadOptions, Output, Services};

/// Counts what the thread that asks for it allocates. Python has an allocator of its own.
struct Counting;

thread_local! { static COUNT: Cell<usize> = const { Cell::new(0) } }

// SAFETY: hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        // SAFETY: as our caller vouches.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as our caller vouches.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_steady_call_allocates_nothing_on_the_hosts_side() {
    let mut services = Services::new();
    services
        .add(polyhost_native::function(Export::bytes("echo"), |_, input, output| output.write(input)))
        .expect("new");
    let module = load_with(
        "
from polyhost import CallContext, export, service

host_echo = service('echo')

@export('echo')
def echo(data: bytes) -> bytes:
    return data

@export('context')
def with_context(data: bytes, context: CallContext) -> bytes:
    return data if not context.cancelled else b''

@export('service')
def with_service(data: bytes) -> bytes:
    return host_echo(data)
",
        &LoadOptions::new().services(services),
    );
    for export in ["echo", "context", "service"] {
        let function = function(&*module, export);
        let mut output = Output::new();
        let mut call = || {
            output.clear();
            function.call(&CallContext::none(), &[7; 128], &mut output).expect("comes back");
        };
        (0..10).for_each(|_| call());
        let before = COUNT.get();
        (0..1000).for_each(|_| call());
        assert_eq!(0, COUNT.get() - before, "{export}");
    }
}
