//! A Rust closure: the floor of everything.

use std::sync::Arc;

use polyhost::Function;

use super::{Caller, Contender, FunctionCaller, Known};
use crate::facts::{self, Fact};
use crate::peer::stages;
use crate::targets::report::Unmeasured;
use crate::workloads::Workload;

pub(super) const NAME: &str = "native";

pub(super) fn known() -> Known {
    Known { name: NAME.to_owned(), what: "a Rust closure in this process: the floor".to_owned(), scheme: None }
}

pub(super) struct Native {
    function: Option<Arc<dyn Function>>,
}

impl Native {
    pub(super) fn new() -> Native {
        Native { function: None }
    }
}

impl Contender for Native {
    fn facts(&self) -> Vec<Fact> {
        facts::of_rust()
    }

    fn load(&mut self, workload: &Arc<dyn Workload>) -> Result<(), Unmeasured> {
        self.function = Some(workload.native());
        Ok(())
    }

    fn repeater(&self) -> Result<Box<dyn Caller>, String> {
        Ok(Box::new(FunctionCaller::new(stages::repeater())))
    }

    fn caller(&self) -> Result<Box<dyn Caller>, Unmeasured> {
        let function = self.function.clone().ok_or_else(|| Unmeasured::Failed("nothing is loaded".to_owned()))?;
        Ok(Box::new(FunctionCaller::new(function)))
    }
}
