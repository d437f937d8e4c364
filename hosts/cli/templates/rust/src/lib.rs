//! A guest: functions that a host calls by name. Other threads may call at the same time.

use polyhost::native::ModuleBuilder;
use polyhost::{CallContext, Code, Error, LoadOptions, Method, Result};

use messages::{HelloReply, HelloRequest};

/// What build.rs makes of greeter.proto.
mod messages {
    include!(concat!(env!("OUT_DIR"), "/greeter.v1.rs"));
}

/// The types of the messages, so that hosts can turn them into JSON and back.
const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));

/// What hosts call it by, package.Service/Method of greeter.proto, and what it takes and returns.
const SAY_HELLO: Method<HelloRequest, HelloReply> = Method::new("greeter.v1.Greeter/SayHello");

// Makes this library a guest.
polyhost::native::guest!(exports);

/// Runs at each load: what closures capture here is the state of one module.
fn exports(module: ModuleBuilder, _options: &LoadOptions) -> Result<ModuleBuilder> {
    Ok(module.descriptors(DESCRIPTORS).method(SAY_HELLO, say_hello))
}

fn say_hello(_context: &CallContext, request: HelloRequest) -> Result<HelloReply> {
    if request.name.is_empty() {
        // The caller gets this code, in whatever language it is written. A panic reaches it, too: as INTERNAL.
        return Err(Error::status(Code::InvalidArgument, "name is empty"));
    }
    Ok(HelloReply {
        text: format!("Hello, {}!", request.name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Exports are plain functions, and tested as such.
    fn greet(name: &str) -> Result<String> {
        let request = HelloRequest {
            name: name.to_owned(),
        };
        Ok(say_hello(&CallContext::none(), request)?.text)
    }

    #[test]
    fn greets_by_name() {
        assert_eq!("Hello, you!", greet("you").expect("it greets"));
    }

    #[test]
    fn refuses_an_empty_name() {
        let refused = greet("").expect_err("an empty name");
        assert_eq!(Code::InvalidArgument, refused.code());
    }
}
