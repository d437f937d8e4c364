//! Functions of the host, or of another guest, that a guest may call.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::boundary;
use crate::call::CallContext;
use crate::error::{Error, ErrorKind, Result};
use crate::function::Function;
use crate::module::Module;
use crate::output::Output;

/// The host services of one module, by name.
///
/// A service is a [`Function`]: a Rust closure (`polyhost_native::function`), or
/// an export of any other module, so that guests call guests.
#[derive(Debug, Clone, Default)]
pub struct Services {
    // A guest finds a service once and calls it by its place in this list.
    list: Vec<(String, Arc<dyn Function>)>,
    by_name: BTreeMap<String, u32>,
}

impl Services {
    /// No services.
    pub fn new() -> Self {
        Services::default()
    }

    /// Adds a service under the name of its export.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] where there is one of that name.
    pub fn add(&mut self, service: Arc<dyn Function>) -> Result<()> {
        let name = service.export().name().to_owned();
        self.add_as(name, service)
    }

    /// Adds a service under a name of its own.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] where there is one of that name.
    pub fn add_as(&mut self, name: impl Into<String>, service: Arc<dyn Function>) -> Result<()> {
        let name = name.into();
        if self.by_name.contains_key(&name) {
            let message = format!("there is a host service {name} already; give one of them another name");
            return Err(Error::new(ErrorKind::Config, message));
        }
        let id = u32::try_from(self.list.len())
            .map_err(|_| Error::new(ErrorKind::Config, "more than 2^32 host services"))?;
        self.by_name.insert(name.clone(), id);
        self.list.push((name, service));
        Ok(())
    }

