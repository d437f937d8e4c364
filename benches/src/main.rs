//! `polyhost-bench`: what each runtime really costs.

use std::process::ExitCode;

use polyhost_bench::alloc::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    polyhost_bench::cli::main()
}
