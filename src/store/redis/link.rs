//! A connection to the primary that is made when it is needed, and again when it was lost.

use std::sync::Arc;

use redis::{Cmd, FromRedisValue, Pipeline, RedisError, Value, cmd, pipe};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::connect::{PATIENCE, RedisConnection, RedisServers};
use crate::config::Durability;
use crate::store::{FailureReason, StoreUnavailable};

/// How long a change may take to become durable, in milliseconds. Less than [`PATIENCE`], so that the server gives up before this side does.
const DURABLE: usize = 2000;

/// A connection that is made again when it was lost.
pub(super) struct ReconnectingClient {
    servers: Arc<RedisServers>,
    durability: Durability,
    open: Mutex<Option<Arc<OpenConnection>>>,
}

/// A connection that is there.
pub(super) struct OpenConnection {
    pub(super) connection: RedisConnection,
    proof: DurabilityProof,
}

/// How it is known that a change is durable.
enum DurabilityProof {
    /// It isn't asked for.
    None,
    /// The server tells when its own disk has it.
    Disk,
    /// The server is set to answer only when its own disk has it.
    Always,
    /// The server tells how many replicas have it.
    Replica,
}

impl ReconnectingClient {
    /// For reading, and for what may be lost.
    pub(super) fn new(servers: &Arc<RedisServers>) -> ReconnectingClient {
        ReconnectingClient::durable(servers, Durability::None)
    }

    /// For changes that count only when they are durable.
    pub(super) fn durable(servers: &Arc<RedisServers>, durability: Durability) -> ReconnectingClient {
        ReconnectingClient { servers: Arc::clone(servers), durability, open: Mutex::default() }
    }

    /// Sends a command, and reads the answer.
    pub(super) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreUnavailable> {
        self.within(async { self.open().await?.connection.ask(command).await }).await
    }

    /// Sends a command that changes something, and reads the answer when the change is durable.
    pub(super) async fn make<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreUnavailable> {
        let made = async {
            let open = self.open().await?;
            let mut commands = pipe();
            commands.add_command(command.clone());
            open.proof.ask(&mut commands);
            let mut answers = open.connection.ask_all(&mut commands).await?.into_iter();
            let answer = answers.next().unwrap_or(Ok(Value::Nil)).map_err(|error| open.connection.flaw(&error))?;
            open.proof.check(answers.next(), &open.connection)?;
            T::from_redis_value(answer)
                .map_err(|error| StoreUnavailable::new(FailureReason::Damaged, error.to_string()))
        };
        self.within(made).await
    }

    /// Does something in time. Where that fails, the next to come begins with a new connection.
    async fn within<T>(&self, work: impl Future<Output = Result<T, StoreUnavailable>>) -> Result<T, StoreUnavailable> {
        let done = timeout(PATIENCE, work).await.unwrap_or_else(|_| Err(self.servers.slow()));
        if done.is_err() {
            self.forget();
        }
        done
    }

    /// A connection for what must be asked of one server, step by step. Who fails on it has it [forgotten](Link::forget).
    pub(super) async fn hold(&self) -> Result<Arc<OpenConnection>, StoreUnavailable> {
        self.within(self.open()).await
    }

    /// The connection that there is, or a new one.
    async fn open(&self) -> Result<Arc<OpenConnection>, StoreUnavailable> {
        let mut open = self.open.lock().await;
        if let Some(open) = open.as_ref().filter(|open| !open.connection.is_over()) {
            return Ok(Arc::clone(open));
        }
        let connection = self.servers.primary(None).await?;
        let made =
            Arc::new(OpenConnection { proof: DurabilityProof::had(self.durability, &connection).await?, connection });
        Ok(Arc::clone(open.insert(made)))
    }

    /// Has the next connection be a new one.
    pub(super) fn forget(&self) {
        // Who holds the lock makes a new one already.
        if let Ok(mut open) = self.open.try_lock() {
            *open = None;
        }
    }
}

impl DurabilityProof {
    /// How it can be known on this connection, before anything is changed.
    async fn had(durability: Durability, connection: &RedisConnection) -> Result<DurabilityProof, StoreUnavailable> {
        let proof = match durability {
            Durability::None => return Ok(DurabilityProof::None),
            Durability::Replica => DurabilityProof::Replica,
            Durability::Fsync => match DurabilityProof::Disk.is_had(connection).await {
                Err(StoreUnavailable { message, .. }) if is_unknown(&message) => DurabilityProof::Always,
                had => return had.map(|()| DurabilityProof::Disk),
            },
        };
        proof.is_had(connection).await.map(|()| proof)
    }

    async fn is_had(&self, connection: &RedisConnection) -> Result<(), StoreUnavailable> {
        let mut commands = pipe();
        self.ask(&mut commands);
        let answer = connection.ask_all(&mut commands).await?.pop();
        self.check(answer, connection)
    }

    fn ask(&self, commands: &mut Pipeline) {
        let mut question = match self {
            DurabilityProof::None => return,
            DurabilityProof::Disk => cmd("WAITAOF"),
            DurabilityProof::Always => cmd("CONFIG"),
            DurabilityProof::Replica => cmd("WAIT"),
        };
        match self {
            DurabilityProof::Disk => question.arg(1).arg(0).arg(DURABLE),
            DurabilityProof::Replica => question.arg(1).arg(DURABLE),
            _ => question.arg("GET").arg("*append*"),
        };
        commands.add_command(question);
    }

    /// Whether the answer to what was [asked](Proof::ask) says that what was changed before is durable.
    fn check(
        &self,
        answer: Option<Result<Value, RedisError>>,
        connection: &RedisConnection,
    ) -> Result<(), StoreUnavailable> {
        let not_durable = |message| StoreUnavailable::new(FailureReason::NotDurable, message);
        let answer = answer.transpose().map_err(|error| not_durable(connection.flaw(&error).message))?;
        self.holds(answer.as_ref()).map_err(|flaw| not_durable(format!("{}: {flaw}", connection.name())))
    }

    /// The same of an answer that is no error; if not, why, and what to do.
    fn holds(&self, answer: Option<&Value>) -> Result<(), &'static str> {
        let count = |value: Option<&Value>| matches!(value, Some(Value::Int(1..)));
        match (self, answer) {
            (DurabilityProof::Disk, Some(Value::Array(counts))) if count(counts.first()) => Ok(()),
            (DurabilityProof::Disk, _) => Err("the disk doesn't keep up, so it isn't known that the change is on it"),
            (DurabilityProof::Replica, answer) if count(answer) => Ok(()),
            (DurabilityProof::Replica, _) => {
                Err("no replica has the change: connect one, or set `durability` to \"fsync\"")
            }
            (DurabilityProof::Always, Some(settings)) if is_always(settings) => Ok(()),
            (DurabilityProof::Always, _) => Err(NOT_ALWAYS),
            (DurabilityProof::None, _) => Ok(()),
        }
    }
}

const NOT_ALWAYS: &str = "a change would not be on the disk when it is acknowledged: set `appendonly yes` and `appendfsync always` in Redis, or take 7.2 or newer";

fn is_unknown(flaw: &str) -> bool {
    flaw.to_ascii_lowercase().contains("unknown command")
}

/// Whether Redis answers only when its disk has what was changed.
fn is_always(settings: &Value) -> bool {
    let Ok(settings) = <Vec<(String, String)>>::from_redis_value_ref(settings) else { return false };
    let has = |name: &str, value: &str| settings.iter().any(|(key, set)| key == name && set == value);
    has("appendonly", "yes") && has("appendfsync", "always") && has("no-appendfsync-on-rewrite", "no")
}
