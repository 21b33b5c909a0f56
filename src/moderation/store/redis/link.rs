//! A client of the primary. It connects when necessary, and again after a connection loss.

use std::sync::Arc;

use redis::{Cmd, FromRedisValue, Pipeline, RedisError, Value, pipe};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::connect::{RedisConnection, RedisServers, TIMEOUT};
use crate::config::Durability;
use crate::moderation::store::{FailureReason, StoreUnavailable};

/// The time limit for a change to become durable, in milliseconds. It is less than the time limit for a change, so the
/// server stops waiting before this process does.
const DURABILITY_TIMEOUT_MS: usize = 2000;

/// A client that connects again after a connection loss.
pub(super) struct ReconnectingClient {
    servers: Arc<RedisServers>,
    durability: Durability,
    open: Mutex<Option<Arc<OpenConnection>>>,
}

/// An open connection.
pub(super) struct OpenConnection {
    pub(super) connection: RedisConnection,
    proof: DurabilityProof,
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
    Replica,
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

    /// Sends a command and reads the answer.
    pub(super) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreUnavailable> {
        self.with_timeout(async { self.connect().await?.connection.query(command).await }).await
    }

    /// Sends a command that changes data. Returns the answer when the change is durable.
    pub(super) async fn write<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreUnavailable> {
        let made = async {
            let open = self.connect().await?;
            let mut commands = pipe();
            commands.add_command(command.clone());
            open.proof.add_query(&mut commands);
            let mut answers = open.connection.query_all(&mut commands).await?.into_iter();
            let answer =
                answers.next().unwrap_or(Ok(Value::Nil)).map_err(|error| open.connection.convert_error(&error))?;
            open.proof.check(answers.next(), &open.connection)?;
            T::from_redis_value(answer)
                .map_err(|error| StoreUnavailable::new(FailureReason::Damaged, error.to_string()))
        };
        self.with_timeout(made).await
    }

    /// Runs the work with a time limit. If it fails, the next command uses a new connection.
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
        if let Some(open) = open.as_ref().filter(|open| !open.connection.is_closed()) {
            return Ok(Arc::clone(open));
        }
        let connection = self.servers.connect_to_primary(None).await?;
        if self.durability != Durability::None {
            self.servers.warn_of_eviction(&connection).await;
        }
        let made = Arc::new(OpenConnection {
            proof: DurabilityProof::select(self.durability, &connection).await?,
            connection,
        });
        Ok(Arc::clone(open.insert(made)))
    }

    /// Drops the connection, so the next command uses a new connection.
    pub(super) fn disconnect(&self) {
        // If another task holds the lock, it already makes a new connection.
        if let Ok(mut open) = self.open.try_lock() {
            *open = None;
        }
    }
}

impl DurabilityProof {
    /// Selects the method that works on this connection, before any change is made.
    async fn select(durability: Durability, connection: &RedisConnection) -> Result<DurabilityProof, StoreUnavailable> {
        let proof = match durability {
            Durability::None => return Ok(DurabilityProof::None),
            Durability::Replica => DurabilityProof::Replica,
            Durability::Fsync => match DurabilityProof::Disk.try_on(connection).await {
                Err(StoreUnavailable { message, .. }) if is_unknown_command(&message) => DurabilityProof::Always,
                had => return had.map(|()| DurabilityProof::Disk),
            },
        };
        proof.try_on(connection).await.map(|()| proof)
    }

    async fn try_on(&self, connection: &RedisConnection) -> Result<(), StoreUnavailable> {
        let mut commands = pipe();
        self.add_query(&mut commands);
        let answer = connection.query_all(&mut commands).await?.pop();
        self.check(answer, connection)
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
            DurabilityProof::Replica => {
                commands.cmd("WAIT").arg(1).arg(DURABILITY_TIMEOUT_MS);
            }
        }
    }

    /// Checks that the answer to the command of [`add_query`](Self::add_query) proves that the change before it is durable.
    fn check(
        &self,
        answer: Option<Result<Value, RedisError>>,
        connection: &RedisConnection,
    ) -> Result<(), StoreUnavailable> {
        let not_durable = |message| StoreUnavailable::new(FailureReason::NotDurable, message);
        let answer = answer.transpose().map_err(|error| not_durable(connection.convert_error(&error).message))?;
        self.check_value(answer.as_ref()).map_err(|flaw| not_durable(format!("{}: {flaw}", connection.name())))
    }

    /// Checks an answer that is not an error. The error text says what is wrong and what to do.
    fn check_value(&self, answer: Option<&Value>) -> Result<(), &'static str> {
        let count = |value: Option<&Value>| matches!(value, Some(Value::Int(1..)));
        match (self, answer) {
            (DurabilityProof::Disk, Some(Value::Array(counts))) if count(counts.first()) => Ok(()),
            (DurabilityProof::Disk, _) => Err("the disk doesn't keep up, so it is unknown whether the change is on it"),
            (DurabilityProof::Replica, answer) if count(answer) => Ok(()),
            (DurabilityProof::Replica, _) => {
                Err("no replica has the change: connect one, or set `durability` to \"fsync\"")
            }
            (DurabilityProof::Always, Some(settings)) if syncs_always(settings) => Ok(()),
            (DurabilityProof::Always, _) => Err(NOT_ALWAYS_MESSAGE),
            (DurabilityProof::None, _) => Ok(()),
        }
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
