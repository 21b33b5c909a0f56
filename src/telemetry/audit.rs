//! The audit log: lines that are written before the answer they tell of goes out.
//!
//! One thread writes. Whatever has been queued while it was busy goes out in its next write, so that many concurrent requests cost
//! one write and one wake-up. A line that can't be written, or not soon enough, is an error for whoever waits for it: the log may
//! say more than was given, never less. While the log is dead or stuck no line is taken on at all; the thread tries again by
//! itself, and says in the log how many lines are missing once it gets through.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, oneshot};

use super::destination::LineOutput;
use super::line_writer::LineWriter;
use crate::clock;
use crate::redaction::KnownSecrets;

/// How long a line may take before the log counts as stuck.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// How long a broken log rests before it is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// How many bytes may wait to be written.
const QUEUE_LIMIT: usize = 4 << 20;

/// How much of a written batch's memory is kept for the next one, in bytes.
pub(super) const SPARE: usize = 64 << 10;

/// A line is not in the log, so what it tells of must not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// Writing failed, just now or the last time.
    #[error("writing the audit log fails")]
    Broken,
    /// The log takes nothing more: a pipe that nobody reads, say.
    #[error("the audit log is stuck")]
    Stuck,
    /// Too much waits to be written.
    #[error("the audit log's queue is full")]
    Full,
}

/// The audit log. Dropping it ends its thread.
pub struct AuditLog(Arc<AuditState>);

impl AuditLog {
    /// A log that is appended to this file, which is made for its owner alone if it doesn't exist; or to a pipe that somebody reads.
    /// Once the file has got another name or is gone, or another file has taken its place, the log goes on in one at this path.
    pub fn to_file(path: &Path) -> io::Result<AuditLog> {
        AuditLog::start(LineWriter::new(LineOutput::at(path)?, None))
    }

    /// A log that goes wherever this leads. If it leads to the end of a line that was torn, that line is ended first.
    pub fn new(file: File) -> io::Result<AuditLog> {
        AuditLog::start(LineWriter::new(LineOutput::to(file), None))
    }

    /// A log whose lines this writes.
    ///
    /// # Errors
    /// If the system starts no thread.
    pub fn start(lines: LineWriter) -> io::Result<AuditLog> {
        let shared = Arc::new(AuditState::default());
        let writer = AuditWriter { shared: Arc::clone(&shared), lines };
        thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run())?;
        Ok(AuditLog(shared))
    }

    /// Has the file opened anew before anything more is written. Where that fails, the log goes on where it was, and the program's own
    /// log says so.
    pub fn reopen(&self) {
        self.0.lock().batch.reopen = true;
        self.0.wake.notify_one();
    }

    /// Keeps these secrets out of the lines that are written from now on.
    pub fn hide(&self, known: Arc<KnownSecrets>) {
        self.0.known.store(Some(known));
    }

    /// Writes a line of JSON or several, each of which ends with its newline, and returns once they are written. A [known](Self::hide)
    /// secret in them is redacted. No line needs no waiting.
    ///
    /// # Errors
    /// If they are not written, or not within [`PATIENCE`] or little more. A late line may still come to stand in the log.
    pub async fn write(&self, line: &[u8]) -> Result<(), AuditError> {
        if line.is_empty() {
            return Ok(());
        }
        let written = self.try_write(&self.0.redacted(line)).await;
        if written.is_err() {
            self.0.failed.fetch_add(1, Ordering::Relaxed);
        }
        written
    }

    async fn try_write(&self, line: &[u8]) -> Result<(), AuditError> {
        let QueuedLine { written, is_first, is_unwatched } = self.0.push(line)?;
        if is_unwatched {
            tokio::spawn(watch(Arc::clone(&self.0)));
        }
        if is_first {
            // The other requests that are ready to run get to add their lines before the thread wakes. That it wakes must not
            // depend on this request's client staying.
            let _wake = WakeOnDrop(&self.0);
            tokio::task::yield_now().await;
        }
        written.await.map_err(|_| self.health().err().unwrap_or(AuditError::Stuck))
    }

    /// Whether lines can be written, as far as is known.
    pub fn health(&self) -> Result<(), AuditError> {
        self.0.lock().health()
    }

    /// How many lines stand in the log.
    pub fn written(&self) -> u64 {
        self.0.written.load(Ordering::Relaxed)
    }

    /// How many lines could not be written, or not in time.
    pub fn failed(&self) -> u64 {
        self.0.failed.load(Ordering::Relaxed)
    }

    /// Waits until all that is queued is written, for at most [`PATIENCE`], and ends the thread. Later lines are refused. Of a log that
    /// is stuck nobody waits for what is queued any more.
    pub async fn close(&self) {
        let is_stuck = self.0.lock().is_stuck();
        self.0.close();
        if is_stuck {
            return;
        }
        let _ = tokio::time::timeout(PATIENCE, self.0.ended.notified()).await;
    }
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Gives up on lines that have waited too long, until none waits. One for all of them: a timer for each would cost more than the rest
/// of its waiting.
async fn watch(shared: Arc<AuditState>) {
    loop {
        tokio::time::sleep(PATIENCE / 4).await;
        if shared.lock().give_up() == QueueState::None {
            return;
        }
    }
}

