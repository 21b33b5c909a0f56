//! An HTTP server on a port of its own whose answers a function gives, and which can be told to misbehave.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use chat_signer::clock;
use chat_signer::model::Millis;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    pub(crate) at: Millis,
}

/// A status, more headers, and a body.
pub(crate) type Reply = (u16, Vec<(&'static str, String)>, String);

/// What goes wrong with a request.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// It is answered like this, and nothing is done.
    Answer(u16, Vec<(&'static str, String)>),
    /// It is never answered, and nothing is done.
    Stall,
    /// The connection is cut, and nothing is done.
    Cut,
    /// The connection is cut after it was done.
    CutAfter,
    /// It is done and answered when this has a permit, though whoever asked may have gone.
    Late(Arc<Semaphore>),
}

type Handler = dyn Fn(&Seen) -> Reply + Send + Sync;
/// How many more requests with this method, and this in their path, have the fault.
type Planned = (&'static str, &'static str, usize, Fault);

#[derive(Default)]
struct Script {
    faults: Vec<Planned>,
    seen: Vec<Seen>,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    script: Arc<Mutex<Script>>,
    accepting: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Server {
    pub(crate) async fn start(handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Server {
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

    /// Has the next requests with this method, and this in their path, go wrong.
    pub(crate) fn fail(&self, method: &'static str, path: &'static str, times: usize, fault: Fault) {
        self.script.lock().unwrap().faults.push((method, path, times, fault));
    }

    /// Nothing goes wrong any more.
    pub(crate) fn heal(&self) {
        self.script.lock().unwrap().faults.clear();
    }

    /// How many requests came.
    #[allow(dead_code)] // Not all who share this count them.
    pub(crate) fn total(&self) -> usize {
        self.script.lock().unwrap().seen.len()
    }

    /// What came with this method, and this in its path.
    pub(crate) fn seen(&self, method: &str, path: &str) -> Vec<Seen> {
        let script = self.script.lock().unwrap();
        script.seen.iter().filter(|seen| seen.method == method && seen.path.contains(path)).cloned().collect()
    }

    pub(crate) fn count(&self, method: &str, path: &str) -> usize {
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
    let seen = Seen { method, path, headers: head.headers, body, at: clock::now() };
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
            // On a task of its own: it is done even if whoever asked has hung up.
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
