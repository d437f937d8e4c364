//! The guest library and its crate are one release.

#[test]
fn the_library_says_the_version_of_its_crate() {
    let line = format!("M.version = \"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(polyhost_lua::LIBRARY.lines().any(|it| it == line), "lua/polyhost/init.lua has to say {line}");
}
