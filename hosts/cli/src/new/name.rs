//! The name of a project, in the forms that languages want.

use std::path::Path;

use super::Kind;

/// A name that is good in every language.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Name {
    /// `word_count`.
    pub(crate) snake: String,
    /// `WordCount`.
    pub(crate) pascal: String,
}

/// Names that something else has already: a library that the project uses, a word of a language, a crate of Rust's.
const TAKEN: &str = "abstract alloc as async await become box break const continue core crate do dyn else enum extern \
    false final fn for gen google grpc if impl in let loop macro match microsoft mod move mut override polyhost priv \
    proc_macro prost protobuf protox pub pytest ref return self static std struct super system test tests trait true \
    try type typeof unsafe unsized use virtual where while yield";

/// The modules of Python's own library, of 3.9 and later: one of that name in a project is found in their place.
const OF_PYTHON: &str = "abc aifc and annotationlib antigravity argparse array assert ast asynchat asyncio asyncore \
    atexit audioop base64 bdb binascii binhex bisect builtins bz2 calendar cgi cgitb chunk class cmath cmd code codecs \
    codeop collections colorsys compileall compression concurrent configparser contextlib contextvars copy copyreg \
    cprofile crypt csv ctypes curses dataclasses datetime dbm decimal def del difflib dis distutils doctest elif email \
    encodings ensurepip errno except faulthandler fcntl filecmp fileinput finally fnmatch formatter fractions from \
    ftplib functools gc genericpath getopt getpass gettext glob global graphlib greeter_pb2 grp gzip hashlib heapq hmac \
    html http idlelib imaplib imghdr imp import importlib inspect io ipaddress is itertools json keyword lambda lib2to3 \
    linecache locale logging lzma mailbox mailcap marshal math mimetypes mmap modulefinder msilib msvcrt \
    multiprocessing netrc nis nntplib none nonlocal not nt ntpath nturl2path numbers opcode operator optparse or os \
    ossaudiodev parser pass pathlib pdb pickle pickletools pip pipes pkgutil platform plistlib poplib posix posixpath \
    pprint profile pstats pty pwd py_compile pyclbr pydoc pydoc_data pyexpat queue quopri raise random re readline \
    reprlib resource rlcompleter runpy sched secrets select selectors setuptools shelve shlex shutil signal site \
    smtpd smtplib sndhdr socket socketserver spwd sqlite3 sre_compile sre_constants sre_parse ssl stat statistics \
    string stringprep subprocess sunau symbol symtable sys sysconfig syslog tabnanny tarfile telnetlib tempfile \
    termios textwrap this threading time timeit tkinter token tokenize tomllib trace traceback tracemalloc tty turtle \
    turtledemo types typing unicodedata unittest urllib uu uuid venv warnings wave weakref webbrowser winreg winsound \
    with wsgiref xdrlib xml xmlrpc zipapp zipfile zipimport zlib zoneinfo";

const LONGEST: usize = 64;

impl Name {
    /// The name of the project in this folder, which need not be there.
    ///
    /// # Errors
    /// Why the folder's name is none for a project, and what would be.
    pub(crate) fn of_folder(folder: &Path, kind: Kind) -> Result<Name, String> {
        let Some(last) = folder.file_name() else {
            return Err(format!("{} has no name for a project; give the path of a new folder", folder.display()));
        };
        Name::parse(&last.to_string_lossy(), kind)
    }

    fn parse(text: &str, kind: Kind) -> Result<Name, String> {
        let form =
            "letters of ASCII and digits, in words joined by - or _, beginning with a letter, such as word-count";
        let words = words(text).filter(|_| text.len() <= LONGEST);
        let words = words.ok_or_else(|| format!("`{text}` is no name for a project: {LONGEST} at most {form}"))?;
        let snake = words.join("_");
        let has = |list: &str| list.split_whitespace().any(|word| word == snake);
        if has(TAKEN) || kind == Kind::Py && has(OF_PYTHON) {
            return Err(format!("`{text}` is no name for a project: {snake} is something else already; take another"));
        }
        let capital = |word: &String| word[..1].to_ascii_uppercase() + &word[1..];
        Ok(Name { pascal: words.iter().map(capital).collect(), snake })
    }
}

/// The words of a name in lower case: `word-count`, `word_count`, `wordCount` and `WordCount` have the same. `None` where
/// it has another character, or begins with none of the alphabet.
fn words(text: &str) -> Option<Vec<String>> {
    if !text.starts_with(|first: char| first.is_ascii_alphabetic()) {
        return None;
    }
    let mut words = Vec::new();
    for part in text.split(['-', '_']) {
        if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        let mut start = 0;
        for (at, pair) in part.as_bytes().windows(2).enumerate() {
            if !pair[0].is_ascii_uppercase() && pair[1].is_ascii_uppercase() {
                words.push(part[start..=at].to_ascii_lowercase());
                start = at + 1;
            }
        }
        words.push(part[start..].to_ascii_lowercase());
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, kind: Kind, expected: Option<(&str, &str)>) {
        let parsed = Name::parse(text, kind).ok();
        let parsed = parsed.as_ref().map(|name| (&*name.snake, &*name.pascal));
        assert_eq!(expected, parsed, "{text}");
    }

    #[test]
    fn a_name_has_the_forms_of_every_language() {
        for text in ["word-count", "word_count", "wordCount", "WordCount", "Word-Count"] {
            check(text, Kind::Clr, Some(("word_count", "WordCount")));
        }
        check("a", Kind::C, Some(("a", "A")));
        check("HTTPServer2", Kind::Lua, Some(("httpserver2", "Httpserver2")));
        check("v-2", Kind::Host, Some(("v_2", "V2")));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", "-", "_a", "a-", "a--b", "2a", "a b", "a.b", "größe", "../a", &"a".repeat(65)] {
            check(text, Kind::Clr, None);
        }
        check("polyhost", Kind::Clr, None);
        check("class", Kind::Clr, Some(("class", "Class")));
        check("json", Kind::Lua, Some(("json", "Json")));
        check("json", Kind::Py, None);
        check("class", Kind::Py, None);
        check("match", Kind::Host, None);
    }
}
