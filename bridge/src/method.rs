//! Calls with prost messages.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use prost::{Message, Name};

use crate::call::CallContext;
use crate::error::{Error, ErrorKind, Result};
use crate::function::Function;
use crate::module::Module;
use crate::output::Output;

/// The name of an export with the messages it takes and returns.
///
/// ```
/// use polyhost_bridge::Method;
/// # use polyhost_proto::conformance::v1::{AddReply, AddRequest};
/// const ADD: Method<AddRequest, AddReply> = Method::new("conformance.v1.Conformance/Add");
/// ```
pub struct Method<Req, Rep> {
    name: &'static str,
    types: PhantomData<fn(Req) -> Rep>,
}

impl<Req, Rep> Method<Req, Rep> {
    /// A method of this name, `pkg.Service/Method`.
    pub const fn new(name: &'static str) -> Self {
        Method { name, types: PhantomData }
    }

    /// The name.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl<Req: Message + Default + 'static, Rep: Message + Default + 'static> Method<Req, Rep> {
    /// The function of `module` that this names.
    ///
    /// # Errors
    /// As [`Module::function`].
    pub fn of(&self, module: &dyn Module) -> Result<TypedFunction<Req, Rep>> {
        Ok(TypedFunction::new(module.function(self.name)?))
    }

    /// As [`Method::of`], and compares the types that the export names with `Req` and `Rep`.
    ///
    /// # Errors
    /// As [`Module::function`]; [`ErrorKind::Config`] where the types differ.
    pub fn checked_of(&self, module: &dyn Module) -> Result<TypedFunction<Req, Rep>>
    where
        Req: Name,
        Rep: Name,
    {
        let typed = self.of(module)?;
        let export = typed.function.export();
        for (said, ours) in [(export.input_type(), Req::full_name()), (export.output_type(), Rep::full_name())] {
            if let Some(said) = said
                && said != ours
            {
                let message = format!("the export {} is about {said}, the caller about {ours}", self.name);
                return Err(Error::new(ErrorKind::Config, message).with("module", module.name()));
            }
        }
        Ok(typed)
    }
}

impl<Req, Rep> Clone for Method<Req, Rep> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Req, Rep> Copy for Method<Req, Rep> {}

impl<Req, Rep> fmt::Debug for Method<Req, Rep> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Method").field(&self.name).finish()
    }
}

/// A [`Function`] that takes and returns prost messages.
pub struct TypedFunction<Req, Rep> {
    function: Arc<dyn Function>,
    types: PhantomData<fn(Req) -> Rep>,
}

impl<Req: Message + Default + 'static, Rep: Message + Default + 'static> TypedFunction<Req, Rep> {
    /// The function, whose bytes are taken to be these messages.
    pub fn new(function: Arc<dyn Function>) -> Self {
        TypedFunction { function, types: PhantomData }
    }

    /// Encodes `request`, calls on this thread, decodes the reply.
    ///
    /// # Errors
    /// As [`Function::call`]; [`ErrorKind::Decode`] where the reply is no `Rep`.
    pub fn call(&self, cx: &CallContext, request: &Req) -> Result<Rep> {
        let mut output = Output::new();
        self.function.call(cx, &request.encode_to_vec(), &mut output)?;
        self.decode(output.as_slice())
    }

    /// As [`TypedFunction::call`], without blocking; see [`Function::call_async`].
    ///
    /// # Errors
    /// As [`Function::call_async`]; [`ErrorKind::Decode`] where the reply is no `Rep`.
    pub async fn call_async(&self, cx: CallContext, request: &Req) -> Result<Rep> {
        let input = Bytes::from(request.encode_to_vec());
        let reply = self.function.clone().call_async(cx, input).await?;
        self.decode(&reply)
    }

    /// The function beneath.
    pub fn function(&self) -> &Arc<dyn Function> {
        &self.function
    }

    fn decode(&self, reply: &[u8]) -> Result<Rep> {
        Rep::decode(reply).map_err(|e| {
            let name = self.function.export().name();
            Error::new(ErrorKind::Decode, format!("the reply of {name} is not the message it should be: {e}"))
                .caused_by(e)
        })
    }
}

impl<Req, Rep> fmt::Debug for TypedFunction<Req, Rep> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TypedFunction").field(&self.function).finish()
    }
}
