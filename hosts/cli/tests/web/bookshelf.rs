//! The MVC application of hosts/examples/mvc, by its pages, files and forms.

use tempfile::TempDir;

use crate::running::{Running, serve};
use crate::tools::{example, start};
use crate::visitor::{Response, Visitor};

/// The application, with a home of its own for the keys of its cookies.
struct Shelf {
    server: Running,
    _home: TempDir,
}

impl Shelf {
    fn open() -> Option<Shelf> {
        let app = example("Bookshelf")?;
        let home = tempfile::tempdir().expect("a folder");
        let mut command = serve(&app, &["--listen", "127.0.0.1:0"]);
        command.env("HOME", home.path());
        Some(Shelf { server: start(command, &app), _home: home })
    }

    fn visitor(&self) -> Visitor {
        Visitor::new(self.server.address())
    }
}

const TOKEN: &str = "__RequestVerificationToken";

/// The token of the form on a page.
fn token(page: &Response) -> String {
    page.between(&format!("{TOKEN}\" type=\"hidden\" value=\""), "\"").to_owned()
}

#[test]
fn pages_are_made_of_views() {
    let Some(shelf) = Shelf::open() else { return };
    let mut ada = shelf.visitor();
    let home = ada.get("/");
    assert_eq!((200, Some("text/html; charset=utf-8")), (home.status, home.header("content-type")));
    // The layout, a view, a partial one and a component.
    home.has(&[
        "<title>All books · Bookshelf</title>",
        "<h1>5 books</h1>",
        "<a href=\"/books/details/2\">Momo</a>",
        "<span class=\"count\">0</span>",
    ]);
    ada.get("/books/details/3").has(&["Cien a&#xF1;os de soledad", "Gabriel Garc&#xED;a M&#xE1;rquez, 1967"]);
    for path in ["/books/details/99", "/nowhere", "/books/details/x"] {
        let missing = ada.get(path);
        assert_eq!(404, missing.status, "{path}");
        missing.has(&["There is no such page, or no such book.", "<span class=\"count\">"]);
    }
    shelf.server.stop();
}

#[test]
fn files_are_cached_and_sent_in_parts() {
    let Some(shelf) = Shelf::open() else { return };
    let mut ada = shelf.visitor();
    let home = ada.get("/");
    let link = format!("/css/site.css?v={}", home.between("/css/site.css?v=", "\""));
    let style = ada.get(&link);
    assert_eq!((200, Some("text/css")), (style.status, style.header("content-type")));
    let etag = style.header("etag").expect("a file has an ETag");
    let changed = style.header("last-modified").expect("a file has a time");

    for header in [format!("If-None-Match: {etag}\r\n"), format!("If-Modified-Since: {changed}\r\n")] {
        let same = ada.ask("GET", &link, &header, "");
        assert_eq!((304, ""), (same.status, same.body.as_str()), "{header}");
    }
    let part = ada.ask("GET", &link, &format!("Range: bytes=2-11\r\nIf-Range: {etag}\r\n"), "");
    let range = format!("bytes 2-11/{}", style.body.len());
    assert_eq!((206, Some(range.as_str())), (part.status, part.header("content-range")));
    assert_eq!(&style.body[2..12], part.body);
    let other = ada.ask("GET", &link, "Range: bytes=2-11\r\nIf-Range: \"another\"\r\n", "");
    assert_eq!((200, &style.body), (other.status, &other.body));
    assert_eq!(416, ada.ask("GET", &link, "Range: bytes=999999-\r\n", "").status);

    let head = ada.ask("HEAD", &link, "", "");
    let length = style.body.len().to_string();
    assert_eq!((200, Some(length.as_str()), ""), (head.status, head.header("content-length"), head.body.as_str()));
    assert_eq!(Some("image/svg+xml"), ada.get("/img/shelf.svg").header("content-type"));
    assert_eq!(404, ada.get("/css/../../Bookshelf.dll").status);
    shelf.server.stop();
}

#[test]
fn a_form_is_checked_and_answered_by_a_redirect() {
    let Some(shelf) = Shelf::open() else { return };
    let mut ada = shelf.visitor();
    let good = [("Title", "The+Third+Policeman"), ("Author", "Flann+O%E2%80%99Brien"), ("Year", "1967"), ("Note", "")];

    // Not from a page of ours: no token, or one of another visitor.
    assert_eq!(400, ada.post("/books/add", &good).status);
    let stolen = token(&shelf.visitor().get("/books/add"));
    let form = ada.get("/books/add");
    assert_eq!(400, ada.post("/books/add", &[&good[..], &[(TOKEN, &stolen)]].concat()).status);
    ada.get("/").has(&["<h1>5 books</h1>"]);

    let token = token(&form);
    let refused = ada.post("/books/add", &[("Title", "%3Cb%3E"), ("Author", ""), ("Year", "12"), (TOKEN, &token)]);
    assert_eq!(200, refused.status);
    refused.has(&[
        "value=\"&lt;b&gt;\"",
        "The Author field is required.",
        "The field Year must be between 1450 and 2100.",
    ]);

    let taken = ada.post("/books/add", &[&good[..], &[(TOKEN, &token)]].concat());
    assert_eq!((302, Some("/books/details/6")), (taken.status, taken.header("location")), "{}", taken.body);
    let page = ada.get("/books/details/6");
    page.has(&["stands on the shelf now.", "Flann O&#x2019;Brien, 1967"]);
    assert!(!ada.get("/books/details/6").body.contains("stands on the shelf now."), "it is told once");
    ada.get("/").has(&["<h1>6 books</h1>"]);

    let again = ada.post("/books/add", &[&good[..], &[(TOKEN, &token)]].concat());
    assert_eq!(200, again.status);
    again.has(&["There is a book of this title already."]);
    shelf.server.stop();
}

#[test]
fn a_session_is_its_visitors() {
    let Some(shelf) = Shelf::open() else { return };
    let (mut ada, mut bob) = (shelf.visitor(), shelf.visitor());
    let token = token(&ada.get("/"));
    for (id, count) in [("1", 1), ("4", 2), ("1", 1)] {
        let answer = ada.post(&format!("/reading-list/{id}"), &[(TOKEN, &token)]);
        assert_eq!((302, Some("/reading-list")), (answer.status, answer.header("location")));
        ada.get("/reading-list").has(&[&format!("<span class=\"count\">{count}</span>")]);
        bob.get("/reading-list").has(&["<span class=\"count\">0</span>", "There is nothing on it."]);
    }
    assert!(ada.cookies.keys().any(|name| name == ".AspNetCore.Session"), "{:?}", ada.cookies);
    shelf.server.stop();
}
