//! An axum router with one route in Rust, and an ASP.NET Core application for all others, in one process on one port.
//!
//! ```sh
//! make setup
//! cargo run -p polyhost --features aspnet --example aspnet              # until Ctrl-C
//! cargo run -p polyhost --features aspnet --example aspnet -- --check   # asks a few things itself and ends
//! ```

mod shop;

use std::path::Path;
use std::process::ExitCode;

use shop::{BoxError, Shop};

const HELP: &str = "\
Serves an ASP.NET Core application with a route of Rust before it.

usage: aspnet [--check] [--listen ADDRESS]

--check           sends a few requests, prints what came back, and ends
--listen ADDRESS  listens there (default 127.0.0.1:8080, and any free port for --check)
";

fn main() -> ExitCode {
    let mut check = false;
    let mut listen = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "-h" | "--help" => {
                print!("{HELP}");
                return ExitCode::SUCCESS;
            }
            "--check" => check = true,
            "--listen" => listen = arguments.next(),
            _ => {
                eprintln!("aspnet: `{argument}` is not understood here; see --help");
                return ExitCode::from(2);
            }
        }
    }
    let listen = listen.unwrap_or_else(|| if check { "127.0.0.1:0" } else { "127.0.0.1:8080" }.to_owned());
    match serve(&listen, check) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("aspnet: {error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn serve(listen: &str, check: bool) -> Result<(), BoxError> {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is a folder of the checkout");
    let shop = Shop::open(&checkout.join("target/guests/Shop/Shop.dll"), listen.parse()?).await?;
    let address = shop.address().clone();
    if check {
        let lines = tokio::task::spawn_blocking(move || shop::tour(&address)).await??;
        lines.iter().for_each(|line| println!("{line}"));
    } else {
        println!("listening on {address}; try curl -i {address}/coffees and {address}/coffees/espresso");
        tokio::signal::ctrl_c().await?;
    }
    shop.close().await
}
