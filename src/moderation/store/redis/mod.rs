//! A store in Redis or Valkey that many processes share.
//!
//! All keys are in one cluster slot. One script on the primary does each step that must be atomic. A script is sent a
//! second time only if it is certain that no server ran it. If the answer to a change is lost, the next read of the
//! store shows whether the change was made.

mod connect;
mod hints;
mod jobs;
mod link;
mod replicas;
mod script;

use std::sync::{Arc, Once};
use std::time::Duration;

use redis::{Cmd, FromRedisValue, cmd};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::connect::RedisServers;
use self::link::{OpenConnection, ReconnectingClient};
use self::script::{ACCEPT, BEGIN, COMMIT, DURABLE_HEAD, HAS, MARK, PROBE, RedisKeys, SINCE};
use super::change::{
    ChangesSince, CommitError, LOG_LIMIT, NewChange, READ_LIMIT_BYTES, READ_LIMIT_CHANGES, StoredChange,
};
use super::failure::{FailureReason, StoreUnavailable};
use super::head::{EntryPart, PART_SIZE, RollbackMark, StoreHead, random_id};
use super::job::Job;
use crate::config::RedisSettings;
use crate::model::Millis;

/// The version of the key layout. Increase it when the keys change.
const LAYOUT: &str = "1";

/// A store in Redis.
pub struct RedisStore {
    servers: Arc<RedisServers>,
    reads: ReconnectingClient,
    /// The client for changes. Changes wait for the disk, and reads must not wait for changes.
    writes: ReconnectingClient,
    /// The client for probes. Probes also wait for the disk, and changes must not wait for probes.
    probes: ReconnectingClient,
    hint: watch::Sender<u64>,
    listener: JoinHandle<()>,
    /// Ensures that the warning about changes that cannot be published is logged only once.
    publish_warning: Once,
}

/// A read of all entries, in no particular order.
pub(super) struct RedisReader<'s> {
    store: &'s RedisStore,
    open: Arc<OpenConnection>,
    head: StoreHead,
    count: u64,
    /// Where the scan continues. `None`: at the end.
    cursor: Option<u64>,
}

impl RedisStore {
    /// Creates a store on these servers. It connects when it first needs them.
    pub(super) fn open(settings: &RedisSettings) -> Result<RedisStore, StoreUnavailable> {
        let servers = Arc::new(RedisServers::new(settings)?);
        let hint = watch::channel(0).0;
        let listener = tokio::spawn(hints::listen(Arc::clone(&servers), hint.clone()));
        let durable = || ReconnectingClient::durable(&servers, settings.durability);
        let (reads, writes, probes) = (ReconnectingClient::new(&servers), durable(), durable());
        Ok(RedisStore { servers, reads, writes, probes, hint, listener, publish_warning: Once::new() })
    }

    pub(super) fn use_credentials(&self, settings: &RedisSettings) -> Result<(), rustls::Error> {
        self.servers.use_credentials(settings)
    }

    pub(super) async fn head(&self) -> Result<StoreHead, StoreUnavailable> {
        head(self.reads.query(&self.keys().head).await?)
    }

    pub(super) async fn durable_head(&self) -> Result<StoreHead, StoreUnavailable> {
        head(self.writes.query(&self.keys().script(DURABLE_HEAD)).await?)
    }

    pub(super) async fn replicated_head(&self, seen: &StoreHead) -> Result<StoreHead, StoreUnavailable> {
        if !self.servers.has_replicas() {
            return Ok(seen.clone());
        }
        match self.durable_head().await {
            Ok(head) => Ok(head),
            Err(_) => self.head().await,
        }
    }

    pub(super) fn max_clock_offset(&self) -> Duration {
        self.servers.max_clock_offset()
    }

    pub(super) async fn probe(&self) -> Result<(), StoreUnavailable> {
        self.probes.query(&self.keys().script(PROBE)).await
    }

