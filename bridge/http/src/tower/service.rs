//! An application as a `tower` service.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tower_service::Service;

use super::BoxError;
use super::pump::{AnyBody, Pump};
use crate::app::{ConnectionInfo, Endpoint, HttpApp, InlineLimit, Turn, hand_over};
use crate::exchange::Front;
use crate::h1::BadRequest;
use crate::head::{Flags, Parts, Version};
use crate::limits::Limits;

/// An application as a service, to be nested in an axum `Router` or served by hyper. Clones are the same service.
///
/// It never fails, as routers ask of what they hold. Where the application cuts a request off before its response has
/// begun, that is a 502 whose body fails, so that whoever serves it can't end it politely.
///
/// A request may carry the [`ConnectionInfo`] of its connection as an
/// extension, in an `Arc`; without one its addresses are unknown.
#[derive(Debug)]
pub struct AppService<A: HttpApp> {
    inner: Arc<Inner<A>>,
}

#[derive(Debug)]
struct Inner<A: HttpApp> {
    app: Arc<A>,
    limits: Limits,
    inline: OnceLock<InlineLimit>,
    unnamed: Arc<ConnectionInfo>,
}

impl<A: HttpApp> Clone for AppService<A> {
    fn clone(&self) -> Self {
        AppService { inner: self.inner.clone() }
    }
}

impl<A: HttpApp> AppService<A> {
    /// The service that `app` is, with Kestrel's limits.
    pub fn new(app: Arc<A>) -> Self {
        Self::with_limits(app, Limits::default())
    }

    /// The service that `app` is, with limits. Timeouts and rates are the business of who serves it.
    pub fn with_limits(app: Arc<A>, limits: Limits) -> Self {
        let unnamed = Arc::new(ConnectionInfo::new(0, Endpoint::Unnamed, Endpoint::Unnamed, false));
        let inner = Inner { app, limits, inline: OnceLock::new(), unnamed };
        AppService { inner: Arc::new(inner) }
    }
}

impl<A, B> Service<http::Request<B>> for AppService<A>
where
    A: HttpApp,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = http::Response<ResponseBody>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> ResponseFuture {
        serve_exchange(self, request)
    }
}

/// Has the service's application answer one request.
///
/// The exchange is aborted when the future, or then the body of the response,
/// is dropped before its end.
pub fn serve_exchange<A, B>(service: &AppService<A>, request: http::Request<B>) -> ResponseFuture
where
    A: HttpApp,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let inner = service.inner.clone();
    let (parts, body) = request.into_parts();
    let mut front = Front::new();
    if let Err(refused) = fill(&mut front, &parts, !body.is_end_stream(), &inner.limits) {
        tracing::debug!(target: "polyhost::http", "request refused: {refused}");
        return ResponseFuture(State::Refused(refused));
    }
    let connection = parts.extensions.get::<Arc<ConnectionInfo>>().unwrap_or(&inner.unnamed);
    let (id, has_body) = front.begin(connection, &inner.limits, |head| head.flags().contains(Flags::HAS_BODY));
    let request = (has_body && !body.is_end_stream()).then(|| Box::pin(MapError(Box::pin(body))) as AnyBody);
    if request.is_none() {
        front.end_body(Bytes::new());
    }
    let inline = inner.inline.get_or_init(InlineLimit::of_this_runtime);
    let mut turn = Turn::new(0, connection, inline);
    hand_over(&*inner.app, id, &mut turn);
    let kept = turn.kept;
    drop(turn);
    let is_head = parts.method == http::Method::HEAD;
    // Who sends the next request is not known here: what an application keeps of a connection (the user that it has
    // authenticated, say) must not reach another client, so every request is a connection of its own.
    let on_end = move |front: Front| {
        let app: Arc<dyn HttpApp> = inner.app.clone();
        front.close_with(&app, kept);
    };
    ResponseFuture(State::Serving(Box::new(Pump::new(front, request, is_head, on_end))))
}

fn fill(front: &mut Front, parts: &http::request::Parts, has_body: bool, limits: &Limits) -> Result<(), BadRequest> {
    let version = match parts.version {
        http::Version::HTTP_10 => Version::Http10,
        http::Version::HTTP_11 => Version::Http11,
        http::Version::HTTP_2 => Version::Http2,
        _ => return Err(BadRequest::new(505, "this version of HTTP is not served")),
    };
    let is_connect = parts.method == http::Method::CONNECT;
    // The scheme of HTTP/2 and a nested router's rewriting are no part of the target.
    let target = match parts.uri.path_and_query() {
        Some(path) if !is_connect && version == Version::Http2 => path.as_str().to_owned(),
        _ => parts.uri.to_string(),
    };
    let host =
        if version == Version::Http2 { parts.uri.authority().map(|host| host.as_str().as_bytes()) } else { None };
    // The application cannot have the connection, so it is not told that the client offers it.
    let headers = parts.headers.iter().filter(|(name, _)| *name != http::header::UPGRADE);
    let headers = headers.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
    let method = parts.method.as_str().as_bytes();
    front.fill(|head| head.fill(Parts { method, target: target.as_bytes(), version, host, headers, has_body }, limits))
}

/// The response to come.
#[derive(Debug)]
pub struct ResponseFuture(State);

#[derive(Debug)]
enum State {
    Refused(BadRequest),
    Serving(Box<Pump>),
    Done,
}

impl Future for ResponseFuture {
    type Output = Result<http::Response<ResponseBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let head = match &mut self.0 {
            State::Serving(pump) => Some(ready!(pump.poll_head(cx))),
            _ => None,
        };
        let response = match (std::mem::replace(&mut self.0, State::Done), head) {
            (State::Serving(pump), Some(Ok(head))) => {
                head.body(ResponseBody(Content::Pumped(pump))).or_else(|error| failed(error.into()))
            }
            (State::Serving(_), Some(Err(error))) => failed(error),
            (State::Refused(refused), _) => {
                let response = http::Response::builder().status(refused.status).header("content-length", 0);
                response.body(ResponseBody(Content::Empty))
            }
            _ => panic!("a response was polled after it was ready"),
        };
        Poll::Ready(Ok(response.expect("a status and a length of our own make a response")))
    }
}

fn failed(error: BoxError) -> Result<http::Response<ResponseBody>, http::Error> {
    http::Response::builder().status(http::StatusCode::BAD_GATEWAY).body(ResponseBody(Content::Failed(Some(error))))
}

/// The body of a response, as the application sends it.
#[derive(Debug)]
pub struct ResponseBody(Content);

#[derive(Debug)]
enum Content {
    Pumped(Box<Pump>),
    Empty,
    /// Told once.
    Failed(Option<BoxError>),
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Content::Pumped(pump) => pump.poll_frame(cx),
            Content::Empty => Poll::Ready(None),
            Content::Failed(error) => Poll::Ready(error.take().map(Err)),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Content::Pumped(pump) => pump.is_end(),
            Content::Empty => true,
            Content::Failed(error) => error.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Pumped(pump) => pump.size().map_or_else(SizeHint::default, SizeHint::with_exact),
            Content::Empty => SizeHint::with_exact(0),
            Content::Failed(_) => SizeHint::default(),
        }
    }
}

/// A body with its error boxed.
struct MapError<B>(Pin<Box<B>>);

impl<B: Body> Body for MapError<B>
where
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        self.0.as_mut().poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
