//! Calls of raw bytes.

mod common;

use common::{call, load, lua};
use polyhost_bridge::{CallContext, Output};

#[test]
fn bytes_come_back_as_they_are() {
    let module = load(
        &lua(),
        r#"
        local polyhost = require "polyhost"
        polyhost.export("raw/Echo", function(request) return request end)
    "#,
    );
    let echo = module.function("raw/Echo").expect("exported");
    for input in [&b""[..], b"x", b"\0\xff\0", &[7; 100_000]] {
        let mut output = Output::new();
        echo.call(&CallContext::none(), input, &mut output).expect("an echo");
        assert_eq!(input, output.as_slice());
    }
    assert_eq!(b"again", call(&*module, "raw/Echo", b"again").expect("an echo").as_slice());
}
