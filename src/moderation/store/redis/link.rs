//! A client of the primary. It connects when necessary, and again after a connection loss.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{Cmd, FromRedisValue, Pipeline, RedisError, Value, cmd, pipe};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use super::connect::{RedisConnection, RedisServers, TIMEOUT, is_not_executed};
use super::replicas::{count_online, replica_warning};
use crate::config::{Durability, RequiredReplicas};
use crate::moderation::store::{FailureReason, StoreUnavailable};

/// The time limit for a change to become durable, in milliseconds. It is less than the time limit for a change, so the
/// server stops waiting before this process does.
const DURABILITY_TIMEOUT_MS: usize = 2000;

/// The pause before a command is sent a second time.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// A client that connects again after a connection loss.
pub(super) struct ReconnectingClient {
    servers: Arc<RedisServers>,
    durability: Durability,
    open: Mutex<Option<Arc<OpenConnection>>>,
}

/// An open connection.
pub(super) struct OpenConnection {
    pub(super) connection: RedisConnection,
    generation: u64,
    proof: DurabilityProof,
}

/// Why a command failed.
enum SendError {
    /// No server has run a part of the command.
    NotExecuted(StoreUnavailable),
    /// The server has possibly run the command, or a second attempt is of no use.
    Unknown(StoreUnavailable),
}

/// The method to find out whether a change is durable.
enum DurabilityProof {
    /// No check is required.
    None,
    /// The server reports when the change is on its disk (`WAITAOF`).
    Disk,
    /// The server is configured to answer only after the change is on its disk.
    Always,
    /// The server reports how many replicas have the change (`WAIT`).
    Replica(RequiredReplicas),
}

impl ReconnectingClient {
    /// Creates a client for reads and for changes that can be lost.
    pub(super) fn new(servers: &Arc<RedisServers>) -> ReconnectingClient {
        ReconnectingClient::durable(servers, Durability::None)
    }

    /// Creates a client for changes that must be durable.
    pub(super) fn durable(servers: &Arc<RedisServers>, durability: Durability) -> ReconnectingClient {
        ReconnectingClient { servers: Arc::clone(servers), durability, open: Mutex::default() }
    }

    /// Sends a command. Returns the answer when the change that the command makes is durable. If it is certain that no
    /// server ran the command, sends it a second time.
    pub(super) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreUnavailable> {
        let answered = async {
            let first = Box::pin(self.send(command)).await;
            let Err(SendError::NotExecuted(_)) = first else { return first };
            self.disconnect();
            sleep(RETRY_PAUSE).await;
            Box::pin(self.send(command)).await
        };
        self.with_timeout(async {
            T::from_redis_value(answered.await.map_err(SendError::into_inner)?)
                .map_err(|error| StoreUnavailable::new(FailureReason::Damaged, error.to_string()))
        })
        .await
    }

    /// Sends a command once, and checks that its change is durable.
    async fn send(&self, command: &Cmd) -> Result<Value, SendError> {
        let OpenConnection { connection, proof, .. } = &*self.connect().await.map_err(SendError::before_sending)?;
        let mut commands = pipe();
        commands.add_command(command.clone());
        proof.add_query(&mut commands);
        let mut answers = connection.query_all(&mut commands).await.map_err(SendError::Unknown)?.into_iter();
        let answer = answers.next().unwrap_or(Ok(Value::Nil)).map_err(|error| {
            let is_certain = is_not_executed(&error);
            let failure = connection.convert_error(&error);
            if is_certain { SendError::NotExecuted(failure) } else { SendError::Unknown(failure) }
        })?;
        proof.check(answers.next(), connection, &self.servers).await.map_err(SendError::Unknown)?;
        Ok(answer)
    }

    /// Runs the work with a time limit. If it fails, the next command of each client uses a new connection.
    async fn with_timeout<T>(
        &self,
        work: impl Future<Output = Result<T, StoreUnavailable>>,
    ) -> Result<T, StoreUnavailable> {
        let done = timeout(TIMEOUT, work).await.unwrap_or_else(|_| Err(self.servers.timeout_error()));
        if done.is_err() {
            self.disconnect();
        }
        done
    }

