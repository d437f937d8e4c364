//! A `tower` service as an application.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http_body::{Body, Frame, SizeHint};
use tower_service::Service;

use super::BoxError;
use crate::app::{HttpApp, Turn};
use crate::exchange::{BodyError, Data, ExchangeId, Read, ResponseHead, SendFlags, Sent};
use crate::head::{Flags, RequestHead, Version};
use crate::packed::{self, PackedHeaders};

/// A service that answers requests as an [`HttpApp`].
///
/// Requests carry the [`ConnectionInfo`](crate::ConnectionInfo) of their
/// connection as an extension, in an `Arc`. The service's future is polled
/// once on the connection's own thread; if it is not ready then, it becomes a
/// task. It is dropped when the client goes away.
#[derive(Clone)]
pub struct TowerApp<S>(S);

impl<S> TowerApp<S> {
    /// The application that `service` is.
    pub fn new(service: S) -> Self {
        TowerApp(service)
    }
}

impl<S> fmt::Debug for TowerApp<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TowerApp").finish_non_exhaustive()
    }
}

impl<S, B> HttpApp for TowerApp<S>
where
    S: Service<http::Request<RequestBody>, Response = http::Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn handle(&self, exchange: ExchangeId, turn: &mut Turn<'_>) {
        let held = Held(exchange);
        let Some(request) = exchange.request(|head| request(head, exchange)) else { return };
        let Ok(mut request) = request else {
            refuse(exchange, 400);
            return;
        };
        request.extensions_mut().insert(Arc::clone(turn.connection()));
        let mut task = Box::pin(answer(self.0.clone(), request, held));
        // The task's first poll replaces this waker, and it is polled at once.
        if task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            tokio::spawn(task);
        }
    }
}

/// Releases the exchange in the end; whatever was not complete by then is cut.
struct Held(ExchangeId);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.release();
    }
}

async fn answer<S, B>(service: S, request: http::Request<RequestBody>, held: Held)
where
    S: Service<http::Request<RequestBody>, Response = http::Response<B>>,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let exchange = held.0;
    let response = async {
        let mut service = service;
        poll_fn(|cx| service.poll_ready(cx)).await.map_err(Into::<BoxError>::into)?;
        service.call(request).await.map_err(Into::<BoxError>::into)
    };
    match until_aborted(exchange, response).await {
        Some(Ok(response)) => send(exchange, response).await,
        Some(Err(error)) => {
            tracing::error!(target: "polyhost::http", "a service failed: {error}");
            refuse(exchange, 500);
        }
        None => {}
    }
}

async fn until_aborted<F: Future>(exchange: ExchangeId, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => exchange.poll_aborted(cx).map(|()| None),
    })
    .await
}

fn refuse(exchange: ExchangeId, status: u16) {
    let head = ResponseHead { status, content_length: Some(0), ..ResponseHead::default() };
    let _ = exchange.send(Some(head), Data::None, SendFlags::END | SendFlags::RELEASE);
}

