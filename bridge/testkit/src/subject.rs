//! What the suite is run on.

use std::fmt;
use std::sync::{Arc, Once, OnceLock};

use polyhost_bridge::{CallContext, Capabilities, Error, Export, Function, ModuleSource, Output, Result, Runtime};

use crate::expectations::Expectations;

/// A host, and where its guests for the suite are.
pub struct Subject {
    pub(crate) name: String,
    start: Start,
    /// What is done before the first process of its own.
    prepare: Option<Box<dyn Fn() + Send + Sync>>,
    prepared: Once,
    /// How it is started with its memory limited.
    limited: Option<Start>,
    pub(crate) conformance: ModuleSource,
    /// What the conformance guest is loaded with besides.
    pub(crate) options: Vec<(String, String)>,
    pub(crate) text: Option<ModuleSource>,
    pub(crate) endless: Option<ModuleSource>,
    pub(crate) broken: Vec<Broken>,
    /// The name of a file, and what it holds in two versions.
    pub(crate) versions: Option<(String, [Vec<u8>; 2])>,
    pub(crate) expectations: Expectations,
    // What the first start gave, for all cases of this process.
    started: OnceLock<Result<Arc<dyn Runtime>, String>>,
}

type Start = Box<dyn Fn() -> Result<Arc<dyn Runtime>> + Send + Sync>;

/// A source that does not load, and what its error has to say.
#[derive(Debug, Clone)]
pub(crate) struct Broken {
    pub(crate) what: String,
    pub(crate) source: ModuleSource,
    pub(crate) says: Vec<String>,
}

impl Subject {
    /// A host by the name that cases, expectations and `POLYHOST_REQUIRE` call it, how it is started, and where its
    /// guest is that implements `conformance.v1.Conformance`.
    pub fn new(
        name: impl Into<String>,
        start: impl Fn() -> Result<Arc<dyn Runtime>> + Send + Sync + 'static,
        conformance: ModuleSource,
    ) -> Self {
        Subject {
            name: name.into(),
            start: Box::new(start),
            prepare: None,
            prepared: Once::new(),
            limited: None,
            conformance,
            options: Vec::new(),
            text: None,
            endless: None,
            broken: Vec::new(),
            versions: None,
            expectations: Expectations::default(),
            started: OnceLock::new(),
        }
    }

    /// Adds an option of the runtime, with which the conformance guest is loaded.
    pub fn option(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.push((key.into(), value.into()));
        self
    }

    /// Adds what has to be done once before cases are run in processes of their own, such as building the guest.
    pub fn prepare(mut self, run: impl Fn() + Send + Sync + 'static) -> Self {
        self.prepare = Some(Box::new(run));
        self
    }

    /// Does what [`Subject::prepare`] was given.
    pub(crate) fn prepare_children(&self) {
        if let Some(prepare) = &self.prepare {
            self.prepared.call_once(prepare);
        }
    }

    /// Adds how it is started so that all guests together may take no more than 256 MiB; for those that claim
    /// `RUNTIME_MEMORY_LIMIT`.
    pub fn limited(mut self, start: impl Fn() -> Result<Arc<dyn Runtime>> + Send + Sync + 'static) -> Self {
        self.limited = Some(Box::new(start));
        self
    }

    /// Adds a module as source text, which exports `raw/Echo`; for those that claim `SOURCE_TEXT`.
    pub fn text(mut self, source: ModuleSource) -> Self {
        self.text = Some(source);
        self
    }

    /// Adds a source whose own code runs without end while it is loaded; for those that claim `INTERRUPT`.
    pub fn endless(mut self, source: ModuleSource) -> Self {
        self.endless = Some(source);
        self
    }

    /// Adds a source that does not load: what is wrong with it, and what the report of the error has to contain,
    /// such as the file and the line.
    pub fn broken(mut self, what: impl Into<String>, source: ModuleSource, says: &[&str]) -> Self {
        let says = says.iter().map(|&part| part.to_owned()).collect();
        self.broken.push(Broken { what: what.into(), source, says });
        self
    }

