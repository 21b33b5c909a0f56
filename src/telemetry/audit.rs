//! The audit log. Its lines are written before the answers that they describe are sent.
//!
//! The first request that queues a line lets the other requests that are ready queue theirs. Then all lines go out in one
//! write. The task of that request writes them itself if this cannot block the task, or if a hang is noticed in time: see
//! [`AuditLog::hangs`]. Otherwise, and after any difficulty, a thread writes. At most one of them writes at a time, and it
//! also writes what is queued meanwhile.
//!
//! If a line cannot be written in time, the caller gets an error. So the log can contain more than was granted, but never
//! less. While the log is broken or stuck, it accepts no lines. The thread tries again without a request. When it
//! succeeds, it writes to the log how many lines are missing.

use std::borrow::Cow;
use std::cell::Cell;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, oneshot};

use super::audit_event::AuditEvent;
use super::audit_record::ResumedLog;
use super::destination::{LineOutput, Watchdog, WriteProgress};
use super::line_writer::{LineWriter, SPARE_CAPACITY};
use crate::clock;
use crate::redaction::KnownSecrets;

/// The time limit for a line. After it, the log counts as stuck.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(1);

/// The time after which a task that writes counts as hanging, and for how long only the thread writes afterwards.
const HANG_TIMEOUT: Duration = Duration::from_millis(750);
const HANG_PAUSE: Duration = Duration::from_secs(600);

/// The time after which a write by a task counts as slow, and for how long only the thread writes afterwards. While a task
/// writes, its thread serves nobody. So a slow file may cost a small part of the time of the thread.
const SLOW_WRITE: Duration = Duration::from_millis(50);
const SLOW_PAUSE: Duration = Duration::from_secs(10);

/// The delay before a broken log is tried again.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// The number of batches that a task writes at most. If other tasks queue more meanwhile, the thread continues, so that
/// the task can answer its own request.
const BATCHES_OF_TASK: usize = 4;

/// The maximum size of the queue, in bytes.
const QUEUE_LIMIT: usize = 4 << 20;

thread_local! {
    static IS_WRITING_FORBIDDEN: Cell<bool> = const { Cell::new(false) };
}

/// Forbids the tasks of the current thread to write to an audit log themselves. Call this on each thread that must go on
/// while a write hangs.
pub fn forbid_writing_on_this_thread() {
    IS_WRITING_FORBIDDEN.set(true);
}

/// The error for a line that is not in the log. The action that the line describes must not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// This write failed, or the previous write failed and the log was not tried again yet.
    #[error("writing the audit log fails")]
    Broken,
    /// The log accepts no more bytes. An example is a pipe that is not read.
    #[error("the audit log is stuck")]
    Stuck,
    /// The queue is full.
    #[error("the audit log's queue is full")]
    Full,
}

/// The audit log. Dropping it ends its thread.
pub struct AuditLog(Arc<AuditState>);

impl AuditLog {
    /// Opens a log that appends to this file or pipe. A missing file is created and is accessible only to its owner. A
    /// pipe must have a reader. If the file is later moved, deleted or replaced, the log continues in a new file at
    /// this path.
    pub fn to_file(path: &Path) -> io::Result<AuditLog> {
        AuditLog::start(LineWriter::new(LineOutput::open(path)?, None))
    }

    /// Creates a log that writes to this open file. If the file ends with a torn line, the log first ends that line.
    pub fn new(file: File) -> io::Result<AuditLog> {
        AuditLog::start(LineWriter::new(LineOutput::from_file(file), None))
    }

    /// Starts a log that writes with this line writer.
    ///
    /// # Errors
    /// Returns an error if the system cannot start a thread.
    pub fn start(lines: LineWriter) -> io::Result<AuditLog> {
        AuditLog::start_with(lines, Watchdog::Absent)
    }

