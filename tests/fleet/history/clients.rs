//! The clients. Each change of a user comes from one client, so the changes of a user have an order.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::json;

use super::deployment::Deployment;
use super::parameters::Random;
use crate::common::post;
use crate::world::Service;

/// The number of clients that make changes, and of users that each of them changes.
const WRITERS: usize = 3;
const USERS: usize = 8;

/// The number of clients that ask for signatures.
const READERS: usize = 4;

/// The pause of a client after each request.
const PAUSE: Duration = Duration::from_millis(60);

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Ban,
    Lift,
    Login,
}

/// A request, and its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) user: usize,
    pub(super) request: Request,
    /// When the request was sent, as the time since the beginning.
    pub(super) start: Duration,
    /// When the answer was there.
    pub(super) end: Duration,
    /// `None`: there was no answer.
    pub(super) status: Option<u16>,
}

pub(super) struct Clients {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    began: Instant,
    is_over: AtomicBool,
    addresses: Arc<RwLock<Vec<SocketAddr>>>,
    history: Mutex<Vec<Event>>,
    /// A writer holds it for reading during a change.
    gate: RwLock<()>,
}

impl Clients {
    pub(super) fn start(deployment: &Deployment, seed: u64) -> Clients {
        let shared = Arc::new(Shared {
            began: Instant::now(),
            is_over: AtomicBool::new(false),
            addresses: Arc::clone(&deployment.addresses),
            history: Mutex::default(),
            gate: RwLock::default(),
        });
        let threads = (0..WRITERS + READERS).map(|number| {
            let shared = Arc::clone(&shared);
            let random = Random(seed.wrapping_add(number as u64 + 1));
            thread::spawn(move || if number < WRITERS { shared.write(number, random) } else { shared.read(random) })
        });
        let threads = threads.collect();
        Clients { shared, threads }
    }

    /// Returns the time since the beginning.
    pub(super) fn now(&self) -> Duration {
        self.shared.began.elapsed()
    }

    /// Runs something while no change is made.
    pub(super) fn without_changes<T>(&self, run: impl FnOnce() -> T) -> T {
        let _closed = self.shared.gate.write().unwrap();
        run()
    }

    /// Adds to the history what is known about all users from another source: only these are banned.
    pub(super) fn reset(&self, start: Duration, banned: impl Fn(&str) -> bool) {
        let end = self.now();
        let state = |user| if banned(&name(user)) { Request::Ban } else { Request::Lift };
        let events =
            (0..WRITERS * USERS).map(|user| Event { user, request: state(user), start, end, status: Some(200) });
        self.shared.history.lock().unwrap().extend(events);
    }

    /// Returns the logins up to now.
    pub(super) fn logins(&self) -> Vec<Event> {
        let history = self.shared.history.lock().unwrap();
        history.iter().filter(|event| event.request == Request::Login).copied().collect()
    }

    /// Ends the clients. Returns the history in the order of the starts.
    pub(super) fn end(self) -> Vec<Event> {
        self.shared.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
        let mut history = std::mem::take(&mut *self.shared.history.lock().unwrap());
        history.sort_by_key(|event| event.start);
        history
    }
}

impl Shared {
    fn write(&self, number: usize, mut random: Random) {
        while !self.is_over.load(Ordering::Relaxed) {
            let open = self.gate.read().unwrap();
            let request = [Request::Ban, Request::Lift][random.below(2)];
            self.send(number * USERS + random.below(USERS), request, &mut random);
            drop(open);
            thread::sleep(PAUSE);
        }
    }

    fn read(&self, mut random: Random) {
        while !self.is_over.load(Ordering::Relaxed) {
            self.send(random.below(WRITERS * USERS), Request::Login, &mut random);
            thread::sleep(PAUSE);
        }
    }

    fn send(&self, user: usize, request: Request, random: &mut Random) {
        let addresses = self.addresses.read().unwrap().clone();
        let address = addresses[random.below(addresses.len())];
        let text = text(user, request);
        let start = self.began.elapsed();
        let status = status(address, &text);
        let event = Event { user, request, start, end: self.began.elapsed(), status };
        self.history.lock().unwrap().push(event);
    }
}

pub(super) fn name(user: usize) -> String {
    format!("user-{user}")
}

fn text(user: usize, request: Request) -> String {
    let body = json!({ "users": [name(user)] });
    match request {
        Request::Ban => Service.request("POST", "bans", Some(&body)),
        Request::Lift => Service.request("POST", "bans/lift", Some(&body)),
        Request::Login => post("/v1/leancloud/login", &name(user), "{}"),
    }
}

/// Sends a request. Returns the status of the answer, if there is an answer.
fn status(address: SocketAddr, request: &str) -> Option<u16> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut start = [0; 12];
    stream.read_exact(&mut start).ok()?;
    str::from_utf8(&start).ok()?.strip_prefix("HTTP/1.1 ")?.parse().ok()
}
