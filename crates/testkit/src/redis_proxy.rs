//! A proxy between a store and its Redis. It cuts connections and loses answers, as networks do.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A command that only the script of a change contains.
const CHANGE: &[u8] = b"XADD";

/// The start of a message to a subscriber.
const MESSAGE: &[u8] = b"\r\n$7\r\nmessage\r\n";

/// The treatment of the next change.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    /// The proxy passes it on.
    Passes,
    /// The proxy cuts the connection after this number of bytes.
    IsCutAfter(usize),
    /// The proxy passes it on, and cuts the connection instead of passing on the answer.
    IsNotAnswered,
}

/// A proxy on a port that the system chooses.
pub struct Proxy {
    /// The address of the proxy.
    pub address: SocketAddr,
    state: Arc<State>,
}

struct State {
    to: Mutex<PathBuf>,
    fate: Mutex<Fate>,
    is_mute: Mutex<bool>,
    swallowed: AtomicUsize,
    open: Mutex<Vec<TcpStream>>,
}

type Replace = Option<(&'static [u8], &'static [u8])>;

impl Proxy {
    /// Starts a proxy for this socket.
    pub fn before(socket: &Path) -> Proxy {
        Proxy::replacing(socket, None)
    }

    /// Starts a proxy for this socket that replaces one sequence of bytes in the requests with another.
    pub fn replacing(socket: &Path, replace: Replace) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let state = Arc::new(State {
            to: Mutex::new(socket.to_owned()),
            fate: Mutex::new(Fate::Passes),
            is_mute: Mutex::default(),
            swallowed: AtomicUsize::default(),
            open: Mutex::default(),
        });
        let proxy = Proxy { address: listener.local_addr().unwrap(), state: Arc::clone(&state) };
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&state);
                thread::spawn(move || pass(&client, &state, replace));
            }
        });
        proxy
    }

    /// Sets the treatment of the next change.
    pub fn next_change(&self, fate: Fate) {
        *self.state.fate.lock().unwrap() = fate;
    }

    /// Closes all connections. New connections lead to another socket.
    pub fn lead_to(&self, socket: &Path) {
        let mut to = self.state.to.lock().unwrap();
        socket.clone_into(&mut to);
        for client in self.state.open.lock().unwrap().drain(..) {
            let _ = client.shutdown(Shutdown::Both);
        }
    }

    /// Drops all messages to subscribers from now on.
    pub fn mute(&self) {
        *self.state.is_mute.lock().unwrap() = true;
    }

    /// Returns the number of dropped messages.
    pub fn swallowed(&self) -> usize {
        self.state.swallowed.load(Ordering::Relaxed)
    }
}

impl State {
    /// Connects to the socket, and records the client's connection so that it can be closed.
    fn connect(&self, client: &TcpStream) -> Option<UnixStream> {
        let to = self.to.lock().unwrap();
        self.open.lock().unwrap().push(client.try_clone().ok()?);
        UnixStream::connect(&*to).ok()
    }

    fn swallows(&self, bytes: &[u8]) -> bool {
        let swallows = *self.is_mute.lock().unwrap() && contains(bytes, MESSAGE);
        self.swallowed.fetch_add(usize::from(swallows), Ordering::Relaxed);
        swallows
    }
}

/// Passes on the bytes of one connection until one side closes it or the proxy cuts it.
fn pass(client: &TcpStream, state: &Arc<State>, replace: Replace) -> Option<()> {
    let Some(server) = state.connect(client) else {
        return client.shutdown(Shutdown::Both).ok();
    };
    let is_answered = Arc::new(Mutex::new(true));
    let (mut from, mut to, answered) = (server.try_clone().ok()?, client.try_clone().ok()?, Arc::clone(&is_answered));
    let told = Arc::clone(state);
    let back = thread::spawn(move || {
        let _ = copy(&mut from, |bytes| match *answered.lock().unwrap() {
            true if told.swallows(bytes) => Ok(()),
            true => to.write_all(bytes),
            false => cut(),
        });
        let _ = to.shutdown(Shutdown::Both);
    });
    let mut to = server.try_clone().ok()?;
    let _ = copy(&mut client.try_clone().ok()?, |bytes| {
        let replaced = replace.map_or_else(|| bytes.to_vec(), |(old, new)| replaced(bytes, old, new));
        if !contains(bytes, CHANGE) {
            return to.write_all(&replaced);
        }
        match std::mem::replace(&mut *state.fate.lock().unwrap(), Fate::Passes) {
            Fate::Passes => to.write_all(&replaced),
            Fate::IsCutAfter(most) => to.write_all(&bytes[..most.min(bytes.len())]).and_then(|()| cut()),
            Fate::IsNotAnswered => {
                *is_answered.lock().unwrap() = false;
                to.write_all(&replaced)
            }
        }
    });
    let _ = (server.shutdown(Shutdown::Both), client.shutdown(Shutdown::Both));
    back.join().ok()
}

fn copy(from: &mut impl Read, mut to: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            length => to(&buffer[..length])?,
        }
    }
}

fn cut() -> io::Result<()> {
    Err(io::ErrorKind::ConnectionAborted.into())
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let Some(at) = bytes.windows(old.len()).position(|window| window == old) else { return bytes.to_vec() };
    [&bytes[..at], new, &replaced(&bytes[at + old.len()..], old, new)].concat()
}
