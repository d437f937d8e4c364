//! A user's own module, with the user's own requests.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use polyhost::{CallContext, Error, ErrorKind, Export, Function, JsonFunction, Module, Output, Registry};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Guest, Request, Workload, excerpt};
use crate::targets::report::Unmeasured;

/// What a user wants to have measured.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Case {
    /// Such as `clr:path/App.dll`.
    pub(crate) location: String,
    pub(crate) export: String,
    /// The content of the input file: text, unless the export takes raw bytes.
    pub(crate) input: Vec<u8>,
}

/// Without the whole input: it is shown where a worker hangs.
impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} with an input of {} bytes", self.export, self.location, self.input.len())
    }
}

/// The workload of a case.
pub(crate) struct Custom {
    case: Case,
    bound: OnceLock<Bound>,
}

/// What is known once the module is loaded.
struct Bound {
    /// `None` for an export of raw bytes.
    json: Option<Mutex<JsonFunction>>,
    requests: Vec<Vec<u8>>,
}

impl Custom {
    pub(crate) const NAME: &str = "custom";

    pub(crate) fn new(case: Case) -> Custom {
        Custom { case, bound: OnceLock::new() }
    }
}

impl Workload for Custom {
    fn name(&self) -> &'static str {
        Custom::NAME
    }

    fn what(&self) -> &'static str {
        "a module of yours"
    }

    /// There is none: modules of users are compared with each other.
    fn native(&self) -> Arc<dyn Function> {
        polyhost::native::function(Export::bytes(&*self.case.export), |_cx: &CallContext, _, _: &mut Output| {
            Err(Error::new(ErrorKind::Unsupported, "a module of yours has no implementation in Rust"))
        })
    }

    fn guest(&self, _scheme: &str) -> Result<Guest, Unmeasured> {
        let (_, source) = registry_of_names().parse(&self.case.location)?;
        Ok(Guest { source, export: self.case.export.clone(), options: Vec::new() })
    }

    /// Those of the file, in turn; it says how large they are.
    fn requests(&self, _payload: usize, _count: usize, _random: &mut fastrand::Rng) -> Vec<Request> {
        let requests = self.bound.get().map_or(&[][..], |bound| &bound.requests);
        requests.iter().map(|bytes| Request { bytes: bytes.clone(), counter: None }).collect()
    }

    /// Whether it is right, its user knows; the harness compares the modules with each other.
    fn check(&self, _request: &[u8], _reply: &[u8]) -> Result<(), String> {
        Ok(())
    }

    fn bind(&self, module: &dyn Module) -> Result<(), String> {
        let json = match JsonFunction::of(module, &self.case.export) {
            Ok(json) => Some(json),
            Err(error) if error.kind() == ErrorKind::Unsupported && takes_bytes(module, &self.case.export) => None,
            Err(error) => return Err(error.to_string()),
        };
        let requests = match &json {
            None => vec![self.case.input.clone()],
            Some(json) => {
                let input = std::str::from_utf8(&self.case.input).map_err(|e| format!("the input is no JSON: {e}"))?;
                let encode = |text: &str| json.encode(text).map_err(|e| e.to_string());
                texts(input).into_iter().map(encode).collect::<Result<Vec<_>, _>>()?
            }
        };
        if requests.is_empty() {
            return Err("the input is an empty list; give one request at least".to_owned());
        }
        // It is bound once: a second time finds the same.
        let _ = self.bound.set(Bound { json: json.map(Mutex::new), requests });
        Ok(())
    }

    fn show(&self, reply: &[u8]) -> String {
        match self.bound.get().and_then(|bound| bound.json.as_ref()) {
            Some(json) => {
                let json = json.lock().unwrap_or_else(PoisonError::into_inner);
                json.decode(reply).unwrap_or_else(|error| error.to_string())
            }
            None => excerpt_with_hash(reply),
        }
    }
}

/// For splitting locations; it starts nothing.
fn registry_of_names() -> Registry {
    polyhost::registry()
}

fn takes_bytes(module: &dyn Module, name: &str) -> bool {
    let export = module.exports().iter().find(|it| it.name() == name);
    export.is_some_and(|it| it.input_type().is_none() || it.output_type().is_none())
}

/// One request, or a list of them.
fn texts(input: &str) -> Vec<&str> {
    match serde_json::from_str::<Vec<&RawValue>>(input) {
        Ok(list) => list.into_iter().map(RawValue::get).collect(),
        Err(_) => vec![input],
    }
}

/// Bytes for people that are equal only where the bytes are.
fn excerpt_with_hash(bytes: &[u8]) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    format!("{} bytes {}, hash {:016x}", bytes.len(), excerpt(bytes), hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_many_requests() {
        assert_eq!(vec![r#"{"n": 1}"#], texts(r#"{"n": 1}"#));
        assert_eq!(vec![r#"{"n": 1}"#, "{}"], texts(r#" [{"n": 1}, {}] "#));
        assert_eq!(vec!["no JSON"], texts("no JSON"));
    }

    #[test]
    fn replies_that_differ_look_different() {
        let (mut one, mut other) = (vec![7; 1000], vec![7; 1000]);
        assert_eq!(excerpt_with_hash(&one), excerpt_with_hash(&other));
        (one[999], other[999]) = (1, 2);
        assert_ne!(excerpt_with_hash(&one), excerpt_with_hash(&other));
    }
}
