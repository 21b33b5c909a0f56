//! A store in Redis or Valkey, which many processes share.
//!
//! All of it is in one slot, and what must not be seen by halves is done by one script, on the primary. No script is sent a second time: whether a
//! change was made whose answer was lost, the store says when it is read again.

mod connect;
mod hints;
mod jobs;
mod link;
mod script;

use std::collections::HashMap;
use std::sync::Arc;

use redis::{cmd, pipe};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::connect::Servers;
use self::link::{Link, Open};
use self::script::{ACCEPT, BEGIN, COMMIT, Keys};
use super::{Change, Commit, Contents, Head, Job, KEPT, NotCommitted, Since, Unavailable, fresh};
use crate::config::RedisSettings;
use crate::model::Millis;

/// The layout of the keys. Another one has another number.
const LAYOUT: &str = "1";

/// How many entries are read at a time, so that nobody else waits long.
const CHUNK: usize = 2000;

/// How many changes are read at a time.
const CHANGES: usize = 500;

/// A store in Redis.
pub struct Redis {
    servers: Arc<Servers>,
    reads: Link,
    /// Changes wait for the disk, and who reads doesn't wait for them.
    writes: Link,
    hint: watch::Sender<u64>,
    listener: JoinHandle<()>,
}

impl Redis {
    /// A store on these servers. They are first asked when something is needed.
    pub(super) fn open(settings: &RedisSettings) -> Result<Redis, Unavailable> {
        let servers = Arc::new(Servers::new(settings)?);
        let hint = watch::channel(0).0;
        let listener = tokio::spawn(hints::listen(Arc::clone(&servers), hint.clone()));
        let (reads, writes) = (Link::new(&servers), Link::durable(&servers, settings.durability));
        Ok(Redis { servers, reads, writes, hint, listener })
    }

    pub(super) async fn head(&self) -> Result<Head, Unavailable> {
        head(self.reads.ask(&self.keys().head).await?)
    }

    pub(super) async fn begin(&self) -> Result<(), Unavailable> {
        let mut begin = self.keys().script(BEGIN);
        begin.arg(fresh()?).arg(LAYOUT);
        self.writes.make(&begin).await
    }

    pub(super) async fn accept(&self) -> Result<(), Unavailable> {
        let mut accept = self.keys().script(ACCEPT);
        accept.arg(fresh()?).arg(LAYOUT).arg(&self.keys().channel);
        self.writes.make(&accept).await
    }

    pub(super) async fn contents(&self) -> Result<Contents, Unavailable> {
        let open = self.reads.hold().await?;
        let contents = self.scan(&open).await;
        if contents.is_err() {
            self.reads.forget();
        }
        contents
    }

    /// Reads everything on one connection: where one has come to in reading is known only to one server.
    async fn scan(&self, open: &Open) -> Result<Contents, Unavailable> {
        let before = head(open.connection.ask(&self.keys().head).await?)?;
        let (mut entries, mut cursor) = (HashMap::new(), 0_u64);
        loop {
            let mut scan = cmd("HSCAN");
            scan.arg(&self.keys().entries).arg(cursor).arg("COUNT").arg(CHUNK);
            let (next, some): (u64, Vec<(String, String)>) = open.connection.ask(&scan).await?;
            // The same one may come twice.
            entries.extend(some);
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        let after = head(open.connection.ask(&self.keys().head).await?)?;
        if after.epoch != before.epoch || after.version < before.version {
            return Err(Unavailable("it became another one while it was read".to_owned()));
        }
        Ok(Contents { head: before, entries: entries.into_iter().collect() })
    }

    pub(super) async fn since(&self, version: u64) -> Result<Since, Unavailable> {
        let (mut changes, mut last) = (Vec::new(), version);
        loop {
            let mut questions = pipe();
            questions.add_command(self.keys().head.clone());
            questions.cmd("XRANGE").arg(&self.keys().log).arg(format!("({last}-0")).arg("+").arg("COUNT").arg(CHANGES);
            let (fields, some): (Fields, Vec<(String, Vec<String>)>) = self.reads.ask_all(&questions).await?;
            for (_, fields) in &some {
                let change: Change = parse(fields.get(1))?;
                if change.version != last.saturating_add(1) {
                    return Ok(Since::Gone);
                }
                last = change.version;
                changes.push(change);
            }
            if head(fields)?.version <= last {
                return Ok(Since::Changes(changes));
            }
            if some.is_empty() {
                return Ok(Since::Gone);
            }
        }
    }

    pub(super) async fn commit(&self, on: &Head, commit: Commit, at: Millis) -> Result<Change, NotCommitted> {
        let version = on.version.saturating_add(1);
        let change = Change { version, id: fresh()?, at, puts: commit.puts, events: commit.events };
        let mut script = self.keys().script(COMMIT);
        script.arg(&on.epoch).arg(on.version).arg(&on.change).arg(on.accepted.map_or(0, |at| at.0));
        script.arg(version).arg(&change.id).arg(written(&change)?).arg(KEPT).arg(&self.keys().channel);
        script.arg(change.puts.len());
        for (key, value) in &change.puts {
            script.arg(key).arg(u8::from(value.is_some())).arg(value.as_deref().unwrap_or_default());
        }
        for job in commit.jobs {
            let job = Job { asked: None, ..Job::new(job, version, at) };
            // When it was asked for the server says.
            script.arg(&job.key).arg(written(&job)?.trim_end_matches("null}"));
        }
        let is_made: bool = self.writes.make(&script).await?;
        if is_made { Ok(change) } else { Err(NotCommitted::Behind) }
    }

    pub(super) fn hints(&self) -> watch::Receiver<u64> {
        self.hint.subscribe()
    }

    fn keys(&self) -> &Keys {
        &self.servers.keys
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

type Fields = (Option<String>, Option<u64>, Option<String>, Option<u64>, Option<String>);

fn head((epoch, version, change, accepted, layout): Fields) -> Result<Head, Unavailable> {
    match layout {
        Some(layout) if layout != LAYOUT => {
            Err(Unavailable(format!("it has the layout {layout}, and this version of chat-signer knows only {LAYOUT}")))
        }
        _ => Ok(Head {
            epoch: epoch.unwrap_or_default(),
            version: version.unwrap_or(0),
            change: change.unwrap_or_default(),
            accepted: accepted.map(Millis),
        }),
    }
}

fn written(value: &impl serde::Serialize) -> Result<String, Unavailable> {
    serde_json::to_string(value).map_err(|error| Unavailable(error.to_string()))
}

fn parse<T: serde::de::DeserializeOwned>(text: Option<&String>) -> Result<T, Unavailable> {
    serde_json::from_str(text.map_or("", String::as_str))
        .map_err(|error| Unavailable(format!("it is damaged: {error}")))
}
