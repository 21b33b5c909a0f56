//! Finds the Redis primary, connects and authenticates.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, ErrorKind, FromRedisValue, Pipeline, ProtocolVersion, PushInfo, Value};
use redis::{RedisConnectionInfo, RedisError, RedisResult, ServerErrorKind, cmd};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::replicas::RecentReplicas;
use super::script::RedisKeys;
use crate::config::{Durability, RedisAddress, RedisServer, RedisSettings};
use crate::moderation::store::{FailureReason, StoreUnavailable};
use crate::upstream;

/// The time limit for a connection and for an answer.
pub(super) const TIMEOUT: Duration = Duration::from_secs(3);

/// The maximum number of cluster redirects.
const MAX_REDIRECTS: usize = 4;

/// The receiver of push messages from a connection.
pub(super) type PushSender = UnboundedSender<PushInfo>;

/// The servers that can be the primary, or that know its address.
pub(super) struct RedisServers {
    /// The settings for new connections.
    current: ArcSwap<(RedisSettings, TlsConnector)>,
    pub(super) keys: RedisKeys,
    /// The number of failures of connections. Connections that are older than the last failure are not used again.
    generation: AtomicU64,
    /// The number of replicas that the primary had recently.
    pub(super) replicas: RecentReplicas,
    /// Ensures that the warning about the eviction policy is logged only once.
    eviction_warning: Once,
    /// Ensures that the warning about the number of replicas is logged only once.
    pub(super) replica_warning: Once,
}

/// A connection and its background task. The task ends with the connection.
pub(super) struct RedisConnection {
    server: RedisServer,
    sender: MultiplexedConnection,
    driver: JoinHandle<()>,
}

/// A byte stream to a server.
trait Transport: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Transport for T {}

impl RedisServers {
    pub(super) fn new(settings: &RedisSettings) -> Result<RedisServers, StoreUnavailable> {
        let current =
            with_tls(settings).map_err(|error| StoreUnavailable::new(FailureReason::Other, error.to_string()))?;
        let keys = RedisKeys::new(&settings.prefix);
        Ok(RedisServers {
            current: ArcSwap::from_pointee(current),
            keys,
            generation: AtomicU64::new(0),
            replicas: RecentReplicas::default(),
            eviction_warning: Once::new(),
            replica_warning: Once::new(),
        })
    }

    /// Replaces the settings for new connections. Only credentials may differ.
    pub(super) fn use_credentials(&self, settings: &RedisSettings) -> Result<(), rustls::Error> {
        if self.current.load().0 != *settings {
            self.current.store(Arc::new(with_tls(settings)?));
        }
        Ok(())
    }

    fn current(&self) -> Guard<Arc<(RedisSettings, TlsConnector)>> {
        self.current.load()
    }

