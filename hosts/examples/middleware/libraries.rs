//! Libraries that nobody here wrote, called through the same trait with real text: this project's own pages.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use polyhost::{CallContext, Error, Function, LoadOptions, Output, Registry, Result};

use crate::files;
use crate::report::{Line, Outcome};
use crate::run::skip;

/// A guest that wraps a library.
struct Library {
    name: &'static str,
    scheme: &'static str,
    locate: fn() -> Result<String, String>,
    export: &'static str,
    /// Calls the function, and says what came of it or what is wrong with that.
    try_out: fn(&dyn Function, &mut Pages) -> Result<Outcome<String>>,
}

const LIBRARIES: [Library; 4] = [
    Library {
        name: "markdown-it-py (Python)",
        scheme: "py",
        locate: || Ok(files::example("py:", "python/libraries.py")),
        export: "markdown/ToHtml",
        try_out: common_mark,
    },
    Library {
        name: "Markdig (C#)",
        scheme: "clr",
        locate: || files::assembly("Libraries"),
        export: "markdown/ToHtml",
        try_out: common_mark,
    },
    Library {
        name: "lua-markdown (Lua)",
        scheme: "lua",
        locate: || match files::lua_libraries().join("markdown.lua") {
            file if file.is_file() => Ok(files::example("lua:", "lua/libraries.lua")),
            file => Err(format!("{} is not there; `make setup` gets it", file.display())),
        },
        export: "markdown/ToHtml",
        try_out: old_markdown,
    },
    Library {
        name: "NodaTime (C#)",
        scheme: "clr",
        locate: || files::assembly("Libraries"),
        export: "clock/ToInstants",
        try_out: clock,
    },
];

/// Calls all of them.
pub(crate) fn run(registry: &Registry) -> Vec<Line> {
    let mut pages = Pages::read();
    let run = |library: &Library| Line { library: library.name, outcome: library.run(registry, &mut pages) };
    LIBRARIES.iter().map(run).collect()
}

impl Library {
    fn run(&self, registry: &Registry, pages: &mut Pages) -> Outcome<String> {
        let location = match (self.locate)() {
            Ok(location) => location,
            // The library is what is missing, and no runtime.
            Err(reason) => return Outcome::Skipped(reason),
        };
        if let Err(error) = registry.runtime(self.scheme) {
            return skip(self.scheme, error.to_string());
        }
        let outcome = self.load(registry, &location).and_then(|function| (self.try_out)(&*function, pages));
        outcome.unwrap_or_else(|error| Outcome::Failed(format!("{error:?}")))
    }

    fn load(&self, registry: &Registry, location: &str) -> Result<Arc<dyn Function>> {
        let mut options = LoadOptions::new();
        if self.scheme == "lua" {
            options = options.option("path", files::lua_libraries().display().to_string());
        }
        registry.load(location, &options)?.function(self.export)
    }
}

/// Texts in Markdown.
struct Pages {
    /// Path and text.
    texts: Vec<(String, String)>,
    /// What the first renderer by CommonMark's rules has made of each.
    html: Option<Vec<String>>,
}

impl Pages {
    /// Every page of the checkout, and its licence.
    fn read() -> Self {
        let mut texts = Vec::new();
        collect(files::root(), &mut texts);
        texts.sort();
        Pages { texts, html: None }
    }

    fn render(&self, function: &dyn Function) -> Result<Vec<String>> {
        self.texts.iter().map(|(_, text)| call(function, text)).collect()
    }
}

fn collect(folder: &Path, texts: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if name.starts_with('.') || name == "target" {
            continue;
        }
        if path.is_dir() {
            collect(&path, texts);
        } else if (name.ends_with(".md") || name == "LICENSE")
            && let Ok(text) = fs::read_to_string(&path)
        {
            texts.push((path.strip_prefix(files::root()).unwrap_or(&path).display().to_string(), text));
        }
    }
}

fn call(function: &dyn Function, text: &str) -> Result<String> {
    let mut output = Output::new();
    function.call(&CallContext::none(), text.as_bytes(), &mut output)?;
    String::from_utf8(output.into_vec()).map_err(|e| {
        Error::new(polyhost::ErrorKind::Decode, format!("{} replied with no text", function.export().name()))
            .caused_by(e)
    })
}

/// Every renderer by CommonMark's rules makes the same of a text.
fn common_mark(function: &dyn Function, pages: &mut Pages) -> Result<Outcome<String>> {
    let start = Instant::now();
    let html = pages.render(function)?;
    let mut line = tell(pages, &html, start);
    match &pages.html {
        None => pages.html = Some(html),
        Some(before) => {
            for ((path, _), (before, now)) in pages.texts.iter().zip(before.iter().zip(&html)) {
                let (before, now) = (elements(before), elements(now));
                if let Some((before, now)) = before.iter().zip(&now).find(|(before, now)| before != now) {
                    return Ok(Outcome::Failed(format!("{path}: here {now:?}, by the other library {before:?}")));
                }
                if before.len() != now.len() {
                    return Ok(Outcome::Failed(format!("{path}: the end is missing in one of the two")));
                }
            }
            line += ", the same as the other's";
        }
    }
    Ok(Outcome::Ran(line))
}

/// Every tag with the text behind it. White space alone between two tags does not count, as in CommonMark's own tests.
fn elements(html: &str) -> Vec<(&str, &str)> {
    let elements = html.split('<').map(|it| it.split_once('>').unwrap_or((it, "")));
    elements.map(|(tag, text)| (tag, if text.trim().is_empty() { "" } else { text })).collect()
}

/// The Markdown of 2004 had no fenced code, but the same headings.
fn old_markdown(function: &dyn Function, pages: &mut Pages) -> Result<Outcome<String>> {
    let start = Instant::now();
    let html = pages.render(function)?;
    let line = tell(pages, &html, start);
    for ((path, text), html) in pages.texts.iter().zip(&html) {
        let titles = text.lines().take(1).filter_map(|line| line.strip_prefix("# "));
        for title in titles {
            if !html.contains(&format!("<h1>{title}</h1>")) {
                return Ok(Outcome::Failed(format!("the title of {path} is no heading:\n{html:.400}")));
            }
        }
    }
    Ok(Outcome::Ran(line))
}

fn tell(pages: &Pages, html: &[String], start: Instant) -> String {
    let read: usize = pages.texts.iter().map(|(_, text)| text.len()).sum();
    let written: usize = html.iter().map(String::len).sum();
    let time = start.elapsed().as_secs_f64() * 1e3;
    format!("{} pages, {read} bytes of Markdown: {written} bytes of HTML in {time:.1} ms", pages.texts.len())
}

/// In spring an hour is left out, in autumn one comes twice.
fn clock(function: &dyn Function, _pages: &mut Pages) -> Result<Outcome<String>> {
    let times = [
        ("2026-03-29T02:30:00 Europe/Berlin", ""),
        ("2026-07-01T12:00:00 Europe/Berlin", "2026-07-01T10:00:00Z"),
        ("2026-10-25T02:30:00 Europe/Berlin", "2026-10-25T00:30:00Z 2026-10-25T01:30:00Z"),
    ];
    for (shown, expected) in times {
        let instants = call(function, shown)?;
        if instants != expected {
            return Ok(Outcome::Failed(format!("{shown} is at {instants:?} and not at {expected:?}")));
        }
    }
    let (shown, instants) = times[2];
    Ok(Outcome::Ran(format!("{shown} is shown twice: {instants}")))
}
