//! Makes a summary of a document: nested messages, maps and strings, both ways.

use std::collections::BTreeMap;
use std::sync::Arc;

use polyhost::native::method;
use polyhost::{Function, Method, Services};
use polyhost_proto::bench::v1::{Document, Line, Section, SectionSummary, Summary};
use prost::Message;

use super::reply::{field, shown};
use super::{Guest, Request, Workload, callback, guests, message, words};
use crate::measure::stages::Codec;
use crate::targets::report::Unmeasured;

const TRANSFORM: Method<Document, Summary> = Method::new("bench.v1.Bench/Transform");

/// The workload.
pub(crate) struct Transform;

/// `bench.v1.Bench/Transform`.
pub(crate) fn transform(document: &Document) -> Summary {
    let mut quantities = BTreeMap::<String, u64>::new();
    let mut sections = Vec::with_capacity(document.sections.len());
    for section in &document.sections {
        let mut total = 0;
        for line in &section.lines {
            total += u64::from(line.quantity) * u64::from(line.price);
            match quantities.get_mut(&line.sku) {
                Some(quantity) => *quantity += u64::from(line.quantity),
                None => drop(quantities.insert(line.sku.clone(), line.quantity.into())),
            }
        }
        sections.push(SectionSummary { name: section.name.clone(), lines: section.lines.len() as u32, total });
    }
    let names: Vec<_> = document.sections.iter().map(|section| section.name.as_str()).collect();
    Summary {
        title: format!("{}: {}", document.title, names.join(", ")),
        labels: document.labels.iter().map(|(key, value)| (key.clone(), format!("{key}={value}"))).collect(),
        sections,
        quantities,
    }
}

impl Workload for Transform {
    fn name(&self) -> &'static str {
        "transform"
    }

    fn what(&self) -> &'static str {
        "makes a summary of a document: nested messages, maps, strings"
    }

    fn native(&self) -> Arc<dyn Function> {
        method(TRANSFORM, |_cx, document| Ok(transform(&document)))
    }

    fn guest(&self, scheme: &str) -> Result<Guest, Unmeasured> {
        guests::workloads(scheme, TRANSFORM.name())
    }

    fn requests(&self, payload: usize, count: usize, random: &mut fastrand::Rng) -> Vec<Request> {
        let request = |_| Request { bytes: document(payload, random).encode_to_vec(), counter: None };
        (0..count).map(request).collect()
    }

    fn codec(&self) -> Option<Codec> {
        Some(Codec::of::<Document, Summary>())
    }

    fn check(&self, request: &[u8], reply: &[u8]) -> Result<(), String> {
        let (expected, reply) = (transform(&message(request)?), message::<Summary>(reply)?);
        field("title", &expected.title, &reply.title)?;
        field("labels", &expected.labels, &reply.labels)?;
        field("sections", &expected.sections, &reply.sections)?;
        field("quantities", &expected.quantities, &reply.quantities)
    }

    fn services(&self) -> Services {
        callback::services()
    }

    fn show(&self, reply: &[u8]) -> String {
        shown::<Summary>(reply)
    }
}

/// A document of about so many bytes: a fifth of it labels, the rest sections of five lines.
fn document(payload: usize, random: &mut fastrand::Rng) -> Document {
    const LABEL: usize = 32;
    const SECTION: usize = 130;
    let labels = (0..payload / 5 / LABEL).map(|i| (format!("{}-{i}", words::one(random)), words::some(2, random)));
    let labels = labels.collect();
    let sections = (0..payload * 4 / 5 / SECTION).map(|_| section(random)).collect();
    Document { title: words::some(3, random), labels, sections }
}

fn section(random: &mut fastrand::Rng) -> Section {
    let line = |random: &mut fastrand::Rng| Line {
        // Few enough that most come again.
        sku: format!("{}-{}", words::one(random), random.u8(..10)),
        quantity: random.u32(..20),
        price: random.u32(..1_000_000),
    };
    Section { name: words::some(2, random), lines: (0..5).map(|_| line(random)).collect() }
}
