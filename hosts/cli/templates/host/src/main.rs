//! Loads guests in any language and calls them: `cargo run -- LOCATION…`.

use std::time::Duration;

use polyhost::{CallContext, LoadOptions, Method, Registry};

use messages::{HelloReply, HelloRequest};

/// What build.rs makes of guests/greeter.proto.
mod messages {
    include!(concat!(env!("OUT_DIR"), "/greeter.v1.rs"));
}

/// The name of an export, and what it takes and returns.
const SAY_HELLO: Method<HelloRequest, HelloReply> = Method::new("greeter.v1.Greeter/SayHello");

fn main() -> polyhost::Result<()> {
    let mut locations: Vec<String> = std::env::args().skip(1).collect();
    if locations.is_empty() {
        locations.push("lua:guests/greeter.lua".to_owned());
    }
    let registry = registry();
    for location in &locations {
        println!("{location}: {}", greet(&registry, location, "world")?);
    }
    Ok(())
}

/// The runtimes of this program. Each starts when its first guest is loaded.
fn registry() -> Registry {
    polyhost::registry()
}

/// Loads a guest and calls it once. A server would load it once, keep `say_hello`, and call that from any thread.
fn greet(registry: &Registry, location: &str, name: &str) -> polyhost::Result<String> {
    let guest = registry.load(location, &LoadOptions::new())?;
    let say_hello = SAY_HELLO.of(&*guest)?;
    let context = CallContext::none().with_timeout(Duration::from_secs(5));
    let request = HelloRequest {
        name: name.to_owned(),
    };
    Ok(say_hello.call(&context, &request)?.text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use polyhost::Code;

    const GUEST: &str = "lua:guests/greeter.lua";

    #[test]
    fn a_guest_greets() {
        let text = greet(&registry(), GUEST, "you").expect("it does");
        assert_eq!("Hello, you!", text);
    }

    #[test]
    fn what_a_guest_fails_with_reaches_its_host() {
        let error = greet(&registry(), GUEST, "").expect_err("an empty name");
        assert_eq!(Code::InvalidArgument, error.code());
    }
}
