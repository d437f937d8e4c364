//! Markdown to HTML by a real library of each language.
//!
//! The libraries differ in detail, and the one for Lua knows the Markdown of 2004. So the texts keep to what all of them
//! understand alike (headings, paragraphs, emphasis, code, links, flat lists, quotes, rules), and what is compared is the
//! elements in their order, with their attributes and the text in them: white space between blocks does not count.

use std::fmt::Write;
use std::sync::Arc;

use polyhost::native::method;
use polyhost::{Function, Method};
use polyhost_proto::bench::v1::{RenderReply, RenderRequest};
use prost::Message;

use super::{Guest, Request, Workload, excerpt, guests, message, words};
use crate::measure::stages::Codec;
use crate::targets::report::Unmeasured;

const RENDER: Method<RenderRequest, RenderReply> = Method::new("bench.v1.Bench/Render");

/// The workload.
pub(crate) struct Render;

/// `bench.v1.Bench/Render`, by pulldown-cmark.
pub(crate) fn render(request: &RenderRequest) -> RenderReply {
    let mut html = String::with_capacity(request.markdown.len() * 3 / 2);
    pulldown_cmark::html::push_html(&mut html, pulldown_cmark::Parser::new(&request.markdown));
    RenderReply { html }
}

impl Workload for Render {
    fn name(&self) -> &'static str {
        "render"
    }

    fn what(&self) -> &'static str {
        "Markdown to HTML by a library: pulldown-cmark, cmark, Markdig, markdown-it-py, lua-markdown"
    }

    fn native(&self) -> Arc<dyn Function> {
        method(RENDER, |_cx, request| Ok(render(&request)))
    }

    fn guest(&self, scheme: &str) -> Result<Guest, Unmeasured> {
        guests::render(scheme, RENDER.name())
    }

    fn requests(&self, payload: usize, count: usize, random: &mut fastrand::Rng) -> Vec<Request> {
        let request = |_| {
            let bytes = RenderRequest { markdown: page(payload, random) }.encode_to_vec();
            Request { bytes, counter: None }
        };
        (0..count).map(request).collect()
    }

    fn codec(&self) -> Option<Codec> {
        Some(Codec::of::<RenderRequest, RenderReply>())
    }

    fn check(&self, request: &[u8], reply: &[u8]) -> Result<(), String> {
        let (expected, reply) = (render(&message(request)?).html, message::<RenderReply>(reply)?.html);
        let (expected, got) = (elements(&expected), elements(&reply));
        let same = expected.iter().zip(&got).take_while(|(expected, got)| expected == got).count();
        if same == expected.len() && same == got.len() {
            return Ok(());
        }
        let show = |list: &[String]| list.get(same).map_or_else(|| "the end".to_owned(), |it| format!("{it:?}"));
        Err(format!("element {same} is {} in place of {}", show(&got), show(&expected)))
    }

    fn show(&self, reply: &[u8]) -> String {
        message::<RenderReply>(reply).map_or_else(|error| error, |reply| excerpt(reply.html.as_bytes()))
    }
}

/// Every tag with the text behind it, in a form that all libraries share.
fn elements(html: &str) -> Vec<String> {
    let normal = |(tag, text): (&str, &str)| {
        let words: Vec<_> = text.split_whitespace().collect();
        let text = words.join(" ").replace("&quot;", "\"").replace("&gt;", ">");
        format!("<{}>{text}", tag.trim_end_matches('/').trim_end())
    };
    html.split('<').map(|it| it.split_once('>').unwrap_or(("", it))).map(normal).filter(|it| it != "<>").collect()
}

/// A page of about so many bytes.
fn page(payload: usize, random: &mut fastrand::Rng) -> String {
    let mut page = format!("# {}\n", words::some(3, random));
    while page.len() < payload {
        page.push('\n');
        block(&mut page, random);
    }
    page
}

fn block(page: &mut String, random: &mut fastrand::Rng) {
    let kind = random.u8(..10);
    if kind == 0 {
        *page += &format!("{} {}\n", "#".repeat(random.usize(1..=4)), words::some(3, random));
        return;
    }
    *page += &format!("{}\n{}\n", sentence(random), sentence(random));
    if kind > 5 {
        return;
    }
    // Behind a paragraph, because two lists or quotes in a row are one for some, and code behind a list is a part of it.
    page.push('\n');
    match kind {
        1 => items(page, random, |_| "- ".to_owned()),
        2 => items(page, random, |number| format!("{number}. ")),
        3 => *page += &format!("> {}\n> {}\n", sentence(random), sentence(random)),
        4 => *page += &format!("    code {};\n    more(<{}>);\n", words::some(1, random), random.u16(..)),
        _ => *page += "---\n",
    }
}

fn items(page: &mut String, random: &mut fastrand::Rng, mark: impl Fn(usize) -> String) {
    for number in 1..=random.usize(2..=5) {
        writeln!(page, "{}{}", mark(number), sentence(random)).expect("a String takes everything");
    }
}

/// A line with something marked up in it.
fn sentence(random: &mut fastrand::Rng) -> String {
    let (before, marked, after) = (words::some(3, random), words::some(2, random), words::some(2, random));
    let marked = match random.u8(..5) {
        0 => format!("*{marked}*"),
        1 => format!("**{marked}**"),
        2 => format!("`<{marked}>`"),
        3 => format!("[{marked}](https://example.com/{})", random.u32(..)),
        _ => marked,
    };
    format!("{before} {marked} {after}.")
}

#[cfg(test)]
mod tests {
    use super::elements;

    #[test]
    fn spelling_does_not_count_and_content_does() {
        let same = ["<ul>\n  <li>a  b</li>\n</ul><hr />", "<ul><li>a\nb</li></ul>\n<hr/>\n"];
        assert_eq!(elements(same[0]), elements(same[1]));
        for other in ["<ol><li>a b</li></ol><hr>", "<ul><li>a c</li></ul><hr>", "<ul><li>a b</li></ul>"] {
            assert_ne!(elements(same[0]), elements(other), "{other}");
        }
    }
}
