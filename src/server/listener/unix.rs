//! A listener on a Unix socket, and its file.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixStream as Probe};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use crate::authn::{ConnectionPeer, ProcessIds};
use crate::files::FileIdentity;

/// A listening Unix socket. Dropping it removes its file.
pub(super) struct UnixSocket {
    listener: UnixListener,
    /// The file, unless another value has it.
    file: Option<SocketFile>,
}

/// The file of a socket. Dropping it removes the file, unless another file has taken its place.
struct SocketFile(FileIdentity);

impl UnixSocket {
    /// Listens at `path`. A socket file without a listener may exist there, and is replaced.
    ///
    /// The socket is created under another name and gets its permissions. Then it is renamed to `path`, so nobody can
    /// connect before the permissions are set.
    ///
    /// # Errors
    /// Returns an error if the path is too long, if it is in use or no socket, or if the system refuses an operation.
    pub(super) fn bind(path: &Path, mode: u32) -> io::Result<UnixSocket> {
        // The draft name may be short enough although `path` is too long to connect to.
        SocketAddr::from_pathname(path)?;
        check_path_is_free(path)?;
        let draft = draft_path(path);
        remove_if_exists(&draft)?;
        let listener = UnixListener::bind(&draft)?;
        fs::set_permissions(&draft, fs::Permissions::from_mode(mode))?;
        fs::rename(&draft, path)?;
        Ok(UnixSocket { listener, file: Some(SocketFile(FileIdentity::of_path(path)?)) })
    }

    /// Accepts connections from a listener whose file belongs to another value.
    pub(super) fn without_file(listener: UnixListener) -> UnixSocket {
        UnixSocket { listener, file: None }
    }

    /// Returns the file of the socket.
    pub(super) fn file(&self) -> Option<FileIdentity> {
        self.file.as_ref().map(|file| file.0.clone())
    }

    /// Returns the descriptor of the socket.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    pub(super) async fn accept(&self) -> io::Result<(UnixStream, ConnectionPeer)> {
        let (stream, _) = self.listener.accept().await?;
        // If the system gives no credentials of the client, no authenticator identifies it as a caller.
        let ids = stream.peer_cred().ok().map(|ids| ProcessIds { uid: ids.uid(), gid: ids.gid() });
        Ok((stream, ConnectionPeer::from_unix_socket(ids)))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.0.is_unchanged() {
            let _ = fs::remove_file(&self.0.path);
        }
    }
}

/// Checks that `path` is free, or has a socket file that nobody listens on.
///
/// # Errors
/// Returns an error if there is another file, or if another process listens there.
fn check_path_is_free(path: &Path) -> io::Result<()> {
    let kind = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !kind.is_socket() {
        return Err(io::Error::new(ErrorKind::AlreadyExists, "a file exists there that is not a socket"));
    }
    match Probe::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
        Ok(_) => Err(io::Error::new(ErrorKind::AddrInUse, "another process listens there")),
        Err(error) => Err(error),
    }
}

/// Returns a temporary name in the directory of `path`, for the time until the socket is ready. The name is short,
/// because the paths of sockets have a small maximum length.
fn draft_path(path: &Path) -> PathBuf {
    path.with_file_name(format!(".{}.sock", std::process::id()))
}

fn remove_if_exists(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Returns a path in a new directory.
    fn path(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("chat-signer-unix-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        directory.join("s.sock")
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[tokio::test]
    async fn the_file_has_the_mode_and_is_removed() {
        let path = path("mode");
        for bits in [0o600, 0o660, 0o666] {
            let socket = UnixSocket::bind(&path, bits).unwrap();
            assert_eq!(mode(&path), bits);
            assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no draft is left");
            drop(socket);
            assert!(!path.exists());
        }
    }

    #[tokio::test]
    async fn a_socket_left_behind_is_replaced() {
        let path = path("stale");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "the standard library leaves it behind");
        let socket = UnixSocket::bind(&path, 0o600).unwrap();
        Probe::connect(&path).unwrap();
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn what_is_in_use_or_is_no_socket_stays() {
        let path = path("taken");
        let first = UnixSocket::bind(&path, 0o600).unwrap();
        assert_eq!(UnixSocket::bind(&path, 0o600).err().unwrap().kind(), ErrorKind::AddrInUse);
        Probe::connect(&path).unwrap();
        drop(first);
        fs::write(&path, "data").unwrap();
        assert_eq!(UnixSocket::bind(&path, 0o600).err().unwrap().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "data");
    }

    #[tokio::test]
    async fn a_path_that_nobody_could_connect_to_is_refused() {
        let long = path("long").with_file_name("x".repeat(108));
        let error = UnixSocket::bind(&long, 0o600).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(!long.exists());
    }

    #[tokio::test]
    async fn the_socket_of_a_successor_stays() {
        let path = path("successor");
        let first = UnixSocket::bind(&path, 0o600).unwrap();
        fs::remove_file(&path).unwrap();
        let second = UnixSocket::bind(&path, 0o600).unwrap();
        drop(first);
        Probe::connect(&path).unwrap();
        drop(second);
        assert!(!path.exists());
    }
}
