//! What stands between a store and its Redis, and does what networks do.
#![allow(dead_code, unreachable_pub)]

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// What the script of a change has, and no other.
const CHANGE: &[u8] = b"XADD";

/// What a message to who has subscribed begins with.
const MESSAGE: &[u8] = b"\r\n$7\r\nmessage\r\n";

/// How the next change fares.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    /// It gets through, as everything else does.
    Passes,
    /// The connection is cut when so many bytes of it have gone through.
    IsCutAfter(usize),
    /// It gets through, and the connection is cut when the answer comes.
    IsNotAnswered,
}

/// Listens on a port of its own, and passes on what comes.
pub struct Proxy {
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
    /// Before this socket.
    pub fn before(socket: &Path) -> Proxy {
        Proxy::replacing(socket, None)
    }

    /// Before this socket, with one sequence of bytes in what is sent there replaced by another.
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

    /// Says how the next change fares.
    pub fn next_change(&self, fate: Fate) {
        *self.state.fate.lock().unwrap() = fate;
    }

    /// Ends all connections, and has those that come from now on lead to another socket.
    pub fn lead_to(&self, socket: &Path) {
        let mut to = self.state.to.lock().unwrap();
        socket.clone_into(&mut to);
        for client in self.state.open.lock().unwrap().drain(..) {
            let _ = client.shutdown(Shutdown::Both);
        }
    }

    /// Swallows what is told to who has subscribed, from now on.
    pub fn mute(&self) {
        *self.state.is_mute.lock().unwrap() = true;
    }

    /// How often something was swallowed.
    pub fn swallowed(&self) -> usize {
        self.state.swallowed.load(Ordering::Relaxed)
    }
}

impl State {
    /// A connection to where this one is to lead, which is known as long as it is open.
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

/// Passes on what comes on one connection, until either side ends it or it is cut.
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