    /// Returns a connection for several commands that the same server must answer. If a command fails, the caller must
    /// call [`disconnect`](Self::disconnect).
    pub(super) async fn connection(&self) -> Result<Arc<OpenConnection>, StoreUnavailable> {
        self.with_timeout(self.connect()).await
    }

    /// Returns the open connection, or connects.
    async fn connect(&self) -> Result<Arc<OpenConnection>, StoreUnavailable> {
        let mut open = self.open.lock().await;
        let generation = self.servers.generation();
        let is_usable = |open: &&Arc<OpenConnection>| open.generation == generation && !open.connection.is_closed();
        if let Some(open) = open.as_ref().filter(is_usable) {
            return Ok(Arc::clone(open));
        }
        let connection = self.servers.connect_to_primary(None).await?;
        if self.durability != Durability::None {
            self.servers.warn_of_eviction(&connection).await;
        }
        if let Durability::Replica(required) = self.durability {
            warn_of_replicas(&self.servers, &connection, required).await;
        }
        let made = Arc::new(OpenConnection {
            proof: DurabilityProof::select(self.durability, &connection, &self.servers).await?,
            connection,
            generation,
        });
        Ok(Arc::clone(open.insert(made)))
    }

    /// Makes all clients of the store use new connections, because a command failed on the connection of this client.
    pub(super) fn disconnect(&self) {
        // If another task holds the lock, it already makes a new connection.
        if let Ok(open) = self.open.try_lock()
            && let Some(open) = &*open
        {
            self.servers.end_generation(open.generation);
        }
    }
}

impl SendError {
    /// Creates the error of a command that was not sent. If the connection was opened, a second attempt is of no use.
    fn before_sending(unavailable: StoreUnavailable) -> SendError {
        let is_passing = matches!(unavailable.reason, FailureReason::Unreachable | FailureReason::ReadOnly);
        if is_passing { SendError::NotExecuted(unavailable) } else { SendError::Unknown(unavailable) }
    }

    fn into_inner(self) -> StoreUnavailable {
        match self {
            SendError::NotExecuted(unavailable) | SendError::Unknown(unavailable) => unavailable,
        }
    }
}

impl DurabilityProof {
    /// Selects the method that works on this connection, before any change is made.
    async fn select(
        durability: Durability,
        connection: &RedisConnection,
        servers: &RedisServers,
    ) -> Result<DurabilityProof, StoreUnavailable> {
        let proof = match durability {
            Durability::None => return Ok(DurabilityProof::None),
            Durability::Replica(required) => DurabilityProof::Replica(required),
            Durability::Fsync => match DurabilityProof::Disk.try_on(connection, servers).await {
                Err(StoreUnavailable { message, .. }) if is_unknown_command(&message) => DurabilityProof::Always,
                had => return had.map(|()| DurabilityProof::Disk),
            },
        };
        proof.try_on(connection, servers).await.map(|()| proof)
    }

    async fn try_on(&self, connection: &RedisConnection, servers: &RedisServers) -> Result<(), StoreUnavailable> {
        let mut commands = pipe();
        self.add_query(&mut commands);
        let answer = connection.query_all(&mut commands).await?.pop();
        self.check(answer, connection, servers).await
    }

    fn add_query(&self, commands: &mut Pipeline) {
        match self {
            DurabilityProof::None => {}
            DurabilityProof::Disk => {
                commands.cmd("WAITAOF").arg(1).arg(0).arg(DURABILITY_TIMEOUT_MS);
            }
            DurabilityProof::Always => {
                commands.cmd("CONFIG").arg("GET").arg("*append*");
            }
            DurabilityProof::Replica(RequiredReplicas::Count(count)) => {
                commands.add_command(wait(*count));
            }
            DurabilityProof::Replica(RequiredReplicas::All) => {
                commands.cmd("INFO").arg("replication");
            }
        }
    }