async fn send<B>(exchange: ExchangeId, response: http::Response<B>)
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let (parts, body) = response.into_parts();
    let mut headers = BytesMut::new();
    let mut content_length = body.size_hint().exact();
    for (name, value) in &parts.headers {
        if name == CONTENT_LENGTH {
            content_length = value.to_str().ok().and_then(|text| text.parse().ok()).or(content_length);
        } else if name != TRANSFER_ENCODING {
            packed::push(&mut headers, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    if matches!(parts.status.as_u16(), 204 | 304) && content_length == Some(0) {
        content_length = None;
    }
    let head =
        ResponseHead { status: parts.status.as_u16(), content_length, headers: &headers, ..ResponseHead::default() };
    if let Err(error) = send_body(exchange, head, body).await {
        tracing::error!(target: "polyhost::http", "a response body failed: {error}");
    }
}

async fn send_body<B>(exchange: ExchangeId, head: ResponseHead<'_>, body: B) -> Result<(), BoxError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let last = SendFlags::END | SendFlags::RELEASE;
    let mut body = pin!(body);
    let mut head = Some(head);
    loop {
        let mut flags = SendFlags::NONE;
        let frame = if body.is_end_stream() {
            None
        } else {
            let ready = poll_fn(|cx| Poll::Ready(next(body.as_mut(), cx))).await;
            match ready {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    if let Some(head) = head.take() {
                        let _ = exchange.send(Some(head), Data::None, SendFlags::NONE);
                    }
                    let frame = until_aborted(exchange, poll_fn(|cx| next(body.as_mut(), cx))).await;
                    let Some(frame) = frame else { return Ok(()) };
                    frame
                }
            }
        };
        let Some(frame) = frame else {
            let _ = exchange.send(head.take(), Data::None, last);
            return Ok(());
        };
        let data = match frame?.into_data() {
            Ok(data) => data,
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    let _ = exchange.send_trailers(&pack(&trailers));
                }
                continue;
            }
        };
        if body.is_end_stream() {
            flags = last;
        }
        match exchange.send(head.take(), Data::Owned(data), flags) {
            _ if flags == last => return Ok(()),
            Sent::Accepted => {}
            Sent::Pending => {
                if !poll_fn(|cx| exchange.poll_writable(cx)).await {
                    return Ok(());
                }
            }
            Sent::Gone => return Ok(()),
        }
    }
}

fn next<B: Body>(body: Pin<&mut B>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, BoxError>>>
where
    B::Error: Into<BoxError>,
{
    body.poll_frame(cx).map_err(Into::into)
}

fn pack(headers: &HeaderMap) -> BytesMut {
    let mut out = BytesMut::new();
    for (name, value) in headers {
        packed::push(&mut out, name.as_str().as_bytes(), value.as_bytes());
    }
    out
}

/// Header lines of the packed form; those of the connection are left out.
pub(super) fn unpack(packed: &[u8]) -> Result<HeaderMap, BoxError> {
    let mut lines = PackedHeaders::new(packed);
    let mut headers = HeaderMap::new();
    while let Some((name, value)) = lines.try_next().map_err(|_| "truncated header lines")? {
        let name = HeaderName::from_bytes(name)?;
        if name != CONNECTION && name != TRANSFER_ENCODING {
            headers.append(name, HeaderValue::from_bytes(value)?);
        }
    }
    Ok(headers)
}

fn request(head: &RequestHead, exchange: ExchangeId) -> Result<http::Request<RequestBody>, http::Error> {
    let has_body = head.flags().contains(Flags::HAS_BODY);
    let size = if has_body { head.content_length() } else { Some(0) };
    let mut request = http::Request::new(RequestBody { exchange, size, ended: !has_body });
    *request.method_mut() = http::Method::from_bytes(head.method_text())?;
    *request.uri_mut() = http::Uri::try_from(head.target())?;
    *request.version_mut() = match head.version() {
        Version::Http10 => http::Version::HTTP_10,
        Version::Http11 => http::Version::HTTP_11,
        Version::Http2 => http::Version::HTTP_2,
    };
    let headers = request.headers_mut();
    headers.reserve(head.header_count());
    for field in head.headers() {
        headers.append(HeaderName::from_bytes(field.name)?, HeaderValue::from_bytes(field.value)?);
    }
    Ok(request)
}

/// The body of a request, as it arrives.
#[derive(Debug)]
pub struct RequestBody {
    exchange: ExchangeId,
    /// Bytes that are left, where that is known.
    size: Option<u64>,
    ended: bool,
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let Poll::Ready(read) = self.exchange.poll_read(cx) else { return Poll::Pending };
        let frame = match read {
            Read::Data(bytes) => {
                self.size = self.size.map(|size| size.saturating_sub(bytes.len() as u64));
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            Read::End => self
                .exchange
                .request_trailers()
                .filter(|packed| !packed.is_empty())
                .and_then(|packed| unpack(&packed).ok())
                .map(|trailers| Ok(Frame::trailers(trailers))),
            Read::Failed(error) => Some(Err(error)),
            Read::Gone | Read::Pending => Some(Err(BodyError::Aborted)),
        };
        self.ended = true;
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        self.size.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