    /// Starts a log as [`start`](Self::start) does. If there is a watchdog, which calls [`hangs`](Self::hangs), tasks may
    /// also write to files in a way that can hang.
    ///
    /// # Errors
    /// Returns an error if the system cannot start a thread.
    pub fn start_with(lines: LineWriter, watchdog: Watchdog) -> io::Result<AuditLog> {
        let shared = Arc::new(AuditState::new(lines, watchdog));
        let writer = AuditWriter(Arc::clone(&shared));
        thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run())?;
        Ok(AuditLog(shared))
    }

    /// Returns whether a task hangs in a write to the log, with all other tasks of its thread.
    pub fn hangs(&self) -> bool {
        self.0.lock().hangs()
    }

    /// Requests that the file is opened again before the next write. If that fails, the log continues in the old file,
    /// and the program's own log has an error.
    pub fn reopen(&self) {
        self.0.lock().batch.reopen = true;
        self.0.wake.notify_one();
    }

    /// Redacts these secrets in all lines that are written from now on.
    pub fn redact_secrets(&self, known: Arc<KnownSecrets>) {
        self.0.known.store(Some(known));
    }

    /// Writes one or more lines of JSON, and returns when they are written. Each line must end with a newline. A
    /// [known](Self::redact_secrets) secret in them is redacted. If there is no line, returns immediately.
    ///
    /// # Errors
    /// Returns an error if the lines are not written within [`WRITE_TIMEOUT`] plus a short tolerance. A late line can still
    /// be written to the log.
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
            tokio::spawn(cancel_late_waits(Arc::clone(&self.0)));
        }
        if is_first {
            // Lets other requests that are ready add their lines. The guard writes the lines even if the client of this
            // request disconnects.
            let _flush = FlushOnDrop(&self.0);
            tokio::task::yield_now().await;
        }
        written.await.map_err(|_| self.health().err().unwrap_or(AuditError::Stuck))
    }

    /// Returns an error if the log is known to be broken or stuck.
    pub fn health(&self) -> Result<(), AuditError> {
        self.0.lock().health()
    }

    /// Returns the number of lines that were written.
    pub fn written(&self) -> u64 {
        self.0.written.load(Ordering::Relaxed)
    }

    /// Returns the number of calls whose lines were not written in time.
    pub fn failed(&self) -> u64 {
        self.0.failed.load(Ordering::Relaxed)
    }

    /// Waits until all queued lines are written, for at most [`WRITE_TIMEOUT`], and ends the thread. Later lines are
    /// refused. If the log is stuck, does not wait.
    pub async fn close(&self) {
        let is_stuck = self.0.lock().is_stuck();
        self.0.close();
        if is_stuck {
            return;
        }
        let _ = tokio::time::timeout(WRITE_TIMEOUT, self.0.ended.notified()).await;
    }
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Cancels the wait for lines that have waited too long, until no line waits. There is one task for all lines, because
/// a timer for each line would cost more than the rest of its wait.
async fn cancel_late_waits(shared: Arc<AuditState>) {
    loop {
        tokio::time::sleep(WRITE_TIMEOUT / 4).await;
        if shared.lock().cancel_if_stuck() == QueueState::None {
            return;
        }
    }
}

struct AuditState {
    queue: Mutex<AuditQueue>,
    /// The output, until the thread ends. Only the current [`Writer`] uses it, so nobody waits for this lock.
    lines: Mutex<Option<LineWriter>>,
    watchdog: Watchdog,
    wake: Condvar,
    ended: Notify,
    written: AtomicU64,
    failed: AtomicU64,
    known: ArcSwapOption<KnownSecrets>,
}

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "they do not depend on each other")]
struct AuditQueue {
    batch: LineBatch,
    /// What writes now.
    writer: Option<Writer>,
    /// A batch that a task has begun to write, and that the thread must finish.
    unfinished: Option<LineBatch>,
    /// Whether the output is one that tasks may write to.
    is_for_tasks: bool,
    /// Until when only the thread writes, because a write by a task took long.
    tasks_paused_until: Option<Instant>,
    /// The buffers of the last batch of a task.
    spare: LineBatch,
    /// The callers that wait for the current write.
    writing: Vec<oneshot::Sender<()>>,
    /// The time since which the oldest line in the current write has waited.
    writing_since: Option<Instant>,
    /// Whether the last write failed.
    broken: bool,
    closed: bool,
    /// Whether [`cancel_late_waits`] runs.
    watched: bool,
    /// The number of refused or lost lines that the log does not report yet.
    lost: u64,
}

