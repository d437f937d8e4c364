//! What must hold for every page.

use std::collections::HashSet;

use roxmltree::{Document, Node, ParsingOptions};

use super::render;
use crate::report::plots::class;
use crate::report::sample;
use crate::report::svg::{fitted, width_of};
use crate::report::view::View;
use crate::result::schema::RunResult;

fn all() -> [RunResult; 5] {
    [sample::standard(), sample::open_loop(), sample::one(), sample::none(), sample::strange()]
}

fn parsed(page: &str) -> Document<'_> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    Document::parse_with_options(page, options).expect("it is well-formed")
}

fn plots<'a>(page: &'a Document<'_>) -> Vec<Node<'a, 'a>> {
    page.descendants().filter(|it| it.attribute("role") == Some("img")).collect()
}

fn texts<'a>(node: Node<'a, 'a>, tag: &'static str) -> Vec<Node<'a, 'a>> {
    node.descendants().filter(|it| it.has_tag_name(("http://www.w3.org/2000/svg", tag))).collect()
}

#[test]
fn pages_need_nothing_else() {
    for page in all().iter().map(render) {
        let page = parsed(&page);
        for node in page.descendants().filter(Node::is_element) {
            assert!(!["script", "link", "img", "iframe", "image", "use"].contains(&node.tag_name().name()), "{node:?}");
            for attribute in node.attributes() {
                assert!(!attribute.name().starts_with("on") && attribute.name() != "src", "{attribute:?}");
                assert!(attribute.name() != "href" || attribute.value().starts_with('#'), "{attribute:?}");
            }
        }
        let style = page.descendants().find(|it| it.tag_name().name() == "style").and_then(|it| it.text());
        assert!(style.is_some_and(|it| !it.contains("url(") && !it.contains("@import")));
    }
}

#[test]
fn links_lead_somewhere_and_ids_are_unique() {
    for page in all().iter().map(render) {
        let page = parsed(&page);
        let ids: Vec<&str> = page.descendants().filter_map(|it| it.attribute("id")).collect();
        let unique: HashSet<&str> = ids.iter().copied().collect();
        assert_eq!(ids.len(), unique.len());
        for link in page.descendants().filter_map(|it| it.attribute("href")) {
            assert!(unique.contains(&link[1..]), "{link}");
        }
        for label in plots(&page).iter().flat_map(|it| it.attribute("aria-labelledby").unwrap_or_default().split(' ')) {
            assert!(unique.contains(label), "{label}");
        }
    }
}

#[test]
fn a_standard_run_makes_a_page_of_less_than_300_kb() {
    let (standard, open) = (render(&sample::standard()).len(), render(&sample::open_loop()).len());
    assert!(standard < 300_000 && open < 300_000, "{standard} and {open}");
}

#[test]
fn what_is_not_told_has_its_reason() {
    let page = render(&sample::standard());
    assert!(page.contains("middleware, 1 KiB, 1 caller: cpython, child-python: not told, nobody knows"));
}

#[test]
fn every_contender_is_named_in_every_plot_it_belongs_to() {
    for result in [sample::standard(), sample::open_loop(), sample::strange()] {
        let (page, view) = (render(&result), View::new(&result));
        let page = parsed(&page);
        for (section, has) in [("lat", true), ("stage", false), ("thr", false), ("par", false)] {
            for (i, workload) in view.workloads().into_iter().enumerate() {
                let id = format!("{section}{i}-t {section}{i}-d");
                let plot = plots(&page).into_iter().find(|it| it.attribute("aria-labelledby") == Some(&id));
                assert!(plot.is_some() || !has, "{id}");
                let Some(plot) = plot else { continue };
                let point = view.of_workload(workload).expect("it was measured");
                let drawn = point.rows.iter().filter(|row| section != "stage" || row.measured.stages.is_some());
                drawn.for_each(|row| names(plot, row.contender));
            }
        }
        for (id, expected) in [("start", view.starts().len()), ("memory0", view.points[0].rows.len())] {
            let id = format!("{id}-t {id}-d");
            let plot =
                plots(&page).into_iter().find(|it| it.attribute("aria-labelledby") == Some(&id)).expect("it is there");
            let bars = texts(plot, "text").len();
            assert!(bars >= 2 * expected, "{bars}");
            view.starts().iter().filter(|_| expected == view.starts().len()).for_each(|(name, _)| names(plot, name));
        }
    }
}

