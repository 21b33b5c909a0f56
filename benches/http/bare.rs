//! The minimum that a signing server needs: reads the body of each request and answers a constant. `benches/compare`
//! compares the signer with it. Prints the port that it listens on.
#![allow(missing_docs)]

use std::convert::Infallible;
use std::error::Error;
use std::net::Ipv4Addr;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpListener;

/// As long as the answer to a LeanCloud invite.
const ANSWER: &str = r#"{"signature":"0123456789abcdef0123456789abcdef01234567","timestamp":1800000000000,"nonce":"n10123456789abcdef0123456789abcdef"}"#;

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve())
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", listener.local_addr()?.port());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let builder = Builder::new(TokioExecutor::new());
            // An interrupted connection concerns only its client.
            let _ = builder.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
        });
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    // An interrupted body concerns only its client too.
    let _ = request.into_body().collect().await;
    let mut answer = Response::new(Full::from(ANSWER));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(answer)
}