#[derive(Default)]
struct LineBatch {
    lines: Vec<u8>,
    /// The number of lines.
    count: u64,
    waiting: Vec<oneshot::Sender<()>>,
    /// The time since which the first line has waited.
    since: Option<Instant>,
    /// The number of lost lines that this batch reports.
    lost: u64,
    /// Whether to open the file again before this batch.
    reopen: bool,
    /// Whether the task that queued the first line has found that something else writes.
    is_due: bool,
}

/// What writes to the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writer {
    /// The task of a request, since this time.
    Task(Instant),
    /// The thread.
    Thread,
}

/// A queued line.
struct QueuedLine {
    written: oneshot::Receiver<()>,
    /// Whether the line is the first of its batch.
    is_first: bool,
    /// Whether no task runs that cancels the wait in time.
    is_unwatched: bool,
}

/// Whether any lines wait.
#[derive(Clone, Copy, PartialEq, Eq)]
enum QueueState {
    None,
    Some,
}

impl AuditState {
    fn new(lines: LineWriter, watchdog: Watchdog) -> AuditState {
        let queue = AuditQueue { is_for_tasks: lines.is_for_tasks(watchdog), ..AuditQueue::default() };
        AuditState {
            queue: Mutex::new(queue),
            lines: Mutex::new(Some(lines)),
            watchdog,
            wake: Condvar::new(),
            ended: Notify::new(),
            written: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            known: ArcSwapOption::empty(),
        }
    }

    /// Writes the queued lines, or lets the thread write them.
    fn flush(&self) {
        for _ in 0..BATCHES_OF_TASK {
            let Some(batch) = self.take_for_task() else { return };
            self.write_in_task(batch);
        }
        if self.lock().is_thread_needed() {
            self.wake.notify_one();
        }
    }

    /// Returns the queued lines if this task may write them.
    fn take_for_task(&self) -> Option<LineBatch> {
        let mut queue = self.lock();
        if queue.batch.lines.is_empty() {
            return None;
        }
        queue.batch.is_due = true;
        if queue.writer.is_some() {
            // It also takes these lines.
            return None;
        }
        if !queue.may_tasks_write() || IS_WRITING_FORBIDDEN.get() {
            self.wake.notify_one();
            return None;
        }
        queue.tasks_paused_until = None;
        let spare = std::mem::take(&mut queue.spare);
        Some(queue.take(spare, Writer::Task(Instant::now())))
    }

    fn write_in_task(&self, batch: LineBatch) {
        let written =
            self.use_lines(|lines| (lines.try_write(&batch.lines, self.watchdog), lines.is_for_tasks(self.watchdog)));
        let (result, is_for_tasks) = written.unwrap_or_else(|| (Err(io::ErrorKind::BrokenPipe.into()), false));
        if self.lock().pause_tasks_if_slow() == Some(HANG_PAUSE) {
            tracing::warn!(
                "a write to the audit log took {HANG_TIMEOUT:?} or longer: for {HANG_PAUSE:?}, only its thread writes"
            );
        }
        let keep = |queue: &mut AuditQueue, spare| queue.spare = spare;
        match result {
            Ok(WriteProgress::Complete) => self.finish_batch(batch, &Ok(()), keep),
            Ok(WriteProgress::Incomplete) => {
                let mut queue = self.lock();
                (queue.writer, queue.unfinished) = (None, Some(batch));
                queue.is_for_tasks = is_for_tasks;
                drop(queue);
                self.wake.notify_one();
            }
            Err(error) => self.finish_batch(batch, &Err(error), keep),
        }
    }

