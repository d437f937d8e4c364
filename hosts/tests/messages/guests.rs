//! A guest in each language for random types: `Echo` returns a message, `Copy` one that it has put together anew.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use polyhost_toolchain::setup::{Project, protoc};

use crate::schema::Schema;

/// Writes the `.proto` files and has protoc compile them; gives the descriptors.
pub(crate) fn generate(project: &Project, schemas: &[Schema], folder: &Path) -> Result<Vec<u8>, String> {
    let Some(mut compiler) = protoc::find(project) else {
        return Err(format!("{} is not there; `polyhost-setup ensure protoc` gets it", protoc::VERSION));
    };
    fs::create_dir_all(folder.join("gen")).expect("a temporary folder");
    for schema in schemas {
        write(&folder.join(format!("{}.proto", schema.name)), &schema.text);
    }
    let set = folder.join("descriptors.binpb");
    compiler.current_dir(folder).args(["-I.", "--csharp_out=gen", "--python_out=."]);
    compiler.arg(format!("--descriptor_set_out={}", set.display()));
    run(compiler.args(schemas.iter().map(|schema| format!("{}.proto", schema.name))));
    Ok(fs::read(set).expect("protoc has written it"))
}

fn run(compiler: &mut Command) {
    let output = compiler.output().expect("the compiler starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("a temporary folder");
}

/// Writes the guest in Lua to a file `guest.lua`.
pub(crate) fn lua(schemas: &[Schema], folder: &Path) {
    let mut text = include_str!("guests/guest.lua").to_owned();
    for schema in schemas {
        let _ = writeln!(text, "polyhost.proto(\"{}.proto\")", schema.name);
        for message in &schema.messages {
            let (echo, copy) = (schema.export("Echo", message), schema.export("Copy", message));
            let _ = writeln!(text, "polyhost.export(\"{echo}\", echo)\npolyhost.export(\"{copy}\", copy)");
        }
    }
    write(&folder.join("guest.lua"), &text);
}

/// Writes the guest in Python to a file `guest.py`.
pub(crate) fn python(schemas: &[Schema], folder: &Path) {
    let mut text = include_str!("guests/guest.py").to_owned() + "\n\nfrom polyhost import export\n";
    for schema in schemas {
        let _ = writeln!(text, "import {}_pb2", schema.name);
        for message in &schema.messages {
            let class = format!("{}_pb2.{}", schema.name, message.join("."));
            for (service, function) in [("Echo", "echo"), ("Copy", "copy")] {
                let name = schema.export(service, message);
                let _ = writeln!(text, "export(\"{name}\", request={class}, reply={class})({function})");
            }
        }
    }
    write(&folder.join("guest.py"), &text);
}

/// Writes the guest in C# to a file `guest.cs`.
pub(crate) fn csharp(schemas: &[Schema], folder: &Path) {
    let mut text = include_str!("guests/guest.cs").to_owned();
    text += "\npublic static class Exports\n{\n";
    for schema in schemas {
        for message in &schema.messages {
            // As protoc writes the names of packages and nested messages.
            let class = format!("global::Made.{}.{}", schema.name.to_uppercase(), message.join(".Types."));
            let method = format!("{}_{}", schema.name, message.join("_"));
            for (service, function) in [("Echo", "Guest.Echo"), ("Copy", "Guest.Copy")] {
                let name = schema.export(service, message);
                let _ = writeln!(text, "    [Export(\"{name}\")]");
                let _ = writeln!(text, "    public static {class} {service}_{method}({class} it) => {function}(it);");
            }
        }
    }
    text += "}\n";
    write(&folder.join("guest.cs"), &text);
}
