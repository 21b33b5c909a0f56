//! An HTTP server on a port that the system chooses. A function gives its answers, and tests can plan faults.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use chat_signer_core::model::Millis;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::now;

/// A received request.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
    /// The time of arrival.
    pub at: Millis,
}

/// A status, more headers, and a body.
pub type Reply = (u16, Vec<(&'static str, String)>, String);

/// A fault in the handling of a request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The server answers with this status and these headers, and does nothing else.
    Answer(u16, Vec<(&'static str, String)>),
    /// The server never answers, and does nothing.
    Stall,
    /// The server cuts the connection, and does nothing.
    Cut,
    /// The server handles the request and then cuts the connection.
    CutAfter,
    /// The server handles and answers the request when the semaphore has a permit, even if the client has gone.
    Late(Arc<Semaphore>),
}

type Handler = dyn Fn(&Seen) -> Reply + Send + Sync;
/// Method, a part of the path, the number of requests that have the fault, and the fault.
type Planned = (&'static str, &'static str, usize, Fault);

#[derive(Default)]
struct Script {
    faults: Vec<Planned>,
    seen: Vec<Seen>,
}

/// A running server. It stops when the value is dropped.
pub struct Server {
    /// The address.
    pub address: SocketAddr,
    script: Arc<Mutex<Script>>,
    accepting: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Server {
    /// Starts a server whose answers come from `handler`.
    pub async fn start(handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (script, handler): (Arc<Mutex<Script>>, Arc<Handler>) = (Arc::default(), Arc::new(handler));
        let shared = Arc::clone(&script);
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (script, handler) = (Arc::clone(&shared), Arc::clone(&handler));
                let service = service_fn(move |request| answer(Arc::clone(&script), Arc::clone(&handler), request));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Server { address, script, accepting }
    }

    /// Plans a fault for the next requests with this method and this part in their path.
    pub fn fail(&self, method: &'static str, path: &'static str, times: usize, fault: Fault) {
        self.script.lock().unwrap().faults.push((method, path, times, fault));
    }

    /// Removes all planned faults.
    pub fn heal(&self) {
        self.script.lock().unwrap().faults.clear();
    }

    /// Returns the number of received requests.
    pub fn total(&self) -> usize {
        self.script.lock().unwrap().seen.len()
    }

    /// Returns the received requests with this method and this part in their path.
    pub fn seen(&self, method: &str, path: &str) -> Vec<Seen> {
        let script = self.script.lock().unwrap();
        script.seen.iter().filter(|seen| seen.method == method && seen.path.contains(path)).cloned().collect()
    }

    /// Returns the number of received requests with this method and this part in their path.
    pub fn count(&self, method: &str, path: &str) -> usize {
        self.seen(method, path).len()
    }
}

impl Script {
    fn fault(&mut self, seen: &Seen) -> Option<Fault> {
        let planned = self
            .faults
            .iter_mut()
            .find(|(method, path, times, _)| *times > 0 && seen.method == *method && seen.path.contains(path));
        let (_, _, times, fault) = planned?;
        *times -= 1;
        Some(fault.clone())
    }
}

async fn answer(
    script: Arc<Mutex<Script>>,
    handler: Arc<Handler>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, String> {
    let (head, body) = request.into_parts();
    let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    let (method, path) = (head.method.to_string(), head.uri.to_string());
    let seen = Seen { method, path, headers: head.headers, body, at: now() };
    let fault = {
        let mut script = script.lock().unwrap();
        script.seen.push(seen.clone());
        script.fault(&seen)
    };
    match fault {
        None => {}
        Some(Fault::Answer(status, headers)) => return Ok(response((status, headers, "{}".to_owned()))),
        Some(Fault::Stall) => std::future::pending().await,
        Some(Fault::Cut) => return Err("cut".to_owned()),
        Some(Fault::CutAfter) => {
            handler(&seen);
            return Err("cut".to_owned());
        }
        Some(Fault::Late(permits)) => {
            // In a new task, so that the request is handled even if the client has gone.
            let late = tokio::spawn(async move {
                permits.acquire().await.unwrap().forget();
                handler(&seen)
            });
            return Ok(response(late.await.unwrap()));
        }
    }
    Ok(response(handler(&seen)))
}

fn response((status, headers, body): Reply) -> Response<Full<Bytes>> {
    let mut response = Response::builder().status(status).header("content-type", "application/json");
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(Full::from(body)).unwrap()
}