    /// Uses the output. It exists as long as the thread, and nothing is written after the end of the thread.
    fn use_lines<R>(&self, use_: impl FnOnce(&mut LineWriter) -> R) -> Option<R> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(use_)
    }

    /// Reports the result to the waiting callers. `keep` gets the empty batch, whose buffers are used again.
    fn finish_batch(
        &self,
        mut batch: LineBatch,
        result: &io::Result<()>,
        keep: impl FnOnce(&mut AuditQueue, LineBatch),
    ) {
        let mut queue = self.lock();
        (queue.writing_since, queue.writer) = (None, None);
        match result {
            Ok(()) => {
                queue.lost -= batch.lost;
                self.written.fetch_add(batch.count, Ordering::Relaxed);
            }
            Err(_) => queue.lost += batch.count + queue.batch.count,
        }
        let waiting = std::mem::take(&mut queue.writing);
        let was_broken = std::mem::replace(&mut queue.broken, result.is_err());
        let unwritable = if result.is_err() { std::mem::take(&mut queue.batch) } else { LineBatch::default() };
        queue.batch.reopen |= unwritable.reopen;
        batch.clear();
        keep(&mut queue, batch);
        let is_thread_needed = !queue.may_tasks_write() && queue.is_thread_needed();
        drop(queue);
        if is_thread_needed {
            self.wake.notify_one();
        }
        log_result(was_broken, result);
        drop(unwritable);
        if result.is_ok() {
            for waiting in waiting {
                // The caller no longer waits if its request was answered with an error.
                let _ = waiting.send(());
            }
        }
    }

    fn redacted<'l>(&self, line: &'l [u8]) -> Cow<'l, [u8]> {
        match &*self.known.load() {
            Some(known) => known.redact_json_bytes(line),
            None => Cow::Borrowed(line),
        }
    }

    fn push(&self, line: &[u8]) -> Result<QueuedLine, AuditError> {
        let mut queue = self.lock();
        if let Err(error) = queue.check_room(line.len()) {
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
    fn check_room(&self, bytes: usize) -> Result<(), AuditError> {
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
        self.hangs() || self.oldest_since().is_some_and(|since| since.elapsed() >= WRITE_TIMEOUT)
    }

    /// Returns whether a task hangs in a write.
    fn hangs(&self) -> bool {
        self.task_write_time() >= HANG_TIMEOUT
    }

    /// Returns how long a task has been writing. Zero: no task writes.
    fn task_write_time(&self) -> Duration {
        match self.writer {
            Some(Writer::Task(since)) => since.elapsed(),
            Some(Writer::Thread) | None => Duration::ZERO,
        }
    }

    /// Returns the time since which the oldest line has waited. `None`: no line waits.
    fn oldest_since(&self) -> Option<Instant> {
        self.writing_since.or(self.batch.since)
    }

    /// If the log is stuck, cancels all waits. The lines stay in the queue.
    fn cancel_if_stuck(&mut self) -> QueueState {
        if self.is_stuck() {
            self.writing.clear();
            self.batch.waiting.clear();
        }
        self.watched = !self.writing.is_empty() || !self.batch.waiting.is_empty();
        if self.watched { QueueState::Some } else { QueueState::None }
    }

    /// Returns whether tasks may write. Otherwise the thread does, which also opens the file again.
    fn may_tasks_write(&self) -> bool {
        let is_usual = !self.broken && !self.closed && self.lost == 0 && !self.batch.reopen;
        let is_paused = self.tasks_paused_until.is_some_and(|until| Instant::now() < until);
        is_usual && self.is_for_tasks && !is_paused && self.unfinished.is_none()
    }

    /// Lets only the thread write for some time, if the task that writes now was slow. Returns this time.
    fn pause_tasks_if_slow(&mut self) -> Option<Duration> {
        let took = self.task_write_time();
        if took < SLOW_WRITE {
            return None;
        }
        let pause = if took < HANG_TIMEOUT { SLOW_PAUSE } else { HANG_PAUSE };
        self.tasks_paused_until = Some(Instant::now() + pause);
        Some(pause)
    }

    /// Returns whether the thread has something to write. It leaves lines to the task that queued the first of them,
    /// unless that task has found that something else writes.
    fn is_thread_needed(&self) -> bool {
        let is_empty = self.batch.lines.is_empty() && self.lost == 0 && !self.batch.reopen;
        let is_due = !is_empty && (self.batch.is_due || !self.may_tasks_write());
        self.writer.is_none() && (self.closed || self.broken || self.unfinished.is_some() || is_due)
    }

    /// Returns the queued batch, which `writer` writes, and replaces it with an empty batch, whose buffers are used again.
    fn take(&mut self, empty: LineBatch, writer: Writer) -> LineBatch {
        self.writer = Some(writer);
        let mut batch = std::mem::replace(&mut self.batch, empty);
        if self.lost > 0 {
            batch.lost = self.lost;
            batch.lines.extend_from_slice(&resumed_line(self.lost));
        }
        self.writing = std::mem::take(&mut batch.waiting);
        self.writing_since = Some(batch.since.take().unwrap_or_else(Instant::now));
        batch
    }
}

fn resumed_line(lost: u64) -> Vec<u8> {
    let resumed = ResumedLog { time: clock::now(), event: "audit_resumed", lost };
    // A time and a number always serialize to JSON.
    AuditEvent::Resumed(&resumed).line().unwrap_or_default()
}

struct FlushOnDrop<'a>(&'a AuditState);

