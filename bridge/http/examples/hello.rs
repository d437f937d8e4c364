//! The smallest server there is, to be measured: `hello polyhost`, and the same on hyper: `hello hyper`.

use std::convert::Infallible;
use std::sync::Arc;

use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use polyhost_http::{Data, ExchangeId, HttpApp, ResponseHead, SendFlags, Server, Turn, packed};

#[derive(Debug)]
struct Hello {
    headers: Vec<u8>,
}

impl HttpApp for Hello {
    fn handle(&self, exchange: ExchangeId, _: &mut Turn<'_>) {
        let head =
            ResponseHead { status: 200, content_length: Some(13), headers: &self.headers, ..ResponseHead::default() };
        let _ = exchange.send(Some(head), Data::Copied(b"Hello, World!"), SendFlags::END | SendFlags::RELEASE);
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let which = arguments.next().unwrap_or_default();
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    match which.as_str() {
        "polyhost" => {
            let mut headers = bytes::BytesMut::new();
            packed::push(&mut headers, b"Content-Type", b"text/plain");
            let app = Arc::new(Hello { headers: headers.to_vec() });
            let address = address.parse().map_err(std::io::Error::other)?;
            let _server = Server::builder(app).listen(address).start()?;
            std::future::pending::<()>().await;
        }
        "hyper" => {
            let listener = tokio::net::TcpListener::bind(&address).await?;
            loop {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                let service = service_fn(|_| async {
                    let response = http::Response::builder()
                        .header("Content-Type", "text/plain")
                        .header("Server", "hyper")
                        .body(Full::new(bytes::Bytes::from_static(b"Hello, World!")));
                    Ok::<_, Infallible>(response.expect("a valid response"))
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .pipeline_flush(true)
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        }
        _ => eprintln!("usage: hello polyhost|hyper [address]"),
    }
    Ok(())
}