    /// Adds every export of `module`: one guest's exports are another's services. All of them, or after an error none.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] where there is a service of the name of one of them.
    pub fn link(&mut self, module: &dyn Module) -> Result<()> {
        let mut linked = self.clone();
        for export in module.exports() {
            linked.add(module.function(export.name())?)?;
        }
        *self = linked;
        Ok(())
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// Finds a service by name and gives the id to call it by.
    ///
    /// # Errors
    /// [`ErrorKind::Service`] with a [`ErrorKind::NotFound`] cause that lists what there is.
    pub fn find(&self, name: &str) -> Result<u32> {
        self.by_name.get(name).copied().ok_or_else(|| self.unknown(name))
    }

    /// Calls the service with this id on this thread, with the context of the guest's own call.
    ///
    /// Panics of the service are stopped here. A host leaves its runtime (the
    /// GIL, the gate) before this.
    ///
    /// # Errors
    /// [`ErrorKind::Service`], whose cause is what the service returned;
    /// [`ErrorKind::Cancelled`] or [`ErrorKind::DeadlineExceeded`] where the guest's call is to stop.
    pub fn call(&self, id: u32, cx: &CallContext, input: &[u8], output: &mut Output) -> Result<()> {
        let Some((name, service)) = self.list.get(id as usize) else {
            return Err(Error::new(ErrorKind::Service, format!("there is no host service with id {id}")));
        };
        cx.check()?;
        boundary::enter(|| service.call(cx, input, output)).map_err(|error| failed(name, error))
    }

    #[cold]
    fn unknown(&self, name: &str) -> Error {
        let known = if self.list.is_empty() {
            "the module was loaded without any".to_owned()
        } else {
            format!("there are: {}", self.names().collect::<Vec<_>>().join(", "))
        };
        let cause = Error::new(ErrorKind::NotFound, format!("no host service {name}; {known}"));
        failed(name, cause)
    }
}

#[cold]
fn failed(name: &str, cause: Error) -> Error {
    let told = origin(&cause).to_string();
    Error::new(ErrorKind::Service, format!("host service {name} failed: {told}")).caused_by(cause)
}

/// The failure that an error is about: what a guest says of a service of its own that failed is all in that one's text.
/// Told again at each level, a chain of guests would make a line that nobody reads; the causes have every level.
fn origin(error: &Error) -> &Error {
    let Some(inner) = error.inner_error() else { return error };
    let repeats = |inner: &Error| error.message().contains(inner.message().lines().next().unwrap_or_default());
    match (error.kind(), inner.kind()) {
        (ErrorKind::Service, _) => origin(inner),
        (_, ErrorKind::Service) if repeats(inner) => origin(inner),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::Export;

    #[derive(Debug)]
    struct Fails(Export);

    impl Function for Fails {
        fn export(&self) -> &Export {
            &self.0
        }

        fn call(&self, _: &CallContext, input: &[u8], _: &mut Output) -> Result<()> {
            match input {
                b"panic" => panic!("as told"),
                _ => Err(Error::status(crate::error::Code::Aborted, "as told")),
            }
        }
    }

    fn services() -> Services {
        let mut services = Services::new();
        services.add(Arc::new(Fails(Export::bytes("a/B")))).expect("the first of its name");
        services
    }

    #[test]
    fn a_chain_of_services_tells_the_deepest_failure_once() {
        let raised = |said: &str, inner: Error| Error::from_guest(crate::GuestError::new("E", said)).caused_by(inner);
        let disk = failed("disk", Error::status(crate::error::Code::DataLoss, "sector 7\nof 9"));
        let bank = failed("bank", raised(&disk.to_string(), disk).operation("call shop"));
        let shop = failed("shop", raised(&bank.to_string(), bank));
        assert_eq!("host service shop failed: DATA_LOSS: sector 7 …", shop.to_string());
        let chain: Vec<_> = shop.chain().map(|error| error.to_string()).collect();
        assert_eq!(6, chain.len(), "{chain:?}");
        assert_eq!("host service disk failed: DATA_LOSS: sector 7 …", chain[4]);
        // What says something of its own is not passed over.
        let front = failed("front", raised("no sale", shop));
        assert_eq!("host service front failed: E: no sale", front.to_string());
    }

    #[test]
    fn a_name_is_taken_once() {
        let error = services().add(Arc::new(Fails(Export::bytes("a/B")))).expect_err("taken");
        assert_eq!(ErrorKind::Config, error.kind());
    }

    /// A module whose exports all fail.
    #[derive(Debug)]
    struct Failing(Vec<Export>);

    impl Module for Failing {
        fn name(&self) -> &str {
            "failing"
        }

        fn exports(&self) -> &[Export] {
            &self.0
        }

        fn descriptors(&self) -> Option<&[u8]> {
            None
        }

        fn function(&self, name: &str) -> Result<Arc<dyn Function>> {
            Ok(Arc::new(Fails(Export::bytes(name))))
        }

        fn unload(&self, _: std::time::Duration) -> crate::UnloadVerdict {
            crate::UnloadVerdict::Unloaded
        }
    }

    #[test]
    fn a_module_is_linked_whole_or_not_at_all() {
        let mut services = services();
        let module = |names: &[&str]| Failing(names.iter().copied().map(Export::bytes).collect());
        let error = services.link(&module(&["a/A", "a/B", "a/C"])).expect_err("a/B is taken");
        assert_eq!(ErrorKind::Config, error.kind());
        assert_eq!(["a/B"], *services.names().collect::<Vec<_>>());
        services.link(&module(&["a/A", "a/C"])).expect("both are free");
        assert_eq!(["a/A", "a/B", "a/C"], *services.names().collect::<Vec<_>>());
    }

    #[test]
    fn failures_and_panics_come_back_as_the_cause() {
        let services = services();
        let id = services.find("a/B").expect("it is there");
        let call = |input: &[u8]| {
            let error = services.call(id, &CallContext::none(), input, &mut Output::new()).expect_err("it fails");
            assert_eq!(ErrorKind::Service, error.kind());
            (error.code(), error.inner_error().expect("a cause").to_string())
        };
        assert_eq!((crate::error::Code::Aborted, "ABORTED: as told".to_owned()), call(b""));
        assert_eq!((crate::error::Code::Internal, "host code panicked: as told".to_owned()), call(b"panic"));
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = services().find("c/D").expect_err("unknown");
        assert_eq!("host service c/D failed: no host service c/D; there are: a/B", error.to_string());
    }

    #[test]
    fn a_cancelled_call_calls_nothing() {
        let token = crate::CancelToken::new();
        token.cancel();
        let cx = CallContext::none().with_cancel(&token);
        let error = services().call(0, &cx, b"panic", &mut Output::new()).expect_err("cancelled");
        assert_eq!(ErrorKind::Cancelled, error.kind());
    }
}