impl Drop for FlushOnDrop<'_> {
    fn drop(&mut self) {
        self.0.flush();
    }
}

impl LineBatch {
    /// Removes everything, and keeps some of the memory.
    fn clear(&mut self) {
        self.lines.clear();
        self.lines.shrink_to(SPARE_CAPACITY);
        (self.count, self.lost) = (0, 0);
        (self.reopen, self.is_due) = (false, false);
    }
}

/// The thread that writes.
struct AuditWriter(Arc<AuditState>);

/// What the thread writes next.
enum ThreadBatch {
    /// New lines.
    Whole(LineBatch),
    /// Lines that a task has begun to write.
    Unfinished(LineBatch),
}

impl AuditWriter {
    fn run(self) {
        let AuditWriter(shared) = self;
        let mut spare = LineBatch::default();
        while let Some(next) = next_batch(&shared, std::mem::take(&mut spare)) {
            let (ThreadBatch::Unfinished(batch) | ThreadBatch::Whole(batch)) = &next;
            let written = shared.use_lines(|lines| match &next {
                ThreadBatch::Unfinished(_) => (lines.finish(&batch.lines), lines.is_for_tasks(shared.watchdog)),
                ThreadBatch::Whole(_) => {
                    if batch.reopen {
                        lines.reopen();
                    }
                    let result = if batch.lines.is_empty() { Ok(()) } else { lines.write(&batch.lines) };
                    (result, lines.is_for_tasks(shared.watchdog))
                }
            });
            let Some((result, is_for_tasks)) = written else { break };
            shared.lock().is_for_tasks = is_for_tasks;
            let (ThreadBatch::Unfinished(batch) | ThreadBatch::Whole(batch)) = next;
            shared.finish_batch(batch, &result, |_, batch| spare = batch);
        }
        drop(shared.lines.lock().unwrap_or_else(PoisonError::into_inner).take());
        shared.ended.notify_one();
    }
}

/// Waits for the next batch of the thread. Returns `None` when the log is closed. A broken log always returns a batch
/// after [`RETRY_DELAY`], to try again.
fn next_batch(shared: &AuditState, empty: LineBatch) -> Option<ThreadBatch> {
    let mut queue = shared.lock();
    let idle = |queue: &mut AuditQueue| !queue.is_thread_needed();
    queue = shared.wake.wait_while(queue, idle).unwrap_or_else(PoisonError::into_inner);
    if queue.broken {
        let rested = shared.wake.wait_timeout_while(queue, RETRY_DELAY, |queue| !queue.closed);
        queue = rested.unwrap_or_else(PoisonError::into_inner).0;
    }
    if let Some(batch) = queue.unfinished.take() {
        queue.writer = Some(Writer::Thread);
        return Some(ThreadBatch::Unfinished(batch));
    }
    if queue.closed && (queue.broken || queue.batch.lines.is_empty()) {
        return None;
    }
    Some(ThreadBatch::Whole(queue.take(empty, Writer::Thread)))
}

