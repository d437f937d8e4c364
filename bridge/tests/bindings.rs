//! The Rust bindings that are checked in are what bindgen makes of `polyhost.h`.

use std::path::Path;

#[test]
fn bindings_match_the_header() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if let Err(reason) = libclang(root) {
        assert!(std::env::var_os("POLYHOST_REQUIRE").is_none(), "{reason}");
        eprintln!("skipped: {reason}");
        return;
    }
    let checked_in = root.join("src/abi/bindings.rs");
    let fresh = bindgen::Builder::default()
        .header(root.join("include/polyhost.h").to_str().expect("a UTF-8 path"))
        .clang_args(builtin_headers())
        .allowlist_item("[Pp]olyhost.*|POLYHOST_.*")
        .blocklist_function("polyhost_.*")
        .prepend_enum_name(false)
        .rust_target(bindgen::RustTarget::stable(85, 0).expect("a known version"))
        .rust_edition(bindgen::RustEdition::Edition2024)
        .formatter(bindgen::Formatter::Prettyplease)
        .raw_line("// Made by bindgen from include/polyhost.h; see tests/bindings.rs.")
        .disable_header_comment()
        .generate()
        .expect("bindgen reads the header")
        .to_string();
    if std::env::var_os("POLYHOST_BLESS").is_some() {
        std::fs::write(&checked_in, &fresh).expect("write the bindings");
    }
    let old = std::fs::read_to_string(&checked_in).expect("the bindings are checked in");
    assert!(
        old == fresh,
        "src/abi/bindings.rs differs; run POLYHOST_BLESS=1 cargo test -p polyhost-bridge --test bindings"
    );
}

/// Makes bindgen find a libclang: the machine's, or the one that `make setup` puts into the Python environment.
fn libclang(root: &Path) -> Result<(), String> {
    let unpacked = root.join("../.venv/lib");
    let pythons = std::fs::read_dir(unpacked).into_iter().flatten().flatten();
    let mut folders = pythons.map(|python| python.path().join("site-packages/clang/native"));
    if std::env::var_os("LIBCLANG_PATH").is_none()
        && let Some(folder) = folders.find(|folder| folder.is_dir())
    {
        // SAFETY: the only test of this program, and nothing else reads the environment meanwhile.
        unsafe { std::env::set_var("LIBCLANG_PATH", folder) };
    }
    // bindgen panics where it finds none; the reason is wanted as text.
    let outcome = std::panic::catch_unwind(|| drop(bindgen::clang_version()));
    outcome.map_err(|_| {
        "bindgen finds no libclang: install libclang-dev, or set LIBCLANG_PATH to the folder of libclang.so".to_owned()
    })
}

/// Where the C compiler has its own headers: a libclang without its clang brings none.
fn builtin_headers() -> Vec<String> {
    let output = std::process::Command::new("cc").arg("-print-file-name=include").output();
    let Ok(output) = output else { return Vec::new() };
    vec!["-isystem".into(), String::from_utf8_lossy(&output.stdout).trim().to_owned()]
}
