//! The types of pyo3, mlua-sys and netcorehost stay within their hosts: another version of theirs must not break who
//! uses ours.
//!
//! Rust has no stable way to ask for the public API, so the sources are read. What is `pub` alone is public: the lint
//! `unreachable_pub` sees to that.

use std::collections::BTreeSet;
use std::path::Path;

/// A host, the crates whose types are private to it, and how names of theirs begin that come by a glob.
const HOSTS: [(&str, &[&str], &[&str]); 4] = [
    ("native", &["libloading"], &[]),
    ("clr", &["netcorehost"], &["PdC"]),
    ("cpython", &["pyo3", "pyo3_ffi"], &["Py", "Python", "Bound", "Borrowed", "IntoPy", "FromPy"]),
    ("luajit", &["mlua_sys", "mlua"], &["lua_", "luaL_"]),
];

#[test]
fn no_type_of_another_binding_is_in_a_public_signature() {
    for (host, crates, prefixes) in HOSTS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(host).join("src");
        let mut files = Vec::new();
        read(&folder, &mut files);
        assert!(files.len() > 5, "{} has {} files", folder.display(), files.len());
        let public: BTreeSet<_> = files.iter().flat_map(|(_, text)| public_types(text)).collect();
        let leak = |(path, text): &(String, String)| {
            let leaks = leaks(text, crates, prefixes, &public);
            leaks.into_iter().map(|item| format!("{path}: {item}")).collect::<Vec<_>>()
        };
        let found: Vec<_> = files.iter().flat_map(leak).collect();
        assert!(found.is_empty(), "{host} makes types of {} public:\n{}", crates.join(", "), found.join("\n"));
    }
}

#[test]
fn a_leak_is_seen_wherever_it_is() {
    let check = |text: &str, expected: usize| {
        let text = code(&format!("use other::{{Thing, deep::Inner as Renamed}};\nuse other::prelude::*;\n{text}"));
        let found = leaks(&text, &["other"], &["Py"], &public_types(&text).collect());
        assert_eq!(expected, found.len(), "{text}\n{found:?}");
    };
    check("pub fn f(it: &Thing) {}", 1);
    check("pub fn f(\n    it: u8,\n) -> Option<Renamed>\nwhere\n    u8: Copy,\n{ }", 1);
    check("pub fn f() -> PyResult<()> { }", 1);
    check("pub fn f<T: other::Trait>(it: T) { }", 1);
    check("pub struct S { pub it: Thing }", 1);
    check("pub struct S(u8, pub Thing);", 1);
    check("pub enum E { A(Thing) }", 1);
    check("pub trait T { fn f(&self) -> Thing; }", 1);
    check("pub type T = Vec<Thing>;\npub use other::Thing as Ours;", 2);
    check("pub struct S;\nimpl From<Thing> for S { }", 1);
    check("pub const C: &str = \"\";\npub fn g() { let it: Thing; }", 0);
    check("pub(crate) fn f(it: &Thing) {}\nfn g(it: Thing) {}\nstruct P;\nimpl From<Thing> for P { }", 0);
    check("pub struct S { it: Thing }\npub struct T(Thing);\n// pub fn f(it: Thing)\n/* pub fn f(it: Thing) */", 0);
    check("pub fn f(it: &Nothing, other: u8) -> &'static str { \"Thing\" }", 0);
}