    /// Checks that the answer to the command of [`add_query`](Self::add_query) proves that the change before it is durable.
    async fn check(
        &self,
        answer: Option<Result<Value, RedisError>>,
        connection: &RedisConnection,
        servers: &RedisServers,
    ) -> Result<(), StoreUnavailable> {
        let not_durable = |message| StoreUnavailable::new(FailureReason::NotDurable, message);
        let answer = answer.transpose().map_err(|error| not_durable(connection.convert_error(&error).message))?;
        let named = |flaw: String| not_durable(format!("{}: {flaw}", connection.name()));
        match self {
            DurabilityProof::Replica(RequiredReplicas::Count(count)) => {
                check_replicas(answer.as_ref(), *count).map_err(named)
            }
            DurabilityProof::Replica(RequiredReplicas::All) => {
                let info = answer.and_then(|answer| String::from_redis_value(answer).ok()).unwrap_or_default();
                let count = servers.replicas.update(count_online(&info), Instant::now());
                check_replicas(Some(&connection.query(&wait(count)).await?), count).map_err(named)
            }
            DurabilityProof::None | DurabilityProof::Disk | DurabilityProof::Always => {
                self.check_disk(answer.as_ref()).map_err(|flaw| named(flaw.to_owned()))
            }
        }
    }

    /// Checks an answer about the disk. The error text says what is wrong and what to do.
    fn check_disk(&self, answer: Option<&Value>) -> Result<(), &'static str> {
        let is_synced = |counts: &Vec<Value>| matches!(counts.first(), Some(Value::Int(1..)));
        match (self, answer) {
            (DurabilityProof::Disk, Some(Value::Array(counts))) if is_synced(counts) => Ok(()),
            (DurabilityProof::Disk, _) => Err("the disk doesn't keep up, so it is unknown whether the change is on it"),
            (DurabilityProof::Always, Some(settings)) if syncs_always(settings) => Ok(()),
            (DurabilityProof::Always, _) => Err(NOT_ALWAYS_MESSAGE),
            (DurabilityProof::None | DurabilityProof::Replica(_), _) => Ok(()),
        }
    }
}

/// Logs a warning, once, if a failover can lose confirmed changes, or if a primary without replicas goes on. A user
/// without the right to read a setting gets no warning about it.
async fn warn_of_replicas(servers: &RedisServers, connection: &RedisConnection, required: RequiredReplicas) {
    let (mut get, mut info) = (cmd("CONFIG"), cmd("INFO"));
    let least = connection.query::<(String, u32)>(get.arg("GET").arg("min-replicas-to-write")).await;
    let online = connection.query::<String>(info.arg("replication")).await.map_or(0, |info| count_online(&info));
    if let Some(warning) = replica_warning(required, least.ok().map(|(_, least)| least), online) {
        servers.replica_warning.call_once(|| tracing::warn!("{}: {warning}", connection.name()));
    }
}

/// Returns the command that waits until this number of replicas has all changes that were made on its connection.
fn wait(count: u32) -> Cmd {
    let mut wait = cmd("WAIT");
    wait.arg(count).arg(DURABILITY_TIMEOUT_MS);
    wait
}

/// Checks the number of replicas that have a change. The error text says what is wrong and what to do.
fn check_replicas(answer: Option<&Value>, required: u32) -> Result<(), String> {
    match answer {
        Some(Value::Int(count)) if *count >= i64::from(required) => Ok(()),
        Some(Value::Int(count @ 1..)) => {
            Err(format!("only {count} of {required} replicas have the change: connect the others, or lower `replicas`"))
        }
        _ => Err("no replica has the change: connect one, or set `durability` to \"fsync\"".to_owned()),
    }
}

const NOT_ALWAYS_MESSAGE: &str = "a change would not be on the disk when it is acknowledged: set `appendonly yes` and `appendfsync always` in Redis, or use Redis 7.2 or newer";

fn is_unknown_command(flaw: &str) -> bool {
    flaw.to_ascii_lowercase().contains("unknown command")
}

/// Returns whether Redis is configured to answer only after a change is on its disk.
fn syncs_always(settings: &Value) -> bool {
    let Ok(settings) = <Vec<(String, String)>>::from_redis_value_ref(settings) else { return false };
    let has = |name: &str, value: &str| settings.iter().any(|(key, set)| key == name && set == value);
    has("appendonly", "yes") && has("appendfsync", "always") && has("no-appendfsync-on-rewrite", "no")
}
