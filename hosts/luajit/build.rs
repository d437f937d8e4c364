//! Builds LuaJIT so that a loop in compiled code can be stopped.
//!
//! `LUAJIT_ENABLE_CHECKHOOK` makes traces look at the hook that a deadline sets;
//! without it `while true do end` never ends. luajit-src passes `CFLAGS` on.
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=CFLAGS");
    let own = std::env::var("CFLAGS").unwrap_or_default();
    // SAFETY: a build script has one thread.
    unsafe { std::env::set_var("CFLAGS", format!("{own} -DLUAJIT_ENABLE_CHECKHOOK")) };
    luajit_src::Build::new().debug(false).build().print_cargo_metadata();
}
