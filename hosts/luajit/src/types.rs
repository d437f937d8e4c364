//! The message types of a module, from `.proto` files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use polyhost_bridge::{Error, ErrorKind, Result};
use prost_reflect::{DescriptorPool, MessageDescriptor, MethodDescriptor};

use crate::message::Schema;

/// What `polyhost.proto` has compiled. VMs of one module share it, so that each file is compiled once.
#[derive(Debug, Default)]
pub(crate) struct Types {
    pool: DescriptorPool,
    files: BTreeSet<(String, Vec<PathBuf>)>,
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
        let compile = || {
            let mut compiler = protox::Compiler::new(folders)?;
            // The comments are what exports are described with.
            compiler.include_imports(true).include_source_info(true).open_file(file)?;
            Ok(compiler.encode_file_descriptor_set())
        };
        let set = compile().map_err(|e: protox::Error| does_not_compile(file, &format!("{e:?}")).caused_by(e))?;
        self.pool
            .decode_file_descriptor_set(set.as_slice())
            .map_err(|e| does_not_compile(file, &e.to_string()).caused_by(e))?;
        self.files.insert(key);
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
fn does_not_compile(file: &str, why: &str) -> Error {
    Error::new(ErrorKind::Load, format!("{file} does not compile: {why}"))
}
