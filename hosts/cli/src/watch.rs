//! `polyhost watch`: loads a module anew whenever its files change.

mod files;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use polyhost::{CallContext, DeployReport, Deployment, Function, Output, Registry, ReplacedVersion, UnloadVerdict};
use serde_json::json;

use crate::cli::Global;
use crate::failure::{Failure, describe};
use crate::input::{Content, Input};
use crate::load::Load;
use crate::message::Messages;
use crate::reply::{Format, Reply};
use crate::screen;

use files::Files;

/// How long a version that is replaced is waited for.
const GRACE: Duration = Duration::from_secs(5);

/// Loads a module, and loads it anew whenever its files change; calls an export of each version.
///
/// The version before runs on until the next one is loaded, and beyond where that does not load: what is wrong with it
/// is told. Replies go to stdout, everything else to stderr. Ctrl-C ends it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Watch {
    #[command(flatten)]
    load: Load,
    /// The export to call in each version; a version without it is refused. By default none is called.
    export: Option<String>,
    #[command(flatten)]
    input: Input,
    /// How to write the reply; by default JSON for a message, and raw bytes as they are.
    #[arg(long, short, value_enum, value_name = "FORMAT", help_heading = "Output")]
    output: Option<Format>,
    /// Gives each call this long, such as 50ms, 2s or 1m.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, help_heading = "Calling")]
    deadline: Option<Duration>,
    /// Watches this file or folder, too; may be repeated.
    ///
    /// By default those beside the module's file that are of its language are watched, and all in a module's folder.
    #[arg(long, value_name = "PATH", help_heading = "Watching")]
    also: Vec<std::path::PathBuf>,
}

const EXAMPLES: &str = "\
Examples, from a checkout after `make setup`:
  polyhost watch lua:hosts/examples/hello/lua/greeter.lua greeter.v1.Greeter/SayHello --input '{\"name\": \"you\"}'
  polyhost watch py:hosts/examples/hello/python/greeter.py greeter.v1.Greeter/SayHello --json";

pub(crate) fn run(global: &Global, arguments: &Watch) -> Result<ExitCode, Failure> {
    let registry = arguments.load.registry();
    let content = arguments.input.read()?;
    let load = arguments.load.again(&registry)?;
    // Before the first load, so that no change is missed.
    let files = Files::watch(arguments.load.source(&registry)?, &arguments.also)?;
    let started = std::time::Instant::now();
    let deployment = Deployment::new(load()?)?;
    let took = started.elapsed();
    let function = arguments.export.as_ref().map(|export| deployment.function(export)).transpose()?;
    let watch = Watching { global, arguments, registry: &registry, content, deployment, function };
    watch.tell_first(took, &files);
    watch.call()?;
    loop {
        files.changed()?;
        match watch.deployment.deploy(GRACE, &load) {
            Ok(report) => {
                watch.tell(&report);
                watch.call()?;
            }
            Err(error) => watch.tell_refused(error),
        }
    }
}

struct Watching<'a> {
    global: &'a Global,
    arguments: &'a Watch,
    registry: &'a Registry,
    content: Content,
    deployment: Deployment,
    function: Option<Arc<dyn Function>>,
}

impl Watching<'_> {
    /// Calls the current version. A call that fails is told, and the next version may do better.
    fn call(&self) -> Result<(), Failure> {
        match self.try_call() {
            Err(Failure::BrokenPipe) => Err(Failure::BrokenPipe),
            Err(failure) => {
                failure.report(self.global);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn try_call(&self) -> Result<(), Failure> {
        let Some(function) = &self.function else { return Ok(()) };
        let module = self.deployment.module();
        // Anew each time: the messages may have other fields now.
        let messages = Messages::of(&*module);
        let export = function.export();
        let input = messages.side(export.input_type()).encode(self.content.clone())?;
        let shown = Reply::new(self.arguments.output, messages.side(export.output_type()))?;
        let mut reply = Output::with_limit(self.arguments.input.limit);
        let cx = match self.arguments.deadline {
            Some(timeout) => CallContext::none().with_timeout(timeout),
            None => CallContext::none(),
        };
        let outcome = function.call(&cx, &input, &mut reply);
        outcome.map_err(|error| error.operation(format!("call {}", export.name())))?;
        shown.write(&reply)
    }

    fn tell_first(&self, took: Duration, files: &Files) {
        let location = &self.arguments.load.location;
        let runtime = self.registry.parse(location).ok().and_then(|(scheme, _)| self.registry.runtime(scheme).ok());
        let runtime = runtime.map_or_else(String::new, |it| format!(" in {} {}", it.info().name, it.info().version));
        if self.global.json {
            return screen::note(&json!({ "version": 1, "load_ms": ms(took), "watched": files.shown() }).to_string());
        }
        screen::note(&format!(
            "version 1 of {location} runs{runtime}, loaded in {} ms; watching {}; Ctrl-C ends it",
            ms(took),
            files.shown().join(", ")
        ));
    }

    fn tell(&self, report: &DeployReport) {
        if self.global.json {
            let replaced: Vec<_> = report.replaced.iter().map(replaced_json).collect();
            let line = json!({ "version": report.version, "load_ms": ms(report.load), "replaced": replaced });
            return screen::note(&line.to_string());
        }
        let replaced: Vec<_> = report.replaced.iter().map(replaced_text).collect();
        screen::note(&format!(
            "version {} runs, loaded in {} ms; {}",
            report.version,
            ms(report.load),
            replaced.join("; ")
        ));
    }

    fn tell_refused(&self, error: polyhost::Error) {
        let version = self.deployment.version();
        if self.global.json {
            let line = json!({ "version": version, "refused": describe(&error) });
            return screen::note(&line.to_string());
        }
        Failure::Failed(error).report(self.global);
        screen::note(&format!("version {version} goes on"));
    }
}

fn replaced_text(replaced: &ReplacedVersion) -> String {
    let ReplacedVersion { version, verdict, unload, .. } = replaced;
    match verdict {
        UnloadVerdict::StillAlive { what } => {
            format!("version {version} is still alive: {}", screen::guarded(&what.join(", ")))
        }
        _ => format!("version {version} is unloaded, in {} ms", ms(*unload)),
    }
}

fn replaced_json(replaced: &ReplacedVersion) -> serde_json::Value {
    let ReplacedVersion { version, verdict, unload, .. } = replaced;
    let held: &[String] = match verdict {
        UnloadVerdict::StillAlive { what } => what,
        _ => &[],
    };
    json!({ "version": version, "unloaded": held.is_empty(), "held_by": held, "unload_ms": ms(*unload) })
}

/// Milliseconds, to a tenth.
fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e4).round() / 10.0
}
