//! The cases, by group.

mod call;
mod cancel;
mod concurrency;
mod context;
mod error;
mod limits;
mod load;
mod log;
mod messages;
mod misbehave;
mod reentrancy;
mod reload;
mod resolve;
mod service;
mod shutdown;
mod unload;

use std::sync::Arc;

use polyhost_bridge::{Code, Error, ErrorKind, Function, Method, Module};
use polyhost_proto::conformance::v1::*;

use crate::case::Case;

pub(crate) fn all() -> Vec<Case> {
    [
        load::cases(),
        resolve::cases(),
        call::cases(),
        messages::cases(),
        error::cases(),
        service::cases(),
        reentrancy::cases(),
        concurrency::cases(),
        log::cases(),
        context::cases(),
        cancel::cases(),
        limits::cases(),
        misbehave::cases(),
        unload::cases(),
        reload::cases(),
        shutdown::cases(),
    ]
    .concat()
}

const RAW_ECHO: &str = "raw/Echo";
const RAW_READ_FILE: &str = "raw/ReadFile";
const RAW_WRONG_TYPE: &str = "raw/WrongType";
const RAW_TRACE: &str = "raw/Trace";

const ECHO: Method<AllTypes, AllTypes> = Method::new("conformance.v1.Conformance/Echo");
const ECHO_ASYNC: Method<AllTypes, AllTypes> = Method::new("conformance.v1.Conformance/EchoAsync");
const FAIL: Method<FailRequest, Nothing> = Method::new("conformance.v1.Conformance/Fail");
const CALL_SERVICE: Method<CallServiceRequest, CallServiceReply> =
    Method::new("conformance.v1.Conformance/CallService");
const CONTEXT: Method<Nothing, ContextReply> = Method::new("conformance.v1.Conformance/Context");
const LOG: Method<LogRequest, Nothing> = Method::new("conformance.v1.Conformance/Log");
const ADD: Method<AddRequest, AddReply> = Method::new("conformance.v1.Conformance/Add");
const SPIN: Method<SpinRequest, Nothing> = Method::new("conformance.v1.Conformance/Spin");
const RECURSE: Method<RecurseRequest, RecurseReply> = Method::new("conformance.v1.Conformance/Recurse");
const GROW: Method<GrowRequest, GrowReply> = Method::new("conformance.v1.Conformance/Grow");
const MISBEHAVE: Method<MisbehaveRequest, Nothing> = Method::new("conformance.v1.Conformance/Misbehave");

/// The function of a module that has to be there.
fn function(module: &dyn Module, name: &str) -> Arc<dyn Function> {
    module.function(name).unwrap_or_else(|error| panic!("{error}"))
}

/// A request that has the guest call a host service once.
fn service_request(service: &str, input: &[u8]) -> CallServiceRequest {
    CallServiceRequest { service: service.into(), input: input.to_vec(), ..CallServiceRequest::default() }
}

/// Panics unless the error is of this kind, and shows all of it then.
#[track_caller]
fn expect_kind(expected: ErrorKind, error: &Error) {
    assert_eq!(expected, error.kind(), "{error:?}");
    // A call that was stopped has the code of that, whatever the guest made of it.
    match expected {
        ErrorKind::Cancelled => assert_eq!(Code::Cancelled, error.code(), "{error:?}"),
        ErrorKind::DeadlineExceeded => assert_eq!(Code::DeadlineExceeded, error.code(), "{error:?}"),
        _ => {}
    }
}

/// Panics unless the whole report of the error has `part` in it.
#[track_caller]
fn expect_says(error: &Error, part: &str) {
    let report = format!("{error:?}");
    assert!(report.contains(part), "{part:?} is not in: {report}");
}
