//! Who serves an application over HTTP. The servers are processes of their own; this one is their client.
//!
//! Every caller has a connection that is kept, and waits on it.

use std::sync::Arc;

use polyhost::{Error, ErrorKind, Output, Result};

use super::{Caller, Contender, Known};
use crate::facts::{Fact, fact};
use crate::http::{Connection, Kind, Server, facts_of, need};
use crate::result::schema::ACCOUNT;
use crate::targets::report::Unmeasured;
use crate::workloads::Workload;
use crate::workloads::http::NAME;

const ALL: [(&str, &str, Kind); 5] = [
    ("polyhost-pool", "ASP.NET Core behind Polyhost, its requests on .NET's thread pool", Kind::Pool),
    (
        "polyhost-inline",
        "ASP.NET Core behind Polyhost, its requests on the thread that reads the connection",
        Kind::Inline,
    ),
    ("kestrel", "ASP.NET Core behind Kestrel, as `dotnet App.dll` serves it", Kind::Kestrel),
    ("nginx-kestrel", "ASP.NET Core behind Kestrel, behind nginx", Kind::Nginx),
    ("hyper", "hyper alone, without ASP.NET Core: the floor", Kind::Hello),
];

pub(super) fn known() -> Vec<Known> {
    let known = |(name, what, _): &(&str, &str, _)| Known { name: (*name).into(), what: (*what).into(), scheme: None };
    ALL.iter().map(known).collect()
}

/// What the contender of this name serves by, where it is one of these.
pub(super) fn kind(name: &str) -> Option<Kind> {
    ALL.iter().find(|(it, ..)| *it == name).map(|(.., kind)| *kind)
}

/// A server that runs.
pub(super) struct Front {
    kind: Kind,
    server: Server,
}

impl Front {
    /// Starts a server, and waits until it listens.
    pub(super) fn start(kind: Kind) -> std::result::Result<Front, Unmeasured> {
        need(&[kind])?;
        Ok(Front { kind, server: Server::start(kind)? })
    }
}

impl Contender for Front {
    fn facts(&self) -> Vec<Fact> {
        let mut facts = facts_of(self.kind, &self.server);
        facts.push(fact(ACCOUNT, "of the server alone"));
        facts
    }

    fn load(&mut self, workload: &Arc<dyn Workload>) -> std::result::Result<(), Unmeasured> {
        if workload.name() == NAME {
            return Ok(());
        }
        Err(Unmeasured::Skipped(format!("a server of HTTP has no part in {}", workload.name())))
    }

    fn caller(&self) -> std::result::Result<Box<dyn Caller>, Unmeasured> {
        let address = self.server.address;
        let connection = Connection::open(address).map_err(|e| Unmeasured::Failed(format!("{address}: {e}")))?;
        Ok(Box::new(Visitor { connection }))
    }

    fn pids(&self) -> Vec<u32> {
        self.server.pids()
    }

    fn is_apart(&self) -> bool {
        true
    }
}

struct Visitor {
    connection: Connection,
}

impl Caller for Visitor {
    fn call(&mut self, request: &[u8], output: &mut Output) -> Result<()> {
        let take = |piece: &[u8]| output.write(piece).map_err(std::io::Error::other);
        self.connection.exchange(request, take).map_err(|e| gone(&e))
    }
}

#[cold]
fn gone(error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Closed, format!("the server does not answer as it should: {error}"))
}