    pub(super) async fn now(&self) -> Result<Millis, StoreUnavailable> {
        let (seconds, micros): (u64, u64) = self.reads.query(&cmd("TIME")).await?;
        Ok(Millis(seconds.saturating_mul(1000).saturating_add(micros / 1000)))
    }

    pub(super) async fn begin(&self) -> Result<(), StoreUnavailable> {
        let mut begin = self.keys().script(BEGIN);
        begin.arg(random_id()?).arg(LAYOUT);
        self.writes.query(&begin).await
    }

    pub(super) async fn accept(&self) -> Result<(), StoreUnavailable> {
        let mut accept = self.keys().script(ACCEPT);
        accept.arg(random_id()?).arg(LAYOUT).arg(&self.keys().channel);
        self.writes.query(&accept).await
    }

    /// Begins to read all entries on one connection, because only this server knows the scan cursor.
    pub(super) async fn reader(&self) -> Result<RedisReader<'_>, StoreUnavailable> {
        let open = self.reads.connection().await?;
        let mut reader = RedisReader { store: self, open, head: StoreHead::default(), count: 0, cursor: Some(0) };
        reader.head = head(reader.query(&self.keys().head).await?)?;
        reader.count = reader.query(cmd("HLEN").arg(&self.keys().entries)).await?;
        Ok(reader)
    }

    pub(super) async fn find_entries(&self, keys: &[String]) -> Result<Vec<Option<String>>, StoreUnavailable> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut find = cmd("HMGET");
        find.arg(&self.keys().entries).arg(keys);
        self.reads.query(&find).await
    }

    pub(super) async fn since(&self, version: u64) -> Result<ChangesSince, StoreUnavailable> {
        let mut since = self.keys().script(SINCE);
        since.arg(version).arg(READ_LIMIT_CHANGES).arg(READ_LIMIT_BYTES);
        let (fields, found): (HashFields, Vec<String>) = self.reads.query(&since).await?;
        let changes = found.iter().map(|json| from_json(Some(json))).collect::<Result<Vec<StoredChange>, _>>()?;
        let mut last = version;
        let has_gap = changes.iter().any(|change| {
            let before = std::mem::replace(&mut last, change.version);
            before.checked_add(1) != Some(change.version)
        });
        let is_missing = changes.is_empty() && head(fields)?.version > version;
        Ok(if has_gap || is_missing { ChangesSince::NoLongerKept } else { ChangesSince::Changes(changes) })
    }

    pub(super) async fn has(&self, version: u64, change: &str) -> Result<Option<bool>, StoreUnavailable> {
        let mut has = self.keys().script(HAS);
        has.arg(version).arg(change);
        Ok(match self.reads.query::<i64>(&has).await? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        })
    }

    pub(super) async fn mark_rolled_back(&self, seen: &StoreHead, known: &StoreHead) -> Result<(), StoreUnavailable> {
        let mut mark = self.keys().script(MARK);
        mark.arg(&seen.epoch).arg(seen.version).arg(&seen.change).arg(accepted_arg(seen));
        mark.arg(&known.epoch).arg(known.version).arg(&known.change).arg(&self.keys().channel);
        self.writes.query(&mark).await
    }

    pub(super) async fn commit(
        &self,
        on: &StoreHead,
        commit: NewChange,
        at: Millis,
    ) -> Result<StoredChange, CommitError> {
        let version = on.version.saturating_add(1);
        let NewChange { puts, events, jobs, request } = commit;
        let change = StoredChange { version, id: random_id()?, at, puts, events, request };
        let mut script = self.keys().script(COMMIT);
        script.arg(&on.epoch).arg(on.version).arg(&on.change).arg(accepted_arg(on)).arg(on.entry_count_drift);
        script.arg(on.rolled_back.as_ref().map_or("", |RollbackMark(mark)| mark.as_str()));
        script.arg(version).arg(&change.id).arg(to_json(&change)?).arg(LOG_LIMIT).arg(&self.keys().channel);
        script.arg(change.puts.len());
        for (key, value) in &change.puts {
            script.arg(key).arg(u8::from(value.is_some())).arg(value.as_deref().unwrap_or_default());
        }
        for job in jobs {
            let job = Job { asked: None, ..Job::new(job, version, at) };
            // The script appends the time of the request, by the server's clock.
            script.arg(&job.key).arg(to_json(&job)?.trim_end_matches("null}"));
        }
        match self.writes.query(&script).await? {
            0 => return Err(CommitError::Behind),
            1 => {}
            _ => self.publish_warning.call_once(|| {
                tracing::warn!(
                    "other processes notice changes late: Redis does not allow this process to publish them"
                );
            }),
        }
        Ok(change)
    }

    pub(super) fn hints(&self) -> watch::Receiver<u64> {
        self.hint.subscribe()
    }

    fn keys(&self) -> &RedisKeys {
        &self.servers.keys
    }
}