/// In words for those who don't see it, and at its line or bar.
fn names(plot: Node<'_, '_>, contender: &str) {
    let shown = contender.replace('\n', " ");
    let words = texts(plot, "desc")[0].text().unwrap_or_default();
    assert!(words.contains(&shown), "{shown}: {words}");
    let written: Vec<&str> = texts(plot, "text").iter().filter_map(Node::text).collect();
    let begins = |name: &str| written.iter().any(|it| it.starts_with(name));
    let written = begins(&shown) || (40..140).any(|width| begins(&fitted(&shown, f64::from(width))));
    assert!(written, "{shown}");
}

/// The places of a text, about: left, right, top, bottom.
fn area(text: Node<'_, '_>) -> (f64, f64, f64, f64) {
    let number = |name| text.attribute(name).and_then(|it| it.parse::<f64>().ok()).expect("it has a place");
    let size = if text.attribute("class") == Some("l") { 1.0 } else { 11.0 / 12.0 };
    let (x, y, width) = (number("x"), number("y"), width_of(text.text().unwrap_or_default()) * size);
    let left = match text.attribute("text-anchor") {
        Some("middle") => x - width / 2.0,
        Some(_) => x - width,
        None => x,
    };
    (left, left + width, y - 9.0 * size, y + 2.0)
}

#[test]
fn no_text_is_cut_off_or_covers_another() {
    for page in all().iter().map(render) {
        let page = parsed(&page);
        for plot in plots(&page) {
            let size: Vec<f64> = plot
                .attribute("viewBox")
                .expect("it has a size")
                .split(' ')
                .map(|it| it.parse().expect("a number"))
                .collect();
            let all: Vec<_> =
                texts(plot, "text").into_iter().map(|it| (it.text().unwrap_or_default(), area(it))).collect();
            for (i, (text, a)) in all.iter().enumerate() {
                assert!(
                    a.0 >= -1.0 && a.1 <= size[2] + 1.0 && a.2 >= 0.0 && a.3 <= size[3],
                    "{text}: {a:?} in {size:?}"
                );
                for (other, b) in &all[..i] {
                    let apart = a.1 <= b.0 || b.1 <= a.0 || a.3 <= b.2 || b.3 <= a.2;
                    assert!(apart, "{text:?} {a:?} and {other:?} {b:?}: {:?}", plot.attribute("aria-labelledby"));
                }
            }
        }
    }
}

#[test]
fn what_was_not_measured_and_what_to_mistrust_is_told() {
    let page = render(&sample::standard());
    for expected in [
        "skipped: no Markdown library for C",
        "failed: ended by signal 11",
        "failed: no answer after 30 s",
        "skipped: no JVM on PATH",
        "of kestrel",
        "CPU and memory: of the server alone",
        "other programs used 0.21",
        "indistinguishable from native",
        "had not settled",
        ".NET 8.0.12",
    ] {
        assert!(page.contains(expected), "{expected}");
    }
    assert!(render(&sample::none()).contains("Nothing was measured"));
    assert!(render(&sample::one()).contains("The run was interrupted"));
    assert!(render(&sample::strange()).contains("&lt;script&gt;alert(1)"));
}

#[test]
fn only_who_was_measured_with_more_callers_scales() {
    let mut result = sample::standard();
    result.cells.retain(|it| it.contender != "cpython" || it.concurrency == 1);
    let page = render(&result);
    let page = parsed(&page);
    let scaling = plots(&page).into_iter().find(|it| it.attribute("aria-labelledby") == Some("par0-t par0-d"));
    let scaling = scaling.expect("echo has two callers");
    let all: String =
        texts(scaling, "text").into_iter().chain(texts(scaling, "desc")).filter_map(|it| it.text()).collect();
    assert!(all.contains("clr") && !all.contains("cpython"), "{all}");
}

#[test]
fn the_same_contender_has_the_same_colour_everywhere() {
    let result = sample::standard();
    let (page, view) = (render(&result), View::new(&result));
    let page = parsed(&page);
    let row =
        |it: &Node<'_, '_>| it.tag_name().name() == "tr" && it.attribute("class").is_some_and(|it| it.starts_with('c'));
    let colours: Vec<_> = page.descendants().filter(row).filter_map(|it| it.attribute("class")).collect();
    let colour = |name: &str| format!("c{}", view.number(name));
    let rows = &view.headline().expect("echo was measured").rows;
    assert_eq!(rows.iter().map(|row| colour(row.contender)).collect::<Vec<_>>(), colours);
    for plot in plots(&page) {
        // A name follows its mark.
        for (mark, text) in plot.children().zip(plot.children().skip(1)) {
            let contender = result.contenders.iter().find(|it| Some(it.name.as_str()) == text.text());
            if let Some(contender) = contender {
                let expected = class("f", view.number(&contender.name));
                assert_eq!(Some(expected.as_str()), mark.attribute("class"), "{}", contender.name);
            }
        }
    }
}
