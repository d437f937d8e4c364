//! What the bench compares calls in one process with; see `polyhost_bench::peer`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match polyhost_bench::peer::run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("polyhost-bench-peer: {error}");
            ExitCode::from(2)
        }
    }
}