#[derive(Default)]
struct AuditState {
    queue: Mutex<AuditQueue>,
    wake: Condvar,
    ended: Notify,
    written: AtomicU64,
    failed: AtomicU64,
    known: ArcSwapOption<KnownSecrets>,
}

#[derive(Default)]
struct AuditQueue {
    batch: LineBatch,
    /// Who waits for the thread's current write.
    writing: Vec<oneshot::Sender<()>>,
    /// Since when the oldest line in the thread's current write has been waited for.
    writing_since: Option<Instant>,
    /// Whether the last write failed.
    broken: bool,
    closed: bool,
    /// Whether [`watch`] runs.
    watched: bool,
    /// Lines that were refused or lost, of which the log has not been told yet.
    lost: u64,
}

#[derive(Default)]
struct LineBatch {
    lines: Vec<u8>,
    /// How many they are.
    count: u64,
    waiting: Vec<oneshot::Sender<()>>,
    /// Since when the first of them has waited.
    since: Option<Instant>,
    /// How many lost lines this batch tells of.
    lost: u64,
    /// Whether the file is to be opened anew before it.
    reopen: bool,
}

/// A line that has been queued.
struct QueuedLine {
    written: oneshot::Receiver<()>,
    /// Whether it is the first of its batch.
    is_first: bool,
    /// Whether there is nobody to give up on it in time.
    is_unwatched: bool,
}

/// Whether any lines wait.
#[derive(Clone, Copy, PartialEq, Eq)]
enum QueueState {
    None,
    Some,
}

impl AuditState {
    fn redacted<'l>(&self, line: &'l [u8]) -> Cow<'l, [u8]> {
        match &*self.known.load() {
            Some(known) => known.redact_json_bytes(line),
            None => Cow::Borrowed(line),
        }
    }

    fn push(&self, line: &[u8]) -> Result<QueuedLine, AuditError> {
        let mut queue = self.lock();
        if let Err(error) = queue.admits(line.len()) {
            queue.lost += 1;
            return Err(error);
        }
        let is_first = queue.batch.lines.is_empty();
        let is_unwatched = !std::mem::replace(&mut queue.watched, true);
        let (done, written) = oneshot::channel();
        queue.batch.since.get_or_insert_with(Instant::now);
        queue.batch.lines.extend_from_slice(line);
        queue.batch.count += line.split_inclusive(|byte| *byte == b'\n').count() as u64;
        queue.batch.waiting.push(done);
        Ok(QueuedLine { written, is_first, is_unwatched })
    }

    fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, AuditQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AuditQueue {
    fn admits(&self, bytes: usize) -> Result<(), AuditError> {
        self.health()?;
        if self.batch.lines.len() + bytes > QUEUE_LIMIT { Err(AuditError::Full) } else { Ok(()) }
    }

    fn health(&self) -> Result<(), AuditError> {
        if self.broken || self.closed {
            return Err(AuditError::Broken);
        }
        if self.is_stuck() { Err(AuditError::Stuck) } else { Ok(()) }
    }

    fn is_stuck(&self) -> bool {
        self.oldest().is_some_and(|since| since.elapsed() >= PATIENCE)
    }

    /// Since when the oldest line has waited, if there is one.
    fn oldest(&self) -> Option<Instant> {
        self.writing_since.or(self.batch.since)
    }

    /// Has nobody wait any more if the log is stuck. The lines stay.
    fn give_up(&mut self) -> QueueState {
        if self.is_stuck() {
            self.writing.clear();
            self.batch.waiting.clear();
        }
        self.watched = !self.writing.is_empty() || !self.batch.waiting.is_empty();
        if self.watched { QueueState::Some } else { QueueState::None }
    }

    /// Whether there is nothing to do.
    fn is_empty(&self) -> bool {
        self.batch.lines.is_empty() && self.lost == 0 && !self.batch.reopen
    }

    /// All that waits, in exchange for an empty batch whose buffers are used again.
    fn take(&mut self, empty: LineBatch) -> LineBatch {
        let mut batch = std::mem::replace(&mut self.batch, empty);
        if self.lost > 0 {
            batch.lost = self.lost;
            batch.lines.extend_from_slice(resumption(self.lost).as_bytes());
        }
        self.writing = std::mem::take(&mut batch.waiting);
        self.writing_since = Some(batch.since.take().unwrap_or_else(Instant::now));
        batch
    }
}