    /// Adds what a file of this name holds first, and then; for those that claim `RELOAD`.
    ///
    /// Both versions export `raw/Tell`, which returns `1` in the first and `2` in the second, and `raw/Across`, which
    /// calls the host service `between` without input and returns the same then.
    pub fn versions(mut self, file: &str, one: impl Into<Vec<u8>>, two: impl Into<Vec<u8>>) -> Self {
        self.versions = Some((file.to_owned(), [one.into(), two.into()]));
        self
    }

    /// Sets the known failures: lines of `case-name: why`. Empty lines and those that begin with `#` do not count.
    pub fn expectations(mut self, text: &str) -> Self {
        self.expectations = Expectations::parse(text);
        self
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its conformance guest is.
    pub fn conformance(&self) -> &ModuleSource {
        &self.conformance
    }

    /// The runtime, for a test beside the suite. `None`, and a line that says why, where it is missing and
    /// `POLYHOST_REQUIRE` does not name it; panics where it does.
    pub fn require(&self) -> Option<&Arc<dyn Runtime>> {
        match self.runtime() {
            Ok(runtime) => Some(runtime),
            Err(report) if self.is_required() => {
                panic!("POLYHOST_REQUIRE names {}, and it is missing: {report}", self.name)
            }
            Err(report) => {
                eprintln!("skipped: no runtime {}: {report}", self.name);
                None
            }
        }
    }

    /// Whether the suite proves these capabilities: the runtime claims them, each has cases that need it, and none of
    /// those is known to fail. `None` as for [`Subject::require`].
    pub fn proves(&self, capabilities: Capabilities) -> Option<bool> {
        let claimed = self.require()?.capabilities().contains(capabilities);
        let cases = crate::cases();
        let is_proven = |capability: &str| {
            let mut needing = cases.iter().filter(|case| case.needs.names().any(|it| it == capability)).peekable();
            needing.peek().is_some() && needing.all(|case| self.expectations.reason(case.name).is_none())
        };
        Some(claimed && capabilities.names().all(is_proven))
    }

    /// The runtime, started once. The error is its whole report.
    pub(crate) fn runtime(&self) -> Result<&Arc<dyn Runtime>, &str> {
        let started = self.started.get_or_init(|| (self.start)().map_err(|error| format!("{error:?}")));
        started.as_ref().map_err(String::as_str)
    }

    /// The runtime with its memory limited, where there is a way to. Only in a process where it has not been started.
    pub(crate) fn limited_runtime(&self) -> Result<Arc<dyn Runtime>, &str> {
        let Some(start) = &self.limited else { return self.runtime().cloned() };
        self.started.get_or_init(|| start().map_err(|error| format!("{error:?}")));
        self.runtime().cloned()
    }

    /// Starts it anew, which for some runtimes gives the same again.
    pub(crate) fn start(&self) -> Result<Arc<dyn Runtime>> {
        (self.start)()
    }

    /// Whether `POLYHOST_REQUIRE` says that this must not be missing.
    pub(crate) fn is_required(&self) -> bool {
        let required = std::env::var("POLYHOST_REQUIRE").unwrap_or_default();
        required.split(',').any(|name| name.trim() == self.name)
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Subject").field(&self.name).finish()
    }
}

/// A host service for a case: a closure over bytes.
pub fn service(
    name: &str,
    run: impl Fn(&CallContext, &[u8], &mut Output) -> Result<(), Error> + Send + Sync + 'static,
) -> Arc<dyn Function> {
    Arc::new(Service { export: Export::bytes(name), run })
}

struct Service<F> {
    export: Export,
    run: F,
}

impl<F: Fn(&CallContext, &[u8], &mut Output) -> Result<()> + Send + Sync + 'static> Function for Service<F> {
    fn export(&self) -> &Export {
        &self.export
    }

    fn call(&self, cx: &CallContext, input: &[u8], output: &mut Output) -> Result<()> {
        (self.run)(cx, input, output)
    }
}

impl<F> fmt::Debug for Service<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Service").field(&self.export.name()).finish()
    }
}
