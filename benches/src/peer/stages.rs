//! `bench.v1.Stages/Repeat` of the workloads in Rust.

use std::sync::Arc;

use polyhost::native::method;
use polyhost::{CallContext, Code, Error, Function, Method, Output, Result};
use polyhost_proto::bench::v1::{RepeatReply, RepeatRequest, Stage};

use crate::measure::stages::REPEAT;
use crate::workloads::all;

/// It as a function.
pub(crate) fn repeater() -> Arc<dyn Function> {
    method(Method::<RepeatRequest, RepeatReply>::new(REPEAT), |_cx, request| repeat(&request))
}

/// Does all of a method so many times: it is compiled into one, and so has no stages but the last.
///
/// # Errors
/// Where there is no such method, or it fails.
pub(crate) fn repeat(request: &RepeatRequest) -> Result<RepeatReply> {
    if request.stage() != Stage::Encode {
        return Err(Error::status(Code::Unimplemented, "workloads in Rust have STAGE_ENCODE alone"));
    }
    let functions = all().into_iter().map(|workload| workload.native());
    let function = functions
        .into_iter()
        .find(|function| function.export().name() == request.method)
        .ok_or_else(|| Error::status(Code::NotFound, format!("no method {}", request.method)))?;
    let (mut output, cx) = (Output::new(), CallContext::none());
    for input in request.inputs.iter().cycle().take(request.times as usize) {
        output.clear();
        function.call(&cx, input, &mut output)?;
    }
    Ok(RepeatReply { output: output.into_vec() })
}