    /// Connects to the primary. Asks all servers or Sentinels at the same time, so a server that does not answer causes
    /// no delay.
    pub(super) async fn connect_to_primary(
        self: &Arc<Self>,
        pushes: Option<&PushSender>,
    ) -> Result<RedisConnection, StoreUnavailable> {
        let (settings, _) = &**self.current();
        let asked = if settings.sentinels.is_empty() { &settings.servers } else { &settings.sentinels };
        let mut attempts = JoinSet::new();
        for server in asked {
            let (servers, server, pushes) = (Arc::clone(self), server.clone(), pushes.cloned());
            attempts.spawn(async move { servers.connect_through(server, pushes).await });
        }
        let mut flaws = Vec::new();
        while let Some(done) = attempts.join_next().await {
            match done {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(flaw)) => flaws.push(flaw),
                Err(_) => {}
            }
        }
        Err(join_errors(&flaws))
    }

    /// Connects to the primary through this server: the server itself, or the primary that this Sentinel names.
    async fn connect_through(
        &self,
        server: RedisServer,
        pushes: Option<PushSender>,
    ) -> Result<RedisConnection, StoreUnavailable> {
        let name = server.address.to_string();
        let reached = async {
            let server =
                if self.current().0.sentinels.is_empty() { server } else { self.ask_sentinel(&server).await? };
            self.follow_redirects(server, pushes).await
        };
        timeout(TIMEOUT, reached).await.unwrap_or_else(|_| Err(slow(&name)))
    }

    /// Asks a Sentinel for the address of the primary.
    async fn ask_sentinel(&self, sentinel: &RedisServer) -> Result<RedisServer, StoreUnavailable> {
        let Some(wanted) = self.current().0.servers.first().cloned() else {
            return Err(unreachable_error("no server"));
        };
        let RedisAddress::Tcp { host: name, tls, .. } = &wanted.address else {
            return Err(unreachable_error(format!("a Sentinel needs the name of the primary, not {}", wanted.address)));
        };
        let mut command = cmd("SENTINEL");
        command.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
        let told: Option<(String, u16)> = self.connect(sentinel, None).await?.query(&command).await?;
        let (host, port) = told
            .ok_or_else(|| unreachable_error(format!("{} knows no primary with the name {name}", sentinel.address)))?;
        Ok(RedisServer { address: RedisAddress::Tcp { host, port, tls: *tls }, ..wanted.clone() })
    }

    /// Connects to this server if it is the primary, or follows its cluster redirects.
    async fn follow_redirects(
        &self,
        mut server: RedisServer,
        pushes: Option<PushSender>,
    ) -> Result<RedisConnection, StoreUnavailable> {
        for _ in 0..MAX_REDIRECTS {
            let connection = self.connect(&server, pushes.clone()).await?;
            let mut sender = connection.sender.clone();
            let Err(error) = self.keys.head.query_async::<redis::Value>(&mut sender).await else {
                return Ok(connection);
            };
            server.address =
                redirect_target(&server.address, &error).ok_or_else(|| connection.convert_error(&error))?;
        }
        Err(unreachable_error(format!("too many cluster redirects, the last one to {}", server.address)))
    }

    async fn connect(
        &self,
        server: &RedisServer,
        pushes: Option<PushSender>,
    ) -> Result<RedisConnection, StoreUnavailable> {
        let lost = |error: std::io::Error| unreachable_error(format!("{}: {error}", server.address));
        let wire = self.open_transport(&server.address).await.map_err(lost)?;
        let mut config = AsyncConnectionConfig::new().set_response_timeout(None);
        let mut info = RedisConnectionInfo::default().set_db(server.database);
        if let Some(pushes) = pushes {
            config = config.set_push_sender(pushes);
            info = info.set_protocol(ProtocolVersion::RESP3);
        }
        if let Some(user) = &server.user {
            info = info.set_username(user);
        }
        if let Some(password) = password(server) {
            info = info.set_password(password);
        }
        let connected = MultiplexedConnection::new_with_config(&info, wire, config).await;
        let (sender, driver) = connected.map_err(|error| flaw(server, &error))?;
        Ok(RedisConnection { server: server.clone(), sender, driver: tokio::spawn(driver) })
    }

    async fn open_transport(&self, address: &RedisAddress) -> std::io::Result<Box<dyn Transport>> {
        let (host, port, tls) = match address {
            RedisAddress::Unix(path) => return Ok(Box::new(UnixStream::connect(path).await?)),
            RedisAddress::Tcp { host, port, tls } => (host, *port, *tls),
        };
        let stream = TcpStream::connect((host.as_str(), port)).await?;
        stream.set_nodelay(true)?;
        if !tls {
            return Ok(Box::new(stream));
        }
        let name = ServerName::try_from(host.clone()).map_err(std::io::Error::other)?;
        Ok(Box::new(self.current().1.connect(name, stream).await?))
    }

    /// Logs a warning, once, if Redis may evict the keys of the store. A user without the right to read the setting gets no
    /// warning. The policies `volatile-…` only evict keys that expire, and the store has no such keys.
    pub(super) async fn warn_of_eviction(&self, connection: &RedisConnection) {
        let mut get = cmd("CONFIG");
        get.arg("GET").arg("maxmemory-policy");
        let Ok(setting) = connection.query::<Vec<String>>(&get).await else { return };
        if let Some(policy) = setting.get(1).filter(|policy| policy.starts_with("allkeys-")) {
            self.eviction_warning.call_once(|| {
                tracing::warn!(
                    "{}: with `maxmemory-policy {policy}`, Redis removes bans when its memory is full: set \
                     `maxmemory-policy noeviction`",
                    connection.name()
                );
            });
        }
    }

    /// Returns whether a change is confirmed when replicas have it.
    pub(super) fn has_replicas(&self) -> bool {
        matches!(self.current().0.durability, Durability::Replica(_))
    }

    pub(super) fn max_clock_offset(&self) -> Duration {
        self.current().0.max_clock_offset
    }

    /// Returns the generation of connections that are opened now.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Begins a new generation, because a connection of this generation failed. If the primary has moved, no client may
    /// go on with the old one. Only the first failure of a generation counts.
    pub(super) fn end_generation(&self, generation: u64) {
        _ = self.generation.compare_exchange(generation, generation + 1, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Returns the error for servers that did not answer in time.
    pub(super) fn timeout_error(&self) -> StoreUnavailable {
        let names: Vec<_> = self.current().0.servers.iter().map(|server| server.address.to_string()).collect();
        slow(&names.join(", "))
    }
}

impl RedisConnection {
    /// Sends a command and reads the answer.
    pub(super) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreUnavailable> {
        let answer = timeout(TIMEOUT, command.query_async(&mut self.sender.clone())).await;
        answer.map_err(|_| slow(&self.name()))?.map_err(|error| self.convert_error(&error))
    }

    /// Sends commands and reads the answers. Each answer can be an error.
    pub(super) async fn query_all(&self, commands: &mut Pipeline) -> Result<Vec<RedisResult<Value>>, StoreUnavailable> {
        let answer = timeout(TIMEOUT, commands.ignore_errors().query_async(&mut self.sender.clone())).await;
        answer.map_err(|_| slow(&self.name()))?.map_err(|error| self.convert_error(&error))
    }

    /// Returns whether the connection has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.driver.is_finished()
    }

    pub(super) fn name(&self) -> String {
        self.server.address.to_string()
    }

    /// Converts an error of this server.
    pub(super) fn convert_error(&self, error: &RedisError) -> StoreUnavailable {
        flaw(&self.server, error)
    }
}

