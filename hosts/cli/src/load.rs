//! Loading the module that a command names, with everything it may call.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, value_parser};
use polyhost::{LoadOptions, LogSink, Module, ModuleSource, Registry, Services};

use crate::failure::Failure;
use crate::log::Threshold;
use crate::registry::{feature_of, registry};

/// What names a module and says how to load it; the same for every command.
#[derive(Debug, Args)]
pub(crate) struct Load {
    /// Where the module is: SCHEME:PATH, such as clr:App.dll, py:package.module, lua:file.lua, native:lib.so.
    pub(crate) location: String,
    /// Sets an option of the module's runtime, such as memory_limit; may be repeated.
    #[arg(long = "option", short = 'O', value_name = "KEY=VALUE", value_parser = pair, help_heading = "Loading")]
    options: Vec<(String, String)>,
    /// Copies of the module's state, side by side.
    #[arg(long, value_name = "N", default_value = "1", value_parser = value_parser!(u32).range(1..), help_heading = "Loading")]
    instances: u32,
    /// Gives the load of each module this long, such as 2s; exit code 124 when it runs out.
    ///
    /// Lua and Python code is stopped then; elsewhere a load that has begun goes on to its end.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, allow_hyphen_values = true,
        help_heading = "Loading")]
    load_deadline: Option<Duration>,
    /// Lets the module call an export of another module as the host service NAME; may be repeated.
    #[arg(long = "service", value_name = "NAME=LOCATION#EXPORT", value_parser = service, help_heading = "Loading")]
    services: Vec<Service>,
    /// Lets the module call every export of another module by its own name; may be repeated.
    ///
    /// Modules given by --service are loaded first, then those given by --link, each in the order of the command
    /// line; each may call what was given before it. One that is given twice is loaded once.
    #[arg(long = "link", value_name = "LOCATION", help_heading = "Loading")]
    links: Vec<String>,
    /// The least important of the guests' log lines to show on stderr; from `debug` on also each call, and what it took.
    #[arg(long, value_enum, value_name = "LEVEL", default_value = "info", help_heading = "Loading")]
    log: Threshold,
}

/// `NAME=LOCATION#EXPORT`.
#[derive(Debug, Clone)]
struct Service {
    name: String,
    location: String,
    export: String,
}

impl Load {
    /// The runtimes to load it with.
    pub(crate) fn registry(&self) -> Registry {
        self.log.show_calls();
        registry(self.log.sink())
    }

    /// Loads the module and those it may call.
    pub(crate) fn load(&self, registry: &Registry) -> Result<Arc<dyn Module>, Failure> {
        Ok(self.again(registry)?()?)
    }

    /// Loads those it may call, and gives what loads the module itself, each time anew.
    pub(crate) fn again(&self, registry: &Registry) -> Result<impl Fn() -> polyhost::Result<Arc<dyn Module>>, Failure> {
        let linked = self.services.iter().map(|service| &service.location).chain(&self.links);
        for location in std::iter::once(&self.location).chain(linked) {
            parse(registry, location)?;
        }
        let log = self.log.sink();
        let services = self.services(registry, &log)?;
        Ok(move || {
            let options = self.common_options(registry, &self.location, services.clone(), log.clone());
            let options = options.instances(self.instances as usize);
            let options = self.options.iter().fold(options, |options, (key, value)| options.option(key, value));
            registry.load(&self.location, &options)
        })
    }

    /// What the module is loaded from.
    pub(crate) fn source(&self, registry: &Registry) -> Result<ModuleSource, Failure> {
        Ok(parse(registry, &self.location)?.1)
    }

