//! Which requests run on the thread that reads the connection.

use polyhost_http::head::{Flags, RequestHead};
use serde_json::Value;

/// Which requests run on the thread that reads the connection, instead of .NET's thread pool, besides those for endpoints
/// that the application itself has marked with an attribute named `Polyhost.InlineAttribute`.
///
/// That saves a hand-over, and costs everybody on that thread what the request takes until it first awaits: it is for
/// endpoints that answer within microseconds. Requests that ask for an upgrade, and those whose body has not come whole,
/// go to the pool whatever is said here: code that waits for the rest would wait for itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inline {
    /// All of them.
    pub all: bool,
    /// Those whose path is one of these, or lies below one that ends in `/*`.
    pub paths: Vec<String>,
}

impl Inline {
    /// Whether a request for this path is one.
    fn takes(&self, path: &[u8]) -> bool {
        let fits = |rule: &String| match rule.as_bytes().strip_suffix(b"/*") {
            Some(prefix) => path.strip_prefix(prefix).is_some_and(|rest| rest.first().is_none_or(|b| *b == b'/')),
            None => rule.as_bytes() == path,
        };
        self.all || self.paths.iter().any(fits)
    }

    /// Whether this request is one, by its head.
    pub(crate) fn chooses(&self, routes: &[Route], head: &RequestHead) -> bool {
        let asked = self.takes(head.path()) || Route::choose(routes, head.method_text(), head.path());
        asked && !head.flags().contains(Flags::UPGRADE)
    }
}

/// A route of the application that runs inline, or that goes before one that does; the first that fits decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    inline: bool,
    /// None for all of them.
    methods: Vec<String>,
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    /// A parameter with a default value that stands for one action: this text, or nothing.
    OptionalLiteral(String),
    Parameter,
    OptionalParameter,
    /// All that is left, also nothing.
    Rest,
}

impl Route {
    /// Reads what `InlineRoutes` in C# says. `None` where a part is not understood.
    pub(crate) fn parse(said: &Value) -> Option<Route> {
        let texts = |name: &str| said[name].as_array().into_iter().flatten().map(Value::as_str);
        let methods = texts("methods").map(|method| Some(method?.to_owned())).collect::<Option<_>>()?;
        let segments = texts("segments").map(|segment| Segment::parse(segment?)).collect::<Option<_>>()?;
        Some(Route { inline: said["inline"].as_bool()?, methods, segments })
    }

    fn choose(routes: &[Route], method: &[u8], path: &[u8]) -> bool {
        routes.iter().find(|route| route.fits(method, path)).is_some_and(|route| route.inline)
    }

    fn fits(&self, method: &[u8], path: &[u8]) -> bool {
        let any = self.methods.is_empty();
        let Some(path) = path.strip_prefix(b"/") else { return false };
        // As in ASP.NET Core's routing, one slash at the end of something means nothing.
        let path = path.strip_suffix(b"/").filter(|rest| !rest.is_empty()).unwrap_or(path);
        (any || self.methods.iter().any(|own| own.as_bytes().eq_ignore_ascii_case(method))) && self.fits_path(path)
    }

    fn fits_path(&self, path: &[u8]) -> bool {
        let mut parts = path.split(|b| *b == b'/').skip(usize::from(path.is_empty()));
        for segment in &self.segments {
            let fits = match (segment, parts.next()) {
                (Segment::Rest, _) => return true,
                (Segment::Literal(text) | Segment::OptionalLiteral(text), Some(part)) => {
                    text.as_bytes().eq_ignore_ascii_case(part)
                }
                (Segment::Parameter | Segment::OptionalParameter, Some(part)) => !part.is_empty(),
                (Segment::OptionalLiteral(_) | Segment::OptionalParameter, None) => true,
                (Segment::Literal(_) | Segment::Parameter, None) => false,
            };
            if !fits {
                return false;
            }
        }
        parts.next().is_none()
    }
}

impl Segment {
    fn parse(said: &str) -> Option<Segment> {
        Some(match said {
            "{}" => Segment::Parameter,
            "{?}" => Segment::OptionalParameter,
            "{*}" => Segment::Rest,
            _ => match said.split_at_checked(1)? {
                ("=", text) => Segment::Literal(text.to_owned()),
                ("?", text) => Segment::OptionalLiteral(text.to_owned()),
                _ => return None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_are_taken_and_what_lies_below() {
        let inline = Inline { all: false, paths: vec!["/health".into(), "/api/*".into()] };
        for path in ["/health", "/api", "/api/", "/api/x/y"] {
            assert!(inline.takes(path.as_bytes()), "{path}");
        }
        for path in ["/", "/health/x", "/apix", "/ap"] {
            assert!(!inline.takes(path.as_bytes()), "{path}");
        }
    }

    #[track_caller]
    fn check(segments: &[&str], fitting: &[&str], others: &[&str]) {
        let route = Route::parse(&json!({ "inline": true, "methods": [], "segments": segments })).expect("a route");
        for (paths, expected) in [(fitting, true), (others, false)] {
            for path in paths {
                assert_eq!(expected, route.fits(b"GET", path.as_bytes()), "{segments:?} {path}");
            }
        }
    }

    #[test]
    fn routes_take_what_routing_would() {
        check(&[], &["/"], &["", "*", "/a", "//"]);
        check(&["=a", "=B"], &["/a/b", "/A/b/"], &["/a", "/a/b/c", "/a//b", "/a/b//"]);
        check(&["=a", "{}"], &["/a/1", "/a/%2F/"], &["/a", "/a/", "/a/1/2"]);
        check(&["=a", "{?}"], &["/a", "/a/", "/a/1"], &["/", "/a/1/2"]);
        check(&["=a", "{*}"], &["/a", "/a/", "/a/1/2"], &["/", "/ab"]);
        check(&["?Home", "?Index", "{?}"], &["/", "/home", "/Home/Index/3"], &["/other", "/Home/Other"]);
    }

    #[test]
    fn the_first_route_that_fits_decides() {
        let routes = [
            json!({ "inline": false, "methods": [], "segments": ["=a", "=slow"] }),
            json!({ "inline": true, "methods": ["GET", "HEAD"], "segments": ["=a", "{}"] }),
            json!({ "inline": false, "methods": [], "segments": ["{*}"] }),
        ];
        let routes = routes.map(|route| Route::parse(&route).expect("a route"));
        for (method, path, expected) in
            [("GET", "/a/1", true), ("get", "/a/1", true), ("POST", "/a/1", false), ("GET", "/a/slow", false)]
        {
            assert_eq!(expected, Route::choose(&routes, method.as_bytes(), path.as_bytes()), "{method} {path}");
        }
    }

    #[test]
    fn a_route_that_is_not_understood_is_none() {
        assert_eq!(None, Route::parse(&json!({ "inline": true, "methods": [], "segments": ["x"] })));
        assert_eq!(None, Route::parse(&json!({ "methods": [], "segments": [] })));
    }
}