impl Drop for RedisConnection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Returns the settings with the TLS settings made from them.
fn with_tls(settings: &RedisSettings) -> Result<(RedisSettings, TlsConnector), rustls::Error> {
    let tls = upstream::tls_config(&settings.authorities, settings.identity.as_ref())?;
    Ok((settings.clone(), TlsConnector::from(Arc::new(tls))))
}

fn slow(name: &str) -> StoreUnavailable {
    unreachable_error(format!("{name}: no answer within {} s", TIMEOUT.as_secs()))
}

fn unreachable_error(message: impl Into<String>) -> StoreUnavailable {
    StoreUnavailable::new(FailureReason::Unreachable, message)
}

/// Returns whether a server that gives this error has run no part of the command: it is a replica, it does not have the
/// slot, or it is not ready.
pub(super) fn is_not_executed(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Server(
            ServerErrorKind::ReadOnly
                | ServerErrorKind::Moved
                | ServerErrorKind::Ask
                | ServerErrorKind::TryAgain
                | ServerErrorKind::BusyLoading
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ClusterDown
        )
    )
}

/// Joins the errors of several servers. The reason is the reason of a server that answered, if there is one.
fn join_errors(flaws: &[StoreUnavailable]) -> StoreUnavailable {
    let reached = flaws.iter().map(|flaw| flaw.reason).find(|reason| *reason != FailureReason::Unreachable);
    let messages: Vec<_> = flaws.iter().map(|flaw| flaw.message.as_str()).collect();
    StoreUnavailable::new(reached.unwrap_or(FailureReason::Unreachable), messages.join("; "))
}

/// Converts an error of a server. Some servers repeat the password if they do not understand the login, so it is
/// removed.
fn flaw(server: &RedisServer, error: &RedisError) -> StoreUnavailable {
    let (name, mut text) = (&server.address, error.to_string());
    if let Some(password) = password(server).filter(|password| !password.is_empty()) {
        text = text.replace(password, "…");
    }
    let reason = failure_reason(error);
    StoreUnavailable::new(
        reason,
        match (error.kind(), reason) {
            (ErrorKind::Server(ServerErrorKind::ReadOnly), _) => format!("{name} is a replica, not the primary"),
            (_, FailureReason::Full) => format!("{name}: {FULL_MESSAGE}: {text}"),
            (ErrorKind::AuthenticationFailed, _) => format!("{name}: {WRONG_PASSWORD_MESSAGE}: {text}"),
            _ if requires_password(error) && server.password.is_none() => format!("{name}: {NO_PASSWORD_MESSAGE}"),
            _ => format!("{name}: {text}"),
        },
    )
}

const FULL_MESSAGE: &str = "Redis has no memory left for changes: free some, or raise `maxmemory`";

const WRONG_PASSWORD_MESSAGE: &str = "Redis refuses the user or the password in the URL";

const NO_PASSWORD_MESSAGE: &str =
    "Redis requires a password, and the URL has none: write redis://USER:PASSWORD@HOST:PORT";

/// Returns whether Redis refuses a client because it has not shown a password. Redis also refuses long requests of such
/// a client, before it has read them, with a protocol error.
fn requires_password(error: &RedisError) -> bool {
    error.code() == Some("NOAUTH") || error.to_string().contains("unauthenticated")
}

/// Returns the reason for an error, by its kind or its code (the first word of a Redis error).
fn failure_reason(error: &RedisError) -> FailureReason {
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::ReadOnly) => FailureReason::ReadOnly,
        ErrorKind::Server(ServerErrorKind::NoPerm) | ErrorKind::AuthenticationFailed => FailureReason::Forbidden,
        ErrorKind::Io
        | ErrorKind::Server(
            ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown | ServerErrorKind::ClusterDown,
        ) => FailureReason::Unreachable,
        _ if requires_password(error) => FailureReason::Forbidden,
        _ => match error.code() {
            Some("OOM") => FailureReason::Full,
            Some("MISCONF" | "NOREPLICAS") => FailureReason::ReadOnly,
            Some("WRONGPASS") => FailureReason::Forbidden,
            Some("WRONGTYPE") => FailureReason::Damaged,
            _ => FailureReason::Other,
        },
    }
}

fn password(server: &RedisServer) -> Option<&str> {
    server.password.as_ref().and_then(|password| str::from_utf8(password.expose()).ok())
}

/// Returns the address in a cluster redirect. `None`: the error is not a redirect. An empty host means the host of the
/// node itself.
fn redirect_target(from: &RedisAddress, error: &RedisError) -> Option<RedisAddress> {
    let RedisAddress::Tcp { host: own, tls, .. } = from else { return None };
    let (host, port) = error.redirect_node()?.0.rsplit_once(':')?;
    let host = if host.is_empty() { own } else { host };
    Some(RedisAddress::Tcp { host: host.to_owned(), port: port.parse().ok()?, tls: *tls })
}
