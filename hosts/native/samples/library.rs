//! A guest in Rust as a shared library: what closures can do behind `guest!`.
//!
//!     cargo build -p polyhost-native --example library
//!     polyhost call native:target/debug/examples/liblibrary.so raw/Echo --input hello

use std::sync::atomic::{AtomicU64, Ordering};

use polyhost_bridge::{Code, Error, Export, LoadOptions, LogLevel, LogRecord, Method, Result};
use polyhost_native::{ModuleBuilder, guest};
use polyhost_proto::DESCRIPTORS;
use polyhost_proto::conformance::v1::{AddReply, AddRequest};

const ADD: Method<AddRequest, AddReply> = Method::new("conformance.v1.Conformance/Add");

polyhost_native::guest!(exports);

/// Runs at each load: what the closures capture is the state of one module.
fn exports(module: ModuleBuilder, options: &LoadOptions) -> Result<ModuleBuilder> {
    let (sum, log) = (AtomicU64::new(0), options.log.clone());
    let module = module
        .descriptors(DESCRIPTORS)
        .method(ADD, move |_cx, request| {
            let before = sum.fetch_add(request.n.unsigned_abs(), Ordering::Relaxed);
            Ok(AddReply { sum: before.wrapping_add(request.n.unsigned_abs()).cast_signed() })
        })
        .export(Export::bytes("raw/Echo").with_doc("Returns its input."), |_cx, input, output| output.write(input))
        .export(Export::bytes("raw/Fail"), |_cx, input, _output| match input {
            b"panic" => panic!("as told"),
            message => Err(Error::status(Code::Aborted, String::from_utf8_lossy(message))),
        })
        .export(Export::bytes("raw/Log"), move |_cx, input, _output| {
            let line = String::from_utf8_lossy(input);
            log.write(&LogRecord::new("library", LogLevel::Warn, "sample", &line));
            Ok(())
        })
        .export(Export::bytes("raw/Context"), |cx, _input, output| {
            output.write(format!("{:?} {:?}", cx.metadata(), cx.remaining().is_some()).as_bytes())
        })
        .export(Export::bytes("raw/Spin").with_doc("Returns when it is to stop."), |cx, _input, _output| {
            loop {
                cx.check()?;
                std::hint::spin_loop();
            }
        })
        // The input is the name of a service, which gets it, too.
        .export(Export::bytes("raw/Service"), |cx, input, output| {
            guest::service(&String::from_utf8_lossy(input))?.call(cx, input, output)
        });
    Ok(module)
}
