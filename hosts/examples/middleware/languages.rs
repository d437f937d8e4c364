//! The languages that the middleware is written in, and how each is loaded.

use polyhost::native::{Native, NativeConfig};
use polyhost::{Error, ErrorKind, LoadOptions, Method, Registry, Result, Services, TypedFunction};
use polyhost_proto::DESCRIPTORS;
use polyhost_proto::bench::v1::{HmacReply, HmacRequest, Reply, Request};

use crate::files;
use crate::native::{self, Middleware};

/// Checks, rewrites, transforms, counts.
pub(crate) const HANDLE: Method<Request, Reply> = Method::new("bench.v1.Middleware/Handle");
/// Path and headers alone.
pub(crate) const REWRITE: Method<Request, Reply> = Method::new("bench.v1.Middleware/Rewrite");
const HMAC: Method<HmacRequest, HmacReply> = Method::new("bench.v1.Crypto/HmacSha256");

/// A language.
pub(crate) struct Language {
    /// For people.
    pub(crate) name: &'static str,
    /// The scheme of its runtime.
    pub(crate) scheme: &'static str,
    /// Where the guest is, or why there is none. Builds it where that is easily done.
    pub(crate) locate: fn() -> Result<String, String>,
}

/// All of them, in the order in which they are started.
pub(crate) const LANGUAGES: [Language; 5] = [
    Language { name: "Rust", scheme: "native", locate: || Ok("native:middleware".to_owned()) },
    Language { name: "C", scheme: "native", locate: || Ok(format!("native:{}", files::c_library()?.display())) },
    Language { name: "Lua", scheme: "lua", locate: || Ok(files::example("lua:", "lua/middleware.lua")) },
    Language { name: "Python", scheme: "py", locate: || Ok(files::example("py:", "python/middleware_guest.py")) },
    Language { name: "C#", scheme: "clr", locate: || files::assembly("Middleware") },
];

/// Every runtime there is, none started, with the middleware in Rust as `native:middleware`.
pub(crate) fn registry() -> Registry {
    let mut registry = polyhost::registry();
    registry.add("native", || {
        let config = NativeConfig::new().module("middleware", |module, _options| {
            let middleware = Middleware::default();
            Ok(module
                .method(HANDLE, move |_cx, request| Ok(middleware.handle(request)))
                .method(REWRITE, |_cx, request| Ok(native::rewrite(request)))
                .descriptors(DESCRIPTORS))
        });
        // SAFETY: the one library that is loaded is made of c/middleware.c, which keeps the contract of polyhost.h.
        Ok(Native::start(unsafe { config.allow_libraries() }))
    });
    registry
}

/// A loaded middleware.
pub(crate) struct Loaded {
    /// `Handle`, where the language has it.
    pub(crate) handle: Option<TypedFunction<Request, Reply>>,
    /// `Rewrite`, which all have.
    pub(crate) rewrite: TypedFunction<Request, Reply>,
}

impl Loaded {
    /// Loads the middleware at a location that [`Language::locate`] gave.
    ///
    /// # Errors
    /// As [`Registry::load`] and [`Method::checked_of`].
    pub(crate) fn load(registry: &Registry, location: &str) -> Result<Self> {
        let mut options = LoadOptions::new().services(services()?);
        if location.starts_with("lua:") {
            options = options.option("proto_path", files::root().join("proto").display().to_string());
        }
        let module = registry.load(location, &options)?;
        let handle = match HANDLE.checked_of(&*module) {
            Ok(handle) => Some(handle),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let rewrite = REWRITE.checked_of(&*module)?;
        Ok(Loaded { handle, rewrite })
    }
}

/// What a middleware may call: what Lua lacks.
fn services() -> Result<Services, Error> {
    let mut services = Services::new();
    services.add(polyhost::native::method(HMAC, |_cx, request| {
        Ok(HmacReply { digest: native::hmac_sha256(&request.key, &request.message).into() })
    }))?;
    Ok(services)
}

/// Whether `POLYHOST_REQUIRE` has the runtime of this scheme in its list.
pub(crate) fn is_required(scheme: &str) -> bool {
    let name = match scheme {
        "lua" => "luajit",
        "py" => "cpython",
        other => other,
    };
    std::env::var("POLYHOST_REQUIRE").is_ok_and(|list| list.split(',').any(|it| it.trim() == name))
}
