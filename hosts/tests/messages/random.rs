//! Random messages of random types through a guest, both ways, against what prost-reflect says of them.
//!
//! `POLYHOST_SEED` chooses other types and messages than the usual ones.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use polyhost::luajit::{LuaJit, LuaJitConfig};
use polyhost::{CallContext, LoadOptions, Module, ModuleSource, Output, Runtime};
use polyhost_testkit::{Random, canonical};
use polyhost_toolchain::setup::Project;
use prost::Message;
use prost_reflect::{Cardinality, DescriptorPool, DynamicMessage, MessageDescriptor};

use crate::guests;
use crate::schema::Schema;

/// How many files of types, and messages of each type.
const SCHEMAS: u64 = 24;
const MESSAGES: u64 = 40;

pub(crate) fn lua(project: &Project) -> Result<(), String> {
    check(project, "lua", guests::lua, |folder| {
        let options = LoadOptions::new().option("proto_path", folder.display().to_string());
        LuaJit::start(LuaJitConfig::new()).load(&ModuleSource::Path(folder.join("guest.lua")), &options)
    })
}

#[cfg(feature = "cpython")]
pub(crate) fn python(project: &Project) -> Result<(), String> {
    use polyhost::cpython::{Cpython, CpythonConfig};
    let runtime = Cpython::start(&CpythonConfig::default()).map_err(|error| error.to_string())?;
    check(project, "python", guests::python, |folder| {
        runtime.load(&ModuleSource::Path(folder.join("guest.py")), &LoadOptions::new())
    })
}

#[cfg(feature = "clr")]
pub(crate) fn csharp(project: &Project) -> Result<(), String> {
    use polyhost::clr::{Clr, ClrConfig};
    let runtime = Clr::start(&ClrConfig::default()).map_err(|error| error.to_string())?;
    // Google.Protobuf lies beside every guest that has messages.
    let built = project.guests().join("Conformance");
    if !built.join("Google.Protobuf.dll").is_file() {
        return Err(format!("there is no Google.Protobuf.dll in {}; run `make setup`", built.display()));
    }
    check(project, "csharp", guests::csharp, |folder| {
        let options = LoadOptions::new().option("references", built.display().to_string());
        runtime.load(&ModuleSource::Path(folder.join("guest.cs")), &options)
    })
}

fn check(
    project: &Project,
    language: &str,
    write: impl FnOnce(&[Schema], &Path),
    load: impl FnOnce(&Path) -> polyhost::Result<Arc<dyn Module>>,
) -> Result<(), String> {
    let first = std::env::var("POLYHOST_SEED").map_or(0, |text| text.parse().expect("POLYHOST_SEED is a number"));
    let schemas: Vec<_> = (first..first + SCHEMAS).map(Schema::new).collect();
    // Kept for whoever looks into a failure.
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("messages-{language}"));
    let descriptors = guests::generate(project, &schemas, &folder)?;
    write(&schemas, &folder);
    let module = load(&folder).unwrap_or_else(|error| panic!("{}: {error:?}", folder.display()));
    let pool = DescriptorPool::decode(&*descriptors).expect("protoc's descriptors");
    let mut count = 0;
    for schema in &schemas {
        for message in &schema.messages {
            let name = schema.full_name(message);
            let descriptor = pool.get_message_by_name(&name).expect("protoc has compiled it");
            for service in ["Echo", "Copy"] {
                let export = schema.export(service, message);
                for seed in 0..MESSAGES {
                    // What is put together anew has no unknown fields.
                    let mut random = if service == "Echo" { Random::new(seed) } else { Random::known(seed) };
                    let message = random.message(&descriptor, 0);
                    let Err(wrong) = compare(&*module, &export, &message) else { continue };
                    let (smallest, wrong) = shrink(message, wrong, |it| compare(&*module, &export, it).err());
                    panic!(
                        "{export}, seed {seed}, POLYHOST_SEED={first}, types in {}:\n{:02x?}\n{wrong}",
                        folder.display(),
                        smallest.encode_to_vec()
                    );
                }
                count += MESSAGES;
            }
        }
    }
    eprintln!("{language}: {count} messages of {SCHEMAS} files of types");
    Ok(())
}

/// Sends a message, and says how what comes back is another one.
fn compare(module: &dyn Module, export: &str, message: &DynamicMessage) -> Result<(), String> {
    use prost_reflect::ReflectMessage;
    let descriptor: MessageDescriptor = message.descriptor();
    let (input, mut output) = (message.encode_to_vec(), Output::new());
    let expected = canonical::text(&descriptor, &input).expect("its own bytes");
    let function = module.function(export).unwrap_or_else(|error| panic!("{error:?}"));
    if let Err(error) = function.call(&CallContext::none(), &input, &mut output) {
        return Err(format!("{expected}\nis refused: {error:?}"));
    }
    match canonical::text(&descriptor, output.as_slice()) {
        Ok(actual) if actual == expected => Ok(()),
        Ok(actual) => Err(format!("{expected}\ncame back as\n{actual}")),
        Err(error) => Err(format!("{expected}\ncame back as no message: {error}")),
    }
}

/// Leaves fields out as long as it still fails.
fn shrink(
    message: DynamicMessage,
    wrong: String,
    fails: impl Fn(&DynamicMessage) -> Option<String>,
) -> (DynamicMessage, String) {
    let (mut smallest, mut wrong) = (message, wrong);
    loop {
        let fields: Vec<_> = smallest.fields().map(|(field, _)| field).collect();
        let smaller = fields.iter().filter(|field| field.cardinality() != Cardinality::Required).find_map(|field| {
            let mut without = smallest.clone();
            without.clear_field(field);
            fails(&without).map(|wrong| (without, wrong))
        });
        match smaller {
            Some(smaller) => (smallest, wrong) = smaller,
            None => return (smallest, wrong),
        }
    }
}
