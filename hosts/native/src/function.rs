//! Rust closures as functions.

use std::fmt;
use std::sync::Arc;

use polyhost_bridge::observe::Callee;
use polyhost_bridge::{CallContext, Export, Function, Lifecycle, Method, Output, Result, boundary};
use prost::{Message, Name};

use crate::error;

/// A closure as a function that stands alone: a host service, say.
///
/// `run` appends its reply to the output. A panic of it becomes an
/// [`Internal`](polyhost_bridge::ErrorKind::Internal) error of the call. To fail with a status code, return
/// [`Error::status`](polyhost_bridge::Error::status).
///
/// ```
/// use polyhost_bridge::{Export, Services};
///
/// let mut services = Services::new();
/// services.add(polyhost_native::function(Export::bytes("host/Echo"), |_cx, input, output| output.write(input)))?;
/// # Ok::<_, polyhost_bridge::Error>(())
/// ```
pub fn function(
    export: Export,
    run: impl Fn(&CallContext, &[u8], &mut Output) -> Result<()> + Send + Sync + 'static,
) -> Arc<dyn Function> {
    Arc::new(Closure { export, module: None, run })
}

/// The same with prost messages.
///
/// ```
/// use polyhost_bridge::Method;
/// use polyhost_proto::conformance::v1::{RecurseReply, RecurseRequest};
///
/// const RECURSE: Method<RecurseRequest, RecurseReply> = Method::new("conformance.v1.Conformance/Recurse");
/// let service = polyhost_native::method(RECURSE, |_cx, request| Ok(RecurseReply { depth: request.depth }));
/// assert_eq!(Some("conformance.v1.RecurseReply"), service.export().output_type());
/// ```
pub fn method<Req, Rep>(
    method: Method<Req, Rep>,
    run: impl Fn(&CallContext, Req) -> Result<Rep> + Send + Sync + 'static,
) -> Arc<dyn Function>
where
    Req: Message + Name + Default,
    Rep: Message + Name,
{
    function(typed_export(method), typed(run))
}

/// The export of a method, with the names of its messages.
pub(crate) fn typed_export<Req: Name, Rep: Name>(method: Method<Req, Rep>) -> Export {
    Export::messages(method.name(), Req::full_name(), Rep::full_name())
}

/// A closure over messages as one over bytes.
pub(crate) fn typed<Req, Rep>(
    run: impl Fn(&CallContext, Req) -> Result<Rep> + Send + Sync + 'static,
) -> impl Fn(&CallContext, &[u8], &mut Output) -> Result<()> + Send + Sync + 'static
where
    Req: Message + Name + Default,
    Rep: Message + Name,
{
    move |cx, input, output| {
        let request = Req::decode(input).map_err(|cause| error::not_the_message(&Req::full_name(), cause))?;
        output.write(&run(cx, request)?.encode_to_vec())
    }
}

/// A closure with its name, and with the life of its module where it has one. Where not it is the program's own code,
/// and no call into a guest.
pub(crate) struct Closure<F> {
    pub(crate) export: Export,
    pub(crate) module: Option<(Arc<Lifecycle>, Callee)>,
    pub(crate) run: F,
}

impl<F> Function for Closure<F>
where
    F: Fn(&CallContext, &[u8], &mut Output) -> Result<()> + Send + Sync + 'static,
{
    fn export(&self) -> &Export {
        &self.export
    }

    fn call(&self, cx: &CallContext, input: &[u8], output: &mut Output) -> Result<()> {
        let run = |output: &mut Output| {
            let before = output.len();
            boundary::enter(|| (self.run)(cx, input, output)).map_err(|failed| {
                output.truncate(before);
                error::in_call(&self.export, cx, failed)
            })
        };
        match &self.module {
            Some((lifecycle, callee)) => lifecycle.call(callee, cx, input, output, run),
            None => {
                cx.check().map_err(|refused| error::in_call(&self.export, cx, refused))?;
                run(output)
            }
        }
    }
}

impl<F> fmt::Debug for Closure<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Closure").field(&self.export.name()).finish()
    }
}
