//! A server in the way of tonic's own examples: generated services, the runtime as `#[tokio::main]` makes it.

use std::error::Error;
use std::io::Write;

use polyhost_proto::bench::v1::{
    CallbackReply, CallbackRequest, Document, EchoMessage, NextReply, RenderReply, RenderRequest, RepeatReply,
    RepeatRequest, Reply, Request as Asked, SumReply, SumRequest, Summary,
};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};

use super::child::until_input_ends;
use super::services::bench_server::{Bench, BenchServer};
use super::services::host_client::HostClient;
use super::services::middleware_server::{Middleware, MiddlewareServer};
use super::services::stages_server::{Stages, StagesServer};
use super::{LONGEST, stages};
use crate::workloads::{middleware, render, sum, transform};

/// Serves until standard input ends.
///
/// # Errors
/// Where the socket can't be had.
pub(super) fn serve(socket: &str, host: &str) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let _inside = runtime.enter();
    let host = HostClient::new(Endpoint::from_shared(format!("unix://{host}"))?.connect_lazy());
    let incoming = UnixListenerStream::new(UnixListener::bind(socket)?);
    let middleware = Gateway(middleware::native::Middleware::default());
    let server = Server::builder()
        .add_service(BenchServer::new(Workloads { host }))
        .add_service(MiddlewareServer::new(middleware))
        .add_service(StagesServer::new(Repeater).max_decoding_message_size(LONGEST));
    runtime.spawn(server.serve_with_incoming(incoming));
    println!("ready");
    std::io::stdout().flush()?;
    until_input_ends();
    Ok(())
}

struct Workloads {
    host: HostClient<Channel>,
}

#[tonic::async_trait]
impl Bench for Workloads {
    async fn echo(&self, request: Request<EchoMessage>) -> Result<Response<EchoMessage>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn sum(&self, request: Request<SumRequest>) -> Result<Response<SumReply>, Status> {
        Ok(Response::new(sum::sum(request.get_ref())))
    }

    async fn transform(&self, request: Request<Document>) -> Result<Response<Summary>, Status> {
        Ok(Response::new(transform::transform(request.get_ref())))
    }

    async fn render(&self, request: Request<RenderRequest>) -> Result<Response<RenderReply>, Status> {
        Ok(Response::new(render::render(request.get_ref())))
    }

    async fn callback(&self, request: Request<CallbackRequest>) -> Result<Response<CallbackReply>, Status> {
        let CallbackRequest { calls, start, payload } = request.into_inner();
        let (mut host, mut sum, mut value) = (self.host.clone(), 0, start);
        for _ in 0..calls {
            let ask = polyhost_proto::bench::v1::NextRequest { value, payload: payload.clone() };
            let NextReply { value: next } = host.next(ask).await?.into_inner();
            value = next;
            sum += u64::from(value);
        }
        Ok(Response::new(CallbackReply { sum }))
    }
}

struct Gateway(middleware::native::Middleware);

#[tonic::async_trait]
impl Middleware for Gateway {
    async fn handle(&self, request: Request<Asked>) -> Result<Response<Reply>, Status> {
        Ok(Response::new(self.0.handle(request.into_inner())))
    }

    async fn rewrite(&self, request: Request<Asked>) -> Result<Response<Reply>, Status> {
        Ok(Response::new(middleware::native::rewrite(request.into_inner())))
    }
}

struct Repeater;

#[tonic::async_trait]
impl Stages for Repeater {
    async fn repeat(&self, request: Request<RepeatRequest>) -> Result<Response<RepeatReply>, Status> {
        stages::repeat(request.get_ref())
            .map(Response::new)
            .map_err(|error| Status::new(error.code().number().into(), error.to_string()))
    }
}