fn log_result(was_broken: bool, result: &io::Result<()>) {
    match (was_broken, result) {
        (false, Err(error)) => {
            tracing::error!("the audit log can't be written, nothing is signed until it can: {error}");
        }
        (true, Ok(())) => tracing::info!("the audit log can be written again"),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use std::io::{BufRead, BufReader, PipeReader, pipe};
    use std::os::fd::OwnedFd;

    use super::*;

    /// A log whose tasks write to a pipe as to a file that can hang.
    fn watched() -> (Arc<AuditLog>, PipeReader) {
        let (reader, writer) = pipe().unwrap();
        let output = LineOutput::watched(File::from(OwnedFd::from(writer)));
        (Arc::new(AuditLog::start_with(LineWriter::new(output, None), Watchdog::Present).unwrap()), reader)
    }

    async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
        let began = Instant::now();
        while !is_so() {
            assert!(began.elapsed() < Duration::from_secs(20), "{what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 3)]
    async fn a_hang_is_noticed_and_afterwards_the_thread_writes() {
        let (audit, reader) = watched();
        let long = [vec![b'x'; 200_000], b"\n".to_vec()].concat();
        let began = Instant::now();
        let hanging = tokio::spawn({
            let audit = Arc::clone(&audit);
            async move { audit.write(&long).await }
        });
        until("the hang is noticed", || audit.hangs()).await;
        assert!(began.elapsed() >= HANG_TIMEOUT);
        assert_eq!(audit.health(), Err(AuditError::Stuck));
        let refused = Instant::now();
        assert_eq!(audit.write(b"refused\n").await, Err(AuditError::Stuck));
        assert!(refused.elapsed() < WRITE_TIMEOUT, "a log that hangs is not waited for");

        let lines = thread::spawn(move || BufReader::new(reader).lines().map(Result::unwrap).collect::<Vec<_>>());
        // The task can also have an error already, because its line was late.
        let _ = hanging.await.unwrap();
        until("the log can be written", || audit.health().is_ok()).await;
        assert!(!audit.hangs() && !audit.0.lock().may_tasks_write());
        audit.write(b"after\n").await.unwrap();
        audit.close().await;
        let lines = lines.join().unwrap();
        assert_eq!(lines[0].len(), 200_000);
        let is_resumed = |line: &String| line.contains(r#""event":"audit_resumed","lost":1}"#);
        assert_eq!(lines.iter().filter(|line| is_resumed(line)).count(), 1);
        assert_eq!(lines.iter().filter(|line| *line == "after").count(), 1);
        assert_eq!(lines.len(), 3);
    }

    #[tokio::test]
    async fn tasks_of_a_thread_that_must_go_on_do_not_write() {
        let (audit, reader) = watched();
        let stuck = Arc::clone(&audit);
        let lines = thread::spawn(move || {
            while stuck.health().is_ok() {
                thread::sleep(Duration::from_millis(5));
            }
            BufReader::new(reader).lines().for_each(|line| drop(line.unwrap()));
        });
        forbid_writing_on_this_thread();
        let long = [vec![b'x'; 200_000], b"\n".to_vec()].concat();
        // This is an error if the wait is canceled before the line is written.
        let _ = audit.write(&long).await;
        until("the line is written", || audit.written() == 1).await;
        assert_eq!(audit.0.lock().tasks_paused_until, None, "no write of a task was slow");
        audit.close().await;
        drop(audit);
        lines.join().unwrap();
    }

    #[tokio::test]
    async fn after_a_slow_write_only_the_thread_writes_and_other_tasks_go_on() {
        let (audit, reader) = watched();
        let long = [vec![b'x'; 200_000], b"\n".to_vec()].concat();
        let (next, is_next) = std::sync::mpsc::channel::<()>();
        // The file of the log is slow: it takes a line only some time after the write began.
        let writing = Arc::clone(&audit);
        let slow = thread::spawn(move || {
            let mut lines = BufReader::new(reader).lines();
            while writing.0.lock().writer.is_none() {
                thread::sleep(Duration::from_millis(5));
            }
            thread::sleep(Duration::from_millis(300));
            lines.next().unwrap().unwrap();
            is_next.recv().unwrap();
            lines.for_each(|line| drop(line.unwrap()));
        });
        // On a slow machine, this is an error.
        let _ = audit.write(&long).await;
        until("the log can be written", || audit.health().is_ok()).await;
        let is_paused = audit.0.lock().tasks_paused_until.replace(Instant::now() + HANG_PAUSE).is_some();
        assert!(is_paused && !audit.0.lock().may_tasks_write());
        let second = tokio::spawn({
            let audit = Arc::clone(&audit);
            async move { audit.write(&long).await }
        });
        // This task shares its thread with the second write, so it goes on only if the write does not stop the thread.
        until("the thread writes", || audit.0.lock().writer == Some(Writer::Thread)).await;
        assert!(!second.is_finished() && !audit.hangs());
        next.send(()).unwrap();
        let _ = second.await.unwrap();
        until("all lines are written", || audit.written() >= 2).await;
        audit.0.lock().tasks_paused_until = Some(Instant::now());
        assert!(audit.0.lock().may_tasks_write(), "the pause ends");
        audit.close().await;
        drop(audit);
        slow.join().unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 3)]
    async fn what_is_queued_while_a_task_writes_is_written_too() {
        let (audit, reader) = watched();
        let lines = thread::spawn(move || BufReader::new(reader).lines().map(Result::unwrap).collect::<Vec<_>>());
        let writing = |number| {
            let audit = Arc::clone(&audit);
            tokio::spawn(async move {
                for step in 0..200 {
                    audit.write(format!("{number} {step} {}\n", "x".repeat(500)).as_bytes()).await.unwrap();
                }
            })
        };
        let tasks: Vec<_> = (0..8).map(writing).collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(audit.written(), 1600);
        audit.close().await;
        let lines = lines.join().unwrap();
        for number in 0..8 {
            let of_task = lines.iter().filter(|line| line.starts_with(&format!("{number} ")));
            let steps: Vec<_> = of_task.map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect();
            assert_eq!(steps, (0..200).map(|step| step.to_string()).collect::<Vec<_>>());
        }
    }

    /// Queues a line that does not fit into the pipe, and flushes it as the task of another request does. Returns an
    /// error if this machine is so slow that the current write counts as a hang.
    fn queue_long_line(audit: &AuditLog, number: u8) -> Result<oneshot::Receiver<()>, AuditError> {
        let queued = audit.0.push(&[vec![b'0' + number; 100_000], b"\n".to_vec()].concat())?;
        audit.0.flush();
        Ok(queued.written)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 3)]
    async fn a_task_does_not_write_for_other_tasks_without_end() {
        let (audit, reader) = watched();
        let first = thread::spawn({
            let audit = Arc::clone(&audit);
            move || drop(queue_long_line(&audit, 0))
        });
        let mut reader = BufReader::new(reader);
        let mut waiting = Vec::new();
        for number in 1..=9 {
            // The previous line is being written, so this line waits for the same writer.
            until("the line is taken", || audit.0.lock().batch.lines.is_empty() && audit.0.lock().writer.is_some())
                .await;
            let Ok(line) = queue_long_line(&audit, number) else { return };
            waiting.push(line);
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            assert!(line.starts_with(char::from(b'0' + number - 1)));
        }
        until("the task has ended", || first.is_finished()).await;
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        until("all lines are written", || audit.written() == 10).await;
    }
}