fn resumption(lost: u64) -> String {
    format!("{{\"time\":\"{}\",\"event\":\"audit_resumed\",\"lost\":{lost}}}\n", clock::now())
}

struct WakeOnDrop<'a>(&'a AuditState);

impl Drop for WakeOnDrop<'_> {
    fn drop(&mut self) {
        self.0.wake.notify_one();
    }
}

/// The thread that writes.
struct AuditWriter {
    shared: Arc<AuditState>,
    lines: LineWriter,
}

impl AuditWriter {
    fn run(mut self) {
        let mut spare = LineBatch::default();
        while let Some(mut batch) = self.next(std::mem::take(&mut spare)) {
            if batch.reopen {
                self.lines.reopen();
            }
            let result = if batch.lines.is_empty() { Ok(()) } else { self.lines.write(&batch.lines) };
            self.settle(&mut batch, &result);
            spare = batch;
        }
        self.shared.ended.notify_one();
    }

    /// The next lines to write, once there are some; `None` after the end. A broken log has some to write after its rest.
    fn next(&self, empty: LineBatch) -> Option<LineBatch> {
        let mut queue = self.shared.lock();
        if queue.broken {
            let rested = self.shared.wake.wait_timeout_while(queue, RETRY, |queue| !queue.closed);
            queue = rested.unwrap_or_else(PoisonError::into_inner).0;
        } else {
            let idle = |queue: &mut AuditQueue| queue.is_empty() && !queue.closed;
            queue = self.shared.wake.wait_while(queue, idle).unwrap_or_else(PoisonError::into_inner);
        }
        if queue.closed && (queue.broken || queue.batch.lines.is_empty()) { None } else { Some(queue.take(empty)) }
    }

    /// Tells those who wait how it went, and leaves the batch empty.
    fn settle(&self, batch: &mut LineBatch, result: &io::Result<()>) {
        let mut queue = self.shared.lock();
        queue.writing_since = None;
        match result {
            Ok(()) => {
                queue.lost -= batch.lost;
                self.shared.written.fetch_add(batch.count, Ordering::Relaxed);
            }
            Err(_) => queue.lost += batch.count + queue.batch.count,
        }
        let mut waiting = std::mem::take(&mut queue.writing);
        let was_broken = std::mem::replace(&mut queue.broken, result.is_err());
        let unwritable = if result.is_err() { std::mem::take(&mut queue.batch) } else { LineBatch::default() };
        queue.batch.reopen |= unwritable.reopen;
        drop(queue);
        report(was_broken, result);
        drop(unwritable);
        batch.lines.clear();
        batch.lines.shrink_to(SPARE);
        (batch.count, batch.lost, batch.reopen) = (0, 0, false);
        if result.is_ok() {
            for waiting in waiting.drain(..) {
                // Who doesn't wait any more has answered without it.
                let _ = waiting.send(());
            }
        }
        waiting.clear();
        batch.waiting = waiting;
    }
}

fn report(was_broken: bool, result: &io::Result<()>) {
    match (was_broken, result) {
        (false, Err(error)) => {
            tracing::error!("the audit log can't be written, nothing is signed until it can: {error}");
        }
        (true, Ok(())) => tracing::info!("the audit log can be written again"),
        _ => {}
    }
}
