//! The message types of a module, from `.proto` files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use polyhost_bridge::{Error, ErrorKind, Result};
use prost_reflect::prost_types::FileDescriptorProto;
use prost_reflect::{DescriptorPool, MessageDescriptor, MethodDescriptor};
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver};

use crate::message::Schema;

/// What `polyhost.proto` has compiled. VMs of one module share it, so that each file is compiled once.
#[derive(Debug, Default)]
pub(crate) struct Types {
    pool: DescriptorPool,
    files: BTreeSet<(String, Vec<PathBuf>)>,
    /// Where each file of the pool was found; nothing for those that are built in.
    paths: BTreeMap<String, PathBuf>,
    schemas: BTreeMap<String, Arc<Schema>>,
}

impl Types {
    /// Compiles a `.proto` file, found in one of the folders, with all it imports.
    pub(crate) fn load(&mut self, file: &str, folders: &[PathBuf]) -> Result<()> {
        let key = (file.to_owned(), folders.to_vec());
        if self.files.contains(&key) {
            return Ok(());
        }
        if !folders.iter().any(|folder| folder.join(file).is_file()) {
            return Err(not_found(file, folders));
        }
        let mut compiler = protox::Compiler::with_file_resolver(Folders::new(folders));
        // The comments are what exports are described with.
        compiler
            .include_imports(true)
            .include_source_info(true)
            .open_file(file)
            .map_err(|e| does_not_compile(file, &format!("{e:?}")).caused_by(e))?;
        let set = compiler.encode_file_descriptor_set();
        let found = compiler.files().filter_map(|it| Some((it.name().to_owned(), it.path()?.to_owned())));
        let paths: BTreeMap<_, _> = found.collect();
        let wrong = |e: prost_reflect::DescriptorError| does_not_compile(file, &e.to_string()).caused_by(e);
        self.check_names(&DescriptorPool::decode(set.as_slice()).map_err(wrong)?, &paths)?;
        self.pool.decode_file_descriptor_set(set.as_slice()).map_err(wrong)?;
        self.paths.extend(paths);
        self.files.insert(key);
        Ok(())
    }

    /// Refuses files that have the name of another: the pool would leave them out without a word.
    fn check_names(&self, new: &DescriptorPool, paths: &BTreeMap<String, PathBuf>) -> Result<()> {
        for file in new.files() {
            if let Some(known) = self.pool.get_file_by_name(file.name())
                && !is_same(known.file_descriptor_proto(), file.file_descriptor_proto())
            {
                return Err(named_twice(file.name(), self.paths.get(file.name()), paths.get(file.name())));
            }
        }
        Ok(())
    }

    /// The method of an export or a service, `pkg.Service/Method`.
    pub(crate) fn method(&self, name: &str) -> Option<MethodDescriptor> {
        let (service, method) = name.split_once('/')?;
        self.pool.get_service_by_name(service)?.methods().find(|it| it.name() == method)
    }

    /// Why this can't be the name of an export: it is in a service that is known, and no method of it.
    pub(crate) fn check_export(&self, name: &str) -> Result<()> {
        let Some((service, _)) = name.split_once('/') else { return Ok(()) };
        let Some(service) = self.pool.get_service_by_name(service) else { return Ok(()) };
        if self.method(name).is_some() {
            return Ok(());
        }
        let methods: Vec<_> = service.methods().map(|it| it.name().to_owned()).collect();
        let methods = if methods.is_empty() { "none".to_owned() } else { methods.join(", ") };
        let message = format!(
            "the export {name} is no method of {}, whose methods are: {methods}; name one of them, or export it with raw = true",
            service.full_name()
        );
        Err(Error::new(ErrorKind::Load, message))
    }

    /// The message of this full name.
    pub(crate) fn message(&mut self, name: &str) -> Result<Arc<Schema>> {
        if let Some(schema) = self.schemas.get(name) {
            return Ok(schema.clone());
        }
        let descriptor = self.pool.get_message_by_name(name).ok_or_else(|| {
            let message = format!("no message {name} in what polyhost.proto has loaded");
            Error::new(ErrorKind::NotFound, message)
        })?;
        Ok(self.schema(&descriptor))
    }

    /// What a method takes and returns.
    pub(crate) fn of_method(&mut self, method: &MethodDescriptor) -> Result<(Arc<Schema>, Arc<Schema>)> {
        if method.is_client_streaming() || method.is_server_streaming() {
            let message = format!("{} is a stream, which Polyhost does not call yet", method.full_name());
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        Ok((self.schema(&method.input()), self.schema(&method.output())))
    }

    fn schema(&mut self, descriptor: &MessageDescriptor) -> Arc<Schema> {
        let new = || Arc::new(Schema::of(descriptor));
        self.schemas.entry(descriptor.full_name().to_owned()).or_insert_with(new).clone()
    }

    /// A `FileDescriptorSet` of everything, dependencies first; `None` where nothing was loaded.
    pub(crate) fn descriptors(&self) -> Option<Vec<u8>> {
        (!self.files.is_empty()).then(|| self.pool.encode_to_vec())
    }
}

/// Whether a name leads to a file or folder within the folder it is looked for in.
pub(crate) fn stays_inside(name: &str) -> bool {
    Path::new(name).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

/// The folders in which files are found; what a file imports leads out of them no more than its own name.
struct Folders(ChainFileResolver);

impl Folders {
    fn new(folders: &[PathBuf]) -> Self {
        let mut chain = ChainFileResolver::new();
        folders.iter().for_each(|folder| chain.add(IncludeFileResolver::new(folder.clone())));
        chain.add(GoogleFileResolver::new());
        Folders(chain)
    }
}

impl FileResolver for Folders {
    fn open_file(&self, name: &str) -> std::result::Result<File, protox::Error> {
        if stays_inside(name) { self.0.open_file(name) } else { Err(protox::Error::file_not_found(name)) }
    }
}

/// Whether both declare the same, whatever their comments and lines.
fn is_same(one: &FileDescriptorProto, other: &FileDescriptorProto) -> bool {
    let declared = |file: &FileDescriptorProto| FileDescriptorProto { source_code_info: None, ..file.clone() };
    declared(one) == declared(other)
}

/// What the comments above a method say.
pub(crate) fn doc(method: &MethodDescriptor) -> String {
    let file = method.parent_file();
    let info = file.file_descriptor_proto().source_code_info.as_ref();
    let location = info.and_then(|info| info.location.iter().find(|it| it.path == method.path()));
    let comments = location.map_or("", |location| location.leading_comments());
    // A comment's lines begin with the space behind its slashes.
    let lines: Vec<_> = comments.lines().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    lines.join("\n").trim().to_owned()
}

#[cold]
fn not_found(file: &str, folders: &[PathBuf]) -> Error {
    let folders: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
    let looked = match folders.is_empty() {
        true => "there is no folder to look in; set the option proto_path".to_owned(),
        false => format!("looked in {}; set the option proto_path to look elsewhere", folders.join(", ")),
    };
    Error::new(ErrorKind::Load, format!("no file {file}: {looked}"))
}

#[cold]
fn named_twice(name: &str, known: Option<&PathBuf>, new: Option<&PathBuf>) -> Error {
    let place = |path: Option<&PathBuf>| path.map_or("the one built in".into(), |path| path.display().to_string());
    let message = format!(
        "two files are {name}, {} and then {}; a module has one of each name, so give one of them another",
        place(known),
        place(new)
    );
    Error::new(ErrorKind::Load, message)
}

#[cold]
fn does_not_compile(file: &str, why: &str) -> Error {
    Error::new(ErrorKind::Load, format!("{file} does not compile: {why}"))
}
