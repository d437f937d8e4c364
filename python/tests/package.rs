//! What is embedded is what lies in the folder.

use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn every_module_of_the_package_is_embedded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/polyhost");
    let there: BTreeSet<_> = std::fs::read_dir(folder)
        .expect("it is there")
        .map(|entry| entry.expect("can be read").file_name().into_string().expect("text"))
        // The first is run on its own; see `BOOTSTRAP`.
        .filter(|name| name.ends_with(".py") && name != "_bootstrap.py")
        .collect();
    let embedded: BTreeSet<_> = polyhost_python::PACKAGE.iter().map(|file| file.path.to_owned()).collect();
    assert_eq!(there, embedded);
    assert!(polyhost_python::PACKAGE.iter().all(|file| !file.text.is_empty()));
}
