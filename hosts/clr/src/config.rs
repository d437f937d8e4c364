//! How .NET starts.

use std::collections::BTreeMap;
use std::path::PathBuf;

use polyhost_bridge::Result;
use polyhost_toolchain::dotnet::{ASPNET, CORE, DotnetRoot, MINIMUM, Wanted};
use polyhost_toolchain::{Machine, Version};
use serde_json::{Map, Value, json};

use crate::error;

/// How .NET starts in this process: once, so the first start decides for all.
///
/// What is `None` is left to .NET, and so to the `DOTNET_*` variables that it reads.
///
/// ```
/// use polyhost_clr::ClrConfig;
///
/// let mut config = ClrConfig::default();
/// config.gc.heap_hard_limit = Some(512 << 20);
/// config.properties.insert("MyApp.Mode".into(), "embedded".into());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClrConfig {
    /// The folder of a .NET installation, and no other. By default it is searched for; see
    /// [`polyhost_toolchain::dotnet::search`].
    pub dotnet_root: Option<PathBuf>,
    /// The oldest runtime that will do. 8.0 by default, and nothing older works.
    pub minimum: Version,
    /// Which of several installed runtimes is taken.
    pub roll_forward: RollForward,
    /// Whether modules may use ASP.NET Core. A runtime that started without it can't add it.
    pub aspnet: Aspnet,
    /// The garbage collector.
    pub gc: GcConfig,
    /// The compiler.
    pub jit: JitConfig,
    /// Whether every culture behaves like the invariant one. By default that is so where the machine has no ICU library,
    /// without which .NET would end the process.
    pub invariant_globalization: Option<bool>,
    /// What `AppContext.BaseDirectory` says. The folder of this program by default.
    pub base_directory: Option<PathBuf>,
    /// Runtime properties, `configProperties` of a `runtimeconfig.json`; they win over the options above.
    /// `AppContext.GetData` reads them.
    pub properties: BTreeMap<String, String>,
    /// What becomes of failures that no call can report.
    pub guest_failures: GuestFailures,
    /// The folder of the C# compiler's libraries, looked at before every other place when a module is loaded from source;
    /// see [`polyhost_toolchain::roslyn::search`].
    pub roslyn: Option<PathBuf>,
}

impl Default for ClrConfig {
    fn default() -> Self {
        ClrConfig {
            dotnet_root: None,
            minimum: MINIMUM,
            roll_forward: RollForward::default(),
            aspnet: Aspnet::default(),
            gc: GcConfig::default(),
            jit: JitConfig::default(),
            invariant_globalization: None,
            base_directory: None,
            properties: BTreeMap::new(),
            guest_failures: GuestFailures::default(),
            roslyn: None,
        }
    }
}

/// Which of several installed runtimes is taken. Patches are always the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum RollForward {
    /// The newest of all: a module built for it will load, and so will older ones.
    #[default]
    LatestMajor,
    /// The newest of the minimum's major version; if there is none, of the next one there is.
    Major,
    /// The minimum's own major and minor version.
    LatestPatch,
}

/// Whether modules may use ASP.NET Core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Aspnet {
    /// If it is installed beside the runtime.
    #[default]
    IfPresent,
    /// A start without it fails.
    Required,
    /// It is left out.
    Never,
}

/// The garbage collector.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct GcConfig {
    /// A heap for each processor: more throughput, more memory.
    pub server: Option<bool>,
    /// Collections beside running code: shorter pauses, less throughput.
    pub concurrent: Option<bool>,
    /// The most bytes all of .NET's objects may take.
    pub heap_hard_limit: Option<u64>,
}

/// The compiler.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct JitConfig {
    /// Methods are compiled quickly first and well when they are hot. Switched off, each is compiled well at once: slower to
    /// start, fast from the first call.
    pub tiered: Option<bool>,
    /// Whether the second compilation makes use of what the first has seen.
    pub tiered_pgo: Option<bool>,
}