    fn services(&self, registry: &Registry, log: &LogSink) -> Result<Services, Failure> {
        let mut services = Services::new();
        // Two services of one module share its state.
        let mut loaded: BTreeMap<&str, Arc<dyn Module>> = BTreeMap::new();
        for Service { name, location, export } in &self.services {
            let module = self.load_once(&mut loaded, registry, location, &services, log)?;
            let function = module.function(export).map_err(|error| {
                let message = format!("--service {name}={location}#{export}: {}", error.message());
                error.with_message(message)
            })?;
            services.add_as(name, function)?;
        }
        for location in &self.links {
            let module = self.load_once(&mut loaded, registry, location, &services, log)?;
            services.link(&*module)?;
        }
        Ok(services)
    }

    fn load_once<'a>(
        &self,
        loaded: &mut BTreeMap<&'a str, Arc<dyn Module>>,
        registry: &Registry,
        location: &'a str,
        services: &Services,
        log: &LogSink,
    ) -> Result<Arc<dyn Module>, Failure> {
        if let Some(module) = loaded.get(location) {
            return Ok(module.clone());
        }
        let options = self.common_options(registry, location, services.clone(), log.clone());
        let module = registry.load(location, &options)?;
        loaded.insert(location, module.clone());
        Ok(module)
    }

    /// What every module is loaded with.
    fn common_options(&self, registry: &Registry, location: &str, services: Services, log: LogSink) -> LoadOptions {
        let mut options = LoadOptions::new().services(services).log(log);
        // Beyond what the clock can count is no deadline at all.
        options.deadline = self.load_deadline.and_then(|limit| Instant::now().checked_add(limit));
        match registry.parse(location) {
            // A module that is named and not a file is looked for in the working folder too, as `python -m` does.
            Ok(("py", ModuleSource::Name(_))) => options.option("path", "."),
            _ => options,
        }
    }
}

/// Splits a location. Where its runtime is not in this build, the error says how to have it.
fn parse<'a>(registry: &Registry, location: &'a str) -> Result<(&'a str, ModuleSource), Failure> {
    registry.parse(location).map_err(|error| {
        let scheme = location.split_once(':').map_or("", |(scheme, _)| scheme);
        let missing = feature_of(scheme).filter(|_| registry.schemes().all(|it| it != scheme));
        let advice = missing.map_or_else(String::new, |feature| format!("; build polyhost with --features {feature}"));
        Failure::Usage(format!("{error}{advice}"))
    })
}

/// Ends the runtimes that were started, as a guest expects at the end of a program. Not after a call that was cut
/// short: it may still be inside.
pub(crate) fn finish(registry: &Registry) {
    for runtime in registry.started() {
        // A guest that is still busy goes on until the process ends, which is now.
        let _ = runtime.shutdown(Duration::from_secs(1));
    }
}

/// `KEY=VALUE`, split at the first `=`.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some(("", _)) => Err("there is no key before `=`; write KEY=VALUE".to_owned()),
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => Err("there is no `=`; write KEY=VALUE".to_owned()),
    }
}

fn service(text: &str) -> Result<Service, String> {
    let (name, rest) = pair(text)?;
    // An export's name has no `#`; a path may.
    match rest.rsplit_once('#') {
        Some((location, export)) if !location.is_empty() && !export.is_empty() => {
            Ok(Service { name, location: location.to_owned(), export: export.to_owned() })
        }
        _ => Err("write NAME=LOCATION#EXPORT, such as test.Echo=lua:echo.lua#raw/Echo".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_split_at_the_first_sign() {
        assert_eq!(Ok(("a".to_owned(), "b=c".to_owned())), pair("a=b=c"));
        assert_eq!(Ok(("a".to_owned(), String::new())), pair("a="));
        assert!(pair("=a").is_err());
        assert!(pair("a").is_err());
    }

    #[test]
    fn a_service_names_location_and_export() {
        let it = service("n=lua:a#b.lua#x.Y/Z").expect("good");
        assert_eq!(("n", "lua:a#b.lua", "x.Y/Z"), (&*it.name, &*it.location, &*it.export));
        for text in ["n", "n=", "n=lua:a", "n=#x", "n=lua:a#", "=lua:a#x"] {
            assert!(service(text).is_err(), "{text}");
        }
    }
}