/// The public items of a file that name a type of one of `crates`.
fn leaks(text: &str, crates: &[&str], prefixes: &[&str], public: &BTreeSet<String>) -> Vec<String> {
    let mut foreign = imported(text, crates);
    foreign.extend(crates.iter().map(|name| format!("{name}::")));
    let names_one = |item: &str| {
        words(item).any(|(word, rest)| {
            let path = format!("{word}::");
            let is_path = rest.starts_with("::") && foreign.contains(&path);
            is_path || foreign.contains(word) || prefixes.iter().any(|prefix| begins(word, prefix))
        })
    };
    let of_public = |header: &str| words(header).any(|(word, _)| public.contains(word));
    let items = public_items(text).filter(|item| names_one(item));
    let impls = starts(text, "impl").map(|rest| rest.split('{').next().unwrap_or_default());
    let impls = impls.filter(|header| header.contains(" for ") && of_public(header) && names_one(header));
    items.chain(impls).map(|item| item.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// `Py` begins `PyErr`, `Bound` itself, and `lua_` all there are.
fn begins(word: &str, prefix: &str) -> bool {
    let rest = word.strip_prefix(prefix);
    rest.is_some_and(|rest| prefix.ends_with('_') || !rest.starts_with(char::is_lowercase))
}

/// What `use` takes from the crates into a file, by the names it has there.
fn imported(text: &str, crates: &[&str]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for rest in starts(text, "use") {
        let tree = rest.split(';').next().unwrap_or_default();
        let first = words(tree).map(|(word, _)| word).next().unwrap_or_default();
        if !crates.contains(&first) {
            continue;
        }
        for part in tree.split([',', '{', '}']) {
            let last = words(part).map(|(word, _)| word).last().unwrap_or_default();
            // A module is named as the head of a path.
            let is_type = last.starts_with(char::is_uppercase);
            names.insert(if is_type || last.contains('_') { last.to_owned() } else { format!("{last}::") });
        }
    }
    names
}

/// The names of the public types of a file.
fn public_types(text: &str) -> impl Iterator<Item = String> {
    let kinds = ["struct", "enum", "union"];
    let named = move |rest: &str| {
        let mut words = words(rest).map(|(word, _)| word);
        words.next().filter(|kind| kinds.contains(kind)).and_then(|_| words.next()).map(str::to_owned)
    };
    starts(text, "pub").filter_map(named).collect::<Vec<_>>().into_iter()
}

/// What is public: signatures, fields, whole enums and traits.
fn public_items(text: &str) -> impl Iterator<Item = &str> {
    starts(text, "pub").filter(|rest| !rest.starts_with('(')).map(|rest| {
        let kind = words(rest).map(|(word, _)| word).find(|word| !["unsafe", "async", "const"].contains(word));
        match kind.unwrap_or_default() {
            "enum" | "trait" => &rest[..end_of_block(rest)],
            // Fields are public each by itself.
            "struct" | "union" => &rest[..rest.find(['{', ';', '(']).unwrap_or(rest.len())],
            "use" | "type" | "static" | "mod" => &rest[..rest.find(';').unwrap_or(rest.len())],
            "fn" | "extern" => &rest[..rest.find(['{', ';']).unwrap_or(rest.len())],
            // A constant, or a field.
            _ => &rest[..rest.find([';', '=', '\n', '}']).unwrap_or(rest.len())],
        }
    })
}

/// Where the first block of a text ends.
fn end_of_block(text: &str) -> usize {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if c == '}' && depth == 0 {
            return at;
        }
    }
    text.len()
}

/// What stands behind each occurrence of a keyword.
fn starts<'a>(text: &'a str, keyword: &str) -> impl Iterator<Item = &'a str> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(keyword).filter_map(move |(at, found)| {
        let rest = &text[at + found.len()..];
        let whole = !text[..at].ends_with(is_name) && !rest.starts_with(is_name);
        whole.then(|| if rest.starts_with('(') { rest } else { rest.trim_start() })
    })
}

/// The names in a text, each with what stands behind it.
fn words(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c| !is_name(c));
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        let word = &rest[..end];
        rest = &rest[end..];
        (!word.is_empty()).then_some((word, rest))
    })
}

/// A source without comments and texts.
fn code(source: &str) -> String {
    let mut code = String::new();
    let mut rest = source;
    while let Some(at) = rest.find(['/', '"']) {
        code += &rest[..at];
        rest = &rest[at..];
        let end = if rest.starts_with("//") {
            rest.find('\n')
        } else if rest.starts_with("/*") {
            rest.find("*/").map(|end| end + 2)
        } else if rest.starts_with('/') || code.ends_with('\'') {
            code.push(' ');
            Some(1)
        } else {
            let mut escaped = false;
            let closes = |(_, c): &(usize, char)| {
                let closes = *c == '"' && !escaped;
                escaped = *c == '\\' && !escaped;
                closes
            };
            rest.char_indices().skip(1).find(closes).map(|(end, _)| end + 1)
        };
        rest = &rest[end.unwrap_or(rest.len())..];
    }
    code + rest
}

fn read(folder: &Path, files: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).expect("can be read") {
        let path = entry.expect("can be read").path();
        if path.is_dir() {
            read(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = std::fs::read_to_string(&path).expect("can be read");
            files.push((path.display().to_string(), code(&text)));
        }
    }
}
