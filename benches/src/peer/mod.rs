//! `polyhost-bench-peer`: the workloads in Rust, in a process of their own, as it would be done without a host.
//!
//! ```text
//! polyhost-bench-peer grpc SOCKET HOST_SOCKET    behind gRPC, until standard input ends
//! polyhost-bench-peer child WORKLOAD             over standard input and output, likewise
//! ```

mod child;
pub(crate) mod frame;
mod grpc;

/// What `tonic` makes of `proto/bench/v1/*.proto`; a test compares the two.
#[rustfmt::skip]
#[allow(clippy::all, missing_docs, unreachable_pub, dead_code)]
pub(crate) mod services {
    include!("gen/bench.v1.rs");
}

/// Runs the program with its arguments.
///
/// # Errors
/// What it has to say to whoever started it.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match *arguments {
        ["grpc", socket, host] => grpc::serve(socket, host).map_err(|e| e.to_string()),
        ["child", workload] => child::serve(workload),
        _ => Err("usage: polyhost-bench-peer grpc SOCKET HOST_SOCKET | child WORKLOAD".to_owned()),
    }
}
