//! `polyhost-bench-peer`: the workloads in Rust, in a process of their own, as it would be done without a host.
//!
//! ```text
//! polyhost-bench-peer grpc SOCKET HOST_SOCKET    behind gRPC, until standard input ends
//! polyhost-bench-peer child WORKLOAD|EXPORT      over standard input and output, likewise
//! polyhost-bench-peer facts grpc|child           tells what its numbers depend on
//! ```

mod child;
pub(crate) mod frame;
mod grpc;
pub(crate) mod stages;

use crate::facts::{self, fact, locked};

/// Longer than any message here; gRPC's own limit is 4 MiB.
pub(crate) const LONGEST: usize = 64 << 20;

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
        ["facts", how] => {
            let mut all = facts::of_rust();
            if how == "grpc" {
                all.push(fact("gRPC", format!("{}, {}", locked("tonic"), locked("tokio"))));
            }
            print!("{}", facts::lines(&all));
            Ok(())
        }
        _ => Err("usage: polyhost-bench-peer grpc SOCKET HOST_SOCKET | child WORKLOAD | facts grpc|child".to_owned()),
    }
}
