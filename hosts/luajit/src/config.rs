//! What a runtime and a module are given.

use std::path::PathBuf;
use std::time::Duration;

use polyhost_bridge::{Error, ErrorKind, LoadOptions, Result};

/// What every module of a [`crate::LuaJit`] gets, unless its own load options say otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LuaJitConfig {
    /// The most bytes one VM may hold. `None`, the default, is no limit.
    pub memory_limit: Option<usize>,
    /// How long a call waits for a VM that others hold. 10 s by default.
    pub wait: Option<Duration>,
    /// Folders in which `require` looks after the module's own.
    pub path: Vec<PathBuf>,
    /// Folders in which `polyhost.proto` looks after the module's own.
    pub proto_path: Vec<PathBuf>,
}

impl LuaJitConfig {
    /// The defaults.
    pub fn new() -> Self {
        LuaJitConfig::default()
    }

    /// Limits the bytes one VM may hold.
    pub fn memory_limit(mut self, bytes: usize) -> Self {
        self.memory_limit = Some(bytes);
        self
    }

    /// Limits how long a call waits for a VM that others hold.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = Some(wait);
        self
    }
}

/// What one module is given: the runtime's configuration and its own load options together.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) instances: usize,
    /// 0 for none.
    pub(crate) memory_limit: usize,
    pub(crate) wait: Duration,
    pub(crate) path: Vec<PathBuf>,
    pub(crate) proto_path: Vec<PathBuf>,
    pub(crate) io: bool,
    pub(crate) os: bool,
}

const OPTIONS: &[&str] = &["memory_limit", "wait", "libs", "path", "proto_path"];
const WAIT: Duration = Duration::from_secs(10);
/// More would be a slip of the pen: each is a VM of its own.
const MAX_INSTANCES: usize = 1024;

impl Settings {
    pub(crate) fn of(config: &LuaJitConfig, options: &LoadOptions) -> Result<Settings> {
        options.check_options(OPTIONS)?;
        if !(1..=MAX_INSTANCES).contains(&options.instances) {
            let message = format!("{} instances of a Lua module; ask for 1 to {MAX_INSTANCES}", options.instances);
            return Err(Error::new(ErrorKind::Config, message));
        }
        let mut settings = Settings {
            instances: options.instances,
            memory_limit: options.limits.memory.or(config.memory_limit).unwrap_or(0),
            wait: config.wait.unwrap_or(WAIT),
            path: Vec::new(),
            proto_path: Vec::new(),
            io: false,
            os: false,
        };
        let both = options.limits.memory.is_some() && options.options.iter().any(|(key, _)| key == "memory_limit");
        if both {
            let message = "the option memory_limit and Limits::memory are both set; set one of them";
            return Err(Error::new(ErrorKind::Config, message));
        }
        for (key, value) in &options.options {
            settings.set(key, value).ok_or_else(|| wrong(key, value))?;
        }
        settings.path.extend_from_slice(&config.path);
        settings.proto_path.extend_from_slice(&config.proto_path);
        Ok(settings)
    }

    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "memory_limit" => self.memory_limit = bytes(value)?,
            "wait" => self.wait = duration(value)?,
            "path" => self.path.extend(std::env::split_paths(value)),
            "proto_path" => self.proto_path.extend(std::env::split_paths(value)),
            _ => {
                for library in value.split(',').map(str::trim).filter(|it| !it.is_empty()) {
                    match library {
                        "io" => self.io = true,
                        "os" => self.os = true,
                        _ => return None,
                    }
                }
            }
        }
        Some(())
    }
}

#[cold]
fn wrong(key: &str, value: &str) -> Error {
    let wanted = match key {
        "memory_limit" => "a number of bytes, such as 67108864 or 64M",
        "wait" => "a time, such as 500ms or 10s",
        _ => "io, os, or both with a comma between",
    };
    Error::new(ErrorKind::Config, format!("option {key} is {value:?}; it takes {wanted}"))
}

/// `67108864`, `64K`, `64M` or `1G`.
fn bytes(text: &str) -> Option<usize> {
    let (number, unit) = match text.char_indices().next_back()? {
        (at, 'K' | 'k') => (&text[..at], 1 << 10),
        (at, 'M' | 'm') => (&text[..at], 1 << 20),
        (at, 'G' | 'g') => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    number.parse::<usize>().ok()?.checked_mul(unit)
}

/// `500ms` or `10s`.
fn duration(text: &str) -> Option<Duration> {
    match text.strip_suffix("ms") {
        Some(millis) => millis.parse().ok().map(Duration::from_millis),
        None => text.strip_suffix('s')?.parse().ok().map(Duration::from_secs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, value: &str) -> Result<Settings> {
        Settings::of(&LuaJitConfig::new(), &LoadOptions::new().option(key, value))
    }

    #[test]
    fn options_are_read_and_slips_are_named() {
        assert_eq!(64 << 20, check("memory_limit", "64M").expect("right").memory_limit);
        assert_eq!(Duration::from_millis(50), check("wait", "50ms").expect("right").wait);
        assert!(check("libs", "io, os").expect("right").io);
        let error = check("memory_limit", "much").expect_err("wrong");
        assert_eq!(ErrorKind::Config, error.kind());
        assert_eq!(
            "option memory_limit is \"much\"; it takes a number of bytes, such as 67108864 or 64M",
            error.to_string()
        );
        assert_eq!(ErrorKind::Config, check("libs", "ffi").expect_err("refused").kind());
        assert_eq!(ErrorKind::Config, check("memory", "1").expect_err("unknown").kind());
    }

    #[test]
    fn the_module_comes_before_the_runtime() {
        let config = LuaJitConfig { path: vec!["b".into()], ..LuaJitConfig::new().memory_limit(1) };
        let options = LoadOptions::new().option("path", "a:c").option("memory_limit", "2");
        let settings = Settings::of(&config, &options).expect("right");
        assert_eq!(2, settings.memory_limit);
        assert_eq!(["a", "c", "b"].map(PathBuf::from), settings.path[..]);
    }
}