impl RedisReader<'_> {
    pub(super) fn head(&self) -> &StoreHead {
        &self.head
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Reads the next entries. Empty: there are no more entries.
    pub(super) async fn next(&mut self) -> Result<EntryPart, StoreUnavailable> {
        let mut part = EntryPart::new();
        while let Some(cursor) = self.cursor.filter(|_| part.is_empty()) {
            let mut scan = cmd("HSCAN");
            scan.arg(&self.store.keys().entries).arg(cursor).arg("COUNT").arg(PART_SIZE);
            let next: u64;
            (next, part) = self.query(&scan).await?;
            self.cursor = Some(next).filter(|next| *next != 0);
        }
        Ok(part)
    }

    pub(super) async fn finish(self) -> Result<StoreHead, StoreUnavailable> {
        let (after, before) = (head(self.query(&self.store.keys().head).await?)?, self.head);
        if after.epoch != before.epoch || after.version < before.version {
            return Err(StoreUnavailable::new(FailureReason::Other, "another store took its place while it was read"));
        }
        let rolled_back = before.rolled_back.or(after.rolled_back);
        let entry_count_drift = before.entry_count_drift.max(after.entry_count_drift);
        Ok(StoreHead { entry_count_drift, rolled_back, ..before })
    }

    async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreUnavailable> {
        let answer = self.open.connection.query(command).await;
        answer.inspect_err(|_| self.store.reads.disconnect())
    }
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// Returns the time of acceptance as the scripts expect it. 0: the store was never accepted.
fn accepted_arg(head: &StoreHead) -> u64 {
    head.accepted_at.map_or(0, |at| at.0)
}

type HashFields =
    (Option<String>, Option<u64>, Option<String>, Option<u64>, Option<String>, Option<String>, Option<String>, u64);

fn head(
    (epoch, version, change, accepted, layout, id, rolled_back, astray): HashFields,
) -> Result<StoreHead, StoreUnavailable> {
    match layout {
        Some(layout) if layout != LAYOUT => {
            let flaw = format!("it has the layout {layout}, and this version of chat-signer knows only {LAYOUT}");
            Err(StoreUnavailable::new(FailureReason::Damaged, flaw))
        }
        _ => Ok(StoreHead {
            // An earlier version stored no id.
            id: id.or_else(|| epoch.clone()).unwrap_or_default(),
            epoch: epoch.unwrap_or_default(),
            version: version.unwrap_or(0),
            change: change.unwrap_or_default(),
            accepted_at: accepted.map(Millis),
            entry_count_drift: astray,
            rolled_back: rolled_back.map(RollbackMark),
        }),
    }
}

fn to_json(value: &impl serde::Serialize) -> Result<String, StoreUnavailable> {
    serde_json::to_string(value).map_err(|error| StoreUnavailable::new(FailureReason::Other, error.to_string()))
}

fn from_json<T: serde::de::DeserializeOwned>(text: Option<&String>) -> Result<T, StoreUnavailable> {
    serde_json::from_str(text.map_or("", String::as_str))
        .map_err(|error| StoreUnavailable::new(FailureReason::Damaged, format!("it is damaged: {error}")))
}
