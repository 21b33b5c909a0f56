//! What stands between a store and its Redis, and does what networks do.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

/// What the script of a change has, and no other.
const CHANGE: &[u8] = b"XADD";

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
    fate: Arc<Mutex<Fate>>,
}

impl Proxy {
    /// Before this socket.
    pub fn before(socket: &Path) -> Proxy {
        Proxy::replacing(socket, None)
    }

    /// Before this socket, with one sequence of bytes in what is sent there replaced by another.
    pub fn replacing(socket: &Path, replace: Option<(&'static [u8], &'static [u8])>) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy { address: listener.local_addr().unwrap(), fate: Arc::new(Mutex::new(Fate::Passes)) };
        let (fate, socket) = (Arc::clone(&proxy.fate), socket.to_owned());
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (fate, socket) = (Arc::clone(&fate), socket.clone());
                thread::spawn(move || pass(&client, &socket, &fate, replace));
            }
        });
        proxy
    }

    /// Says how the next change fares.
    pub fn next_change(&self, fate: Fate) {
        *self.fate.lock().unwrap() = fate;
    }
}

type Replace = Option<(&'static [u8], &'static [u8])>;

/// Passes on what comes on one connection, until either side ends it or it is cut.
fn pass(client: &TcpStream, socket: &PathBuf, fate: &Mutex<Fate>, replace: Replace) -> Option<()> {
    let server = UnixStream::connect(socket).ok()?;
    let is_answered = Arc::new(Mutex::new(true));
    let (mut from, mut to, answered) = (server.try_clone().ok()?, client.try_clone().ok()?, Arc::clone(&is_answered));
    let back = thread::spawn(move || {
        let _ = copy(&mut from, |bytes| if *answered.lock().unwrap() { to.write_all(bytes) } else { cut() });
        let _ = to.shutdown(Shutdown::Both);
    });
    let mut to = server.try_clone().ok()?;
    let _ = copy(&mut client.try_clone().ok()?, |bytes| {
        let replaced = replace.map_or_else(|| bytes.to_vec(), |(old, new)| replaced(bytes, old, new));
        if !contains(bytes, CHANGE) {
            return to.write_all(&replaced);
        }
        match std::mem::replace(&mut *fate.lock().unwrap(), Fate::Passes) {
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