/// What becomes of failures that no call can report, as far as the version of .NET allows it.
///
/// Nothing in .NET keeps a guest from ending the process by `Environment.FailFast`, by endless recursion, or by unsafe
/// code that writes where it must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct GuestFailures {
    /// An exception that leaves a thread of the guest's own. By default it is reported from .NET 10 on; older versions
    /// end the process, and a start that asks for anything but [`GuestFailure::Abort`] fails on them.
    pub unhandled: Option<GuestFailure>,
    /// A task that failed and that nobody awaits. .NET finds out when it collects the task, so late, or never.
    pub unobserved: GuestFailure,
    /// `Environment.Exit`. No version of .NET can refuse it.
    pub exit: GuestExit,
}

/// What becomes of a failure that no call can report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum GuestFailure {
    /// Nothing, and nobody hears of it.
    Ignore,
    /// It is a line in the log of the module whose code is in its stack; where there is none, on stderr.
    #[default]
    Report,
    /// The same, and that module takes no more calls: each fails with
    /// [`ErrorKind::Closed`](polyhost_bridge::ErrorKind::Closed) and the failure. Those inside go on. A failure without
    /// any module's code in its stack stops none.
    StopGuest,
    /// The process ends.
    Abort,
}

/// What becomes of `Environment.Exit`: the process ends, whichever.
///
/// There is no `StopGuest`. A handler of `ProcessExit` that never returns does keep the process, but
/// - the thread that called stays in .NET, waiting for the handlers: the host's own, where a call did it, and that call
///   never returns;
/// - the handlers run on the finalizer thread, which has ended its loop by then: no finalizer ever runs again, so no
///   module unloads, and nothing that was left to a finalizer is freed;
/// - the handlers are not told who called, so nobody could say which module to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum GuestExit {
    /// The process ends with the guest's code, and nobody is told.
    Ignore,
    /// Before it does, the log of each open module says so: .NET does not tell who has called it.
    #[default]
    Report,
    /// The log says so, and the process ends by SIGABRT, so that nobody takes it for the host's own end.
    Abort,
}

/// The first version that asks a handler what becomes of an exception that leaves a thread.
const ASKS_A_HANDLER: u32 = 10;

impl GuestFailures {
    /// Refuses what the version that starts can't do.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](polyhost_bridge::ErrorKind::Config), naming the version.
    pub(crate) fn check(&self, version: &Version) -> Result<()> {
        match self.unhandled {
            None | Some(GuestFailure::Abort) => Ok(()),
            Some(_) if version.major >= ASKS_A_HANDLER => Ok(()),
            Some(asked) => Err(error::no_handler(asked, version)),
        }
    }

