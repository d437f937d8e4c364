//! An ASP.NET Core application behind an axum router, in one process on one port, moving to Rust one route at a time.
//!
//! The steps are in `shop.rs`: all in ASP.NET Core, one route in Rust, another. The clients see no difference.
//!
//! ```sh
//! make setup
//! cargo run -p polyhost --features aspnet --example aspnet              # until Ctrl-C
//! cargo run -p polyhost --features aspnet --example aspnet -- --check   # asks a few things at each step and ends
//! ```

mod shop;

use std::path::Path;
use std::process::ExitCode;

use shop::{BoxError, Shop, Step};

const HELP: &str = "\
Serves an ASP.NET Core application with routes of Rust before it.

usage: aspnet [--check] [--step 1|2|3] [--listen ADDRESS]

--check           sends a few requests at each step, prints who answered what, and ends
--step STEP       1: all in ASP.NET Core, 2: a route in Rust, 3: another one, too (default)
--listen ADDRESS  listens there (default 127.0.0.1:8080, and any free port for --check)
";

fn main() -> ExitCode {
    let mut check = false;
    let mut listen = None;
    let mut step = Some(Step::AnotherRouteInRust);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "-h" | "--help" => {
                print!("{HELP}");
                return ExitCode::SUCCESS;
            }
            "--check" => check = true,
            "--listen" => listen = arguments.next(),
            "--step" => {
                let number = arguments.next().and_then(|it| it.parse::<usize>().ok());
                step = number.and_then(|it| Step::ALL.get(it.checked_sub(1)?).copied());
            }
            _ => {
                eprintln!("aspnet: `{argument}` is not understood here; see --help");
                return ExitCode::from(2);
            }
        }
    }
    let listen = listen.unwrap_or_else(|| if check { "127.0.0.1:0" } else { "127.0.0.1:8080" }.to_owned());
    let Some(step) = step else {
        eprintln!("aspnet: --step is 1, 2 or 3");
        return ExitCode::from(2);
    };
    match serve(&listen, check, step) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("aspnet: {error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn serve(listen: &str, check: bool, step: Step) -> Result<(), BoxError> {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is a folder of the checkout");
    let shop = Shop::open(&checkout.join("target/guests/Shop/Shop.dll")).await?;
    if check {
        for step in Step::ALL {
            let counter = shop.serve(step, listen.parse()?)?;
            println!("{step:?}");
            counter.tour().await?.iter().for_each(|answer| println!("  {answer}"));
            counter.close().await;
        }
    } else {
        let counter = shop.serve(step, listen.parse()?)?;
        let address = counter.address();
        println!("listening on {address}; try curl -i {address}/coffees and {address}/coffees/espresso");
        tokio::signal::ctrl_c().await?;
        counter.close().await;
    }
    shop.close().await
}