    /// The properties that tell the shim.
    fn properties(&self) -> [(&'static str, String); 3] {
        [
            ("Polyhost.Failures.Unhandled", format!("{:?}", self.unhandled.unwrap_or_default())),
            ("Polyhost.Failures.Unobserved", format!("{:?}", self.unobserved)),
            ("Polyhost.Failures.Exit", format!("{:?}", self.exit)),
        ]
    }
}

impl ClrConfig {
    /// The version that hostfxr is going to choose for a module, where this can tell.
    pub(crate) fn version<'a>(&self, root: &'a DotnetRoot) -> Option<&'a Version> {
        let versions = root.runtimes.get(CORE)?.iter().filter(|it| **it >= self.minimum);
        let release = |version: &Version| (version.major, version.minor);
        match self.roll_forward {
            RollForward::LatestMajor => versions.max(),
            RollForward::LatestPatch => versions.filter(|it| release(it) == release(&self.minimum)).max(),
            RollForward::Major => {
                let major = versions.clone().map(|it| it.major).min()?;
                versions.filter(|it| it.major == major).max()
            }
        }
    }

    /// What a root must have.
    pub(crate) fn wanted(&self) -> Wanted {
        Wanted { runtime: self.minimum.clone(), aspnet: self.aspnet == Aspnet::Required, sdk: false }
    }

    /// The frameworks that are named to hostfxr.
    pub(crate) fn frameworks(&self, root: &DotnetRoot) -> Vec<&'static str> {
        let release = |name: &str| root.newest(name).map(|version| (version.major, version.minor));
        // One of another release than the runtime's would not start with it.
        let fits = release(ASPNET).is_some() && release(ASPNET) == release(CORE);
        match self.aspnet {
            Aspnet::Never => vec![CORE],
            Aspnet::IfPresent if !fits => vec![CORE],
            Aspnet::IfPresent | Aspnet::Required => vec![CORE, ASPNET],
        }
    }

    /// The content of the `runtimeconfig.json` that hostfxr reads.
    pub(crate) fn runtime_config(&self, frameworks: &[&str], machine: &Machine) -> String {
        let version = self.minimum.to_string();
        let frameworks: Vec<Value> =
            frameworks.iter().map(|name| json!({ "name": name, "version": version })).collect();
        let roll_forward = match self.roll_forward {
            RollForward::LatestMajor => "LatestMajor",
            RollForward::Major => "Major",
            RollForward::LatestPatch => "LatestPatch",
        };
        let options = json!({
            "rollForward": roll_forward,
            "frameworks": frameworks,
            "configProperties": self.config_properties(machine),
        });
        json!({ "runtimeOptions": options }).to_string()
    }

    fn config_properties(&self, machine: &Machine) -> Map<String, Value> {
        let no_icu = || (!polyhost_toolchain::dotnet::has_icu(machine)).then_some(true);
        let flags = [
            ("System.GC.Server", self.gc.server),
            ("System.GC.Concurrent", self.gc.concurrent),
            ("System.Runtime.TieredCompilation", self.jit.tiered),
            ("System.Runtime.TieredPGO", self.jit.tiered_pgo),
            ("System.Globalization.Invariant", self.invariant_globalization.or_else(no_icu)),
        ];
        let mut properties = Map::new();
        for (name, value) in flags {
            if let Some(value) = value {
                properties.insert(name.to_owned(), value.into());
            }
        }
        if let Some(limit) = self.gc.heap_hard_limit {
            properties.insert("System.GC.HeapHardLimit".to_owned(), limit.into());
        }
        // Left out where they are the shim's own defaults.
        if self.guest_failures != GuestFailures::default() {
            let failures = self.guest_failures.properties();
            properties.extend(failures.into_iter().map(|(name, value)| (name.to_owned(), value.into())));
        }
        let own = self.properties.iter().map(|(name, value)| (name.clone(), value.as_str().into()));
        properties.extend(own);
        properties
    }

    /// The same as texts, as the properties of a runtime are.
    #[cfg(feature = "aspnet")]
    pub(crate) fn property_texts(&self, machine: &Machine) -> Vec<(String, String)> {
        let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        self.config_properties(machine).into_iter().map(|(name, value)| (name, text(value))).collect()
    }

    /// Where this differs from the configuration that is in force.
    pub(crate) fn differences(&self, in_force: &ClrConfig) -> Vec<String> {
        let mut list = Vec::new();
        let mut compare = |name: &str, ours: &dyn std::fmt::Debug, theirs: &dyn std::fmt::Debug| {
            let (ours, theirs) = (format!("{ours:?}"), format!("{theirs:?}"));
            if ours != theirs {
                list.push(format!("{name} is {theirs}, not {ours}"));
            }
        };
        // Taken apart, so that a field that is added can't be forgotten here.
        let ClrConfig {
            dotnet_root,
            minimum,
            roll_forward,
            aspnet,
            gc: GcConfig { server, concurrent, heap_hard_limit },
            jit: JitConfig { tiered, tiered_pgo },
            invariant_globalization,
            base_directory,
            properties,
            guest_failures,
            roslyn,
        } = self;
        compare("dotnet_root", dotnet_root, &in_force.dotnet_root);
        compare("minimum", minimum, &in_force.minimum);
        compare("roll_forward", roll_forward, &in_force.roll_forward);
        compare("aspnet", aspnet, &in_force.aspnet);
        compare("gc.server", server, &in_force.gc.server);
        compare("gc.concurrent", concurrent, &in_force.gc.concurrent);
        compare("gc.heap_hard_limit", heap_hard_limit, &in_force.gc.heap_hard_limit);
        compare("jit.tiered", tiered, &in_force.jit.tiered);
        compare("jit.tiered_pgo", tiered_pgo, &in_force.jit.tiered_pgo);
        compare("invariant_globalization", invariant_globalization, &in_force.invariant_globalization);
        compare("base_directory", base_directory, &in_force.base_directory);
        compare("properties", properties, &in_force.properties);
        compare("guest_failures", guest_failures, &in_force.guest_failures);
        compare("roslyn", roslyn, &in_force.roslyn);
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(versions: &[(&str, &str)]) -> DotnetRoot {
        let runtimes = versions
            .iter()
            .map(|(name, version)| ((*name).to_owned(), vec![version.parse().expect("a version")]))
            .collect();
        DotnetRoot {
            root: "/dotnet".into(),
            hostfxr: "/dotnet/host/fxr/8.0.0/libhostfxr.so".into(),
            hostfxr_version: MINIMUM,
            runtimes,
            sdks: Vec::new(),
            found_by: "test".into(),
        }
    }

    #[test]
    fn names_aspnet_where_it_fits_the_runtime() {
        let mut config = ClrConfig::default();
        assert_eq!(vec![CORE, ASPNET], config.frameworks(&root(&[(CORE, "10.0.1"), (ASPNET, "10.0.0")])));
        assert_eq!(vec![CORE], config.frameworks(&root(&[(CORE, "10.0.1"), (ASPNET, "9.0.0")])));
        assert_eq!(vec![CORE], config.frameworks(&root(&[(CORE, "10.0.1")])));
        config.aspnet = Aspnet::Never;
        assert_eq!(vec![CORE], config.frameworks(&root(&[(CORE, "10.0.1"), (ASPNET, "10.0.0")])));
    }

    #[test]
    fn writes_what_hostfxr_reads() {
        let mut config = ClrConfig::default();
        config.gc.server = Some(false);
        config.gc.heap_hard_limit = Some(1 << 30);
        config.properties.insert("My \"own\"".into(), "value".into());
        let machine = Machine::at("/nowhere");
        let written: Value = serde_json::from_str(&config.runtime_config(&[CORE], &machine)).expect("JSON");
        let expected = json!({ "runtimeOptions": {
            "rollForward": "LatestMajor",
            "frameworks": [{ "name": CORE, "version": "8.0.0" }],
            "configProperties": {
                "System.GC.Server": false,
                "System.GC.HeapHardLimit": 1u64 << 30,
                // There is no ICU on a machine without files.
                "System.Globalization.Invariant": true,
                "My \"own\"": "value",
            },
        } });
        assert_eq!(expected, written);
    }

    #[test]
    fn what_a_version_cannot_do_is_refused_by_its_name() {
        let mut failures = GuestFailures::default();
        let (nine, ten) = ("9.0.7".parse().expect("a version"), "10.0.1".parse().expect("a version"));
        assert!(failures.check(&nine).is_ok());
        failures.unhandled = Some(GuestFailure::Abort);
        assert!(failures.check(&nine).is_ok());
        failures.unhandled = Some(GuestFailure::StopGuest);
        assert!(failures.check(&ten).is_ok());
        let error = failures.check(&nine).expect_err("can't");
        assert_eq!(polyhost_bridge::ErrorKind::Config, error.kind());
        for part in ["StopGuest", "9.0.7", "10"] {
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn the_version_that_will_run_is_foretold() {
        let check = |roll_forward: RollForward, minimum: &str, expected: Option<&str>| {
            let minimum = minimum.parse().expect("a version");
            let config = ClrConfig { roll_forward, minimum, ..ClrConfig::default() };
            let mut root = root(&[(CORE, "9.0.1")]);
            for version in ["9.0.7", "10.0.3"] {
                root.runtimes.get_mut(CORE).expect("is there").push(version.parse().expect("a version"));
            }
            assert_eq!(expected.map(str::to_owned), config.version(&root).map(ToString::to_string));
        };
        check(RollForward::LatestMajor, "8.0.0", Some("10.0.3"));
        check(RollForward::Major, "8.0.0", Some("9.0.7"));
        check(RollForward::Major, "9.0.8", Some("10.0.3"));
        check(RollForward::LatestPatch, "8.0.0", None);
        check(RollForward::LatestPatch, "9.0.0", Some("9.0.7"));
        check(RollForward::LatestPatch, "9.0.8", None);
    }

    #[test]
    fn names_each_difference() {
        let in_force = ClrConfig::default();
        let mut config = in_force.clone();
        assert!(config.differences(&in_force).is_empty());
        config.gc.server = Some(true);
        config.aspnet = Aspnet::Never;
        let expected = ["aspnet is IfPresent, not Never", "gc.server is None, not Some(true)"];
        assert_eq!(expected.as_slice(), config.differences(&in_force));
    }
}
