//! The audit log against real files, pipes and sockets: dead ones, stuck ones, and ones that come back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::{File, OpenOptions};
use std::future::ready;
use std::io::{BufRead, BufReader, Read, Write, pipe};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_signer::telemetry::audit::{AuditError, AuditLog, WRITE_TIMEOUT};
use chat_signer::telemetry::{LineOutput, LineWriter, Watchdog};

/// A socket on which each write is one packet, so that writes can be counted.
fn packets() -> (AuditLog, UnixDatagram) {
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    theirs.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    (AuditLog::new(File::from(OwnedFd::from(ours))).unwrap(), theirs)
}

fn packet(socket: &UnixDatagram) -> String {
    let mut buffer = vec![0; 1 << 16];
    let length = socket.recv(&mut buffer).unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

async fn until_healthy(audit: &AuditLog) {
    let began = Instant::now();
    while audit.health().is_err() {
        assert!(began.elapsed() < Duration::from_secs(20), "the log never came back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A named pipe in a fresh directory.
struct Fifo(PathBuf);

impl Fifo {
    fn new(name: &str) -> Fifo {
        let directory = std::env::temp_dir().join(format!("chat-signer-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("fifo");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        Fifo(path)
    }

    /// Opening for both never waits for another end.
    fn reader_and_writer(&self) -> (File, File) {
        let both = OpenOptions::new().read(true).write(true).open(&self.0).unwrap();
        let writer = OpenOptions::new().write(true).open(&self.0).unwrap();
        let reader = File::open(&self.0).unwrap();
        drop(both);
        (reader, writer)
    }
}

impl Drop for Fifo {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.0.parent().unwrap());
    }
}

#[tokio::test]
async fn a_line_is_written_when_the_waiting_ends() {
    let (audit, socket) = packets();
    socket.set_nonblocking(true).unwrap();
    audit.write(b"one\n").await.unwrap();
    assert_eq!(packet(&socket), "one\n");
    audit.write(b"two\n").await.unwrap();
    assert_eq!(packet(&socket), "two\n");
}

#[tokio::test]
async fn concurrent_lines_share_a_write() {
    let (audit, socket) = packets();
    let audit = Arc::new(audit);
    let writes: Vec<_> = (0..50)
        .map(|n| {
            let audit = Arc::clone(&audit);
            tokio::spawn(async move { audit.write(format!("line {n}\n").as_bytes()).await })
        })
        .collect();
    for write in writes {
        write.await.unwrap().unwrap();
    }
    let (mut written, mut count) = (String::new(), 0);
    while written.lines().count() < 50 {
        written.push_str(&packet(&socket));
        count += 1;
    }
    assert!(count <= 5, "{count} writes");
    assert!((0..50).all(|n| written.lines().any(|line| line == format!("line {n}"))));
}

#[tokio::test]
async fn a_line_is_written_although_its_client_has_gone() {
    let (audit, socket) = packets();
    tokio::select! {
        biased;
        _ = audit.write(b"gone\n") => panic!("nothing is written without a wait"),
        () = ready(()) => {}
    }
    assert_eq!(packet(&socket), "gone\n");
}

/// A log whose tasks may write to files.
fn written_by_tasks(output: LineOutput) -> Arc<AuditLog> {
    Arc::new(AuditLog::start_with(LineWriter::new(output, None), Watchdog::Present).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_line_is_in_the_file_before_its_write_returns() {
    let path = std::env::temp_dir().join(format!("chat-signer-before-{}.log", std::process::id()));
    let audit = written_by_tasks(LineOutput::open(&path).unwrap());
    let writing = |task: usize| {
        let (audit, path) = (Arc::clone(&audit), path.clone());
        tokio::spawn(async move {
            for step in 0..50 {
                let line = format!("task {task} step {step}\n");
                audit.write(line.as_bytes()).await.unwrap();
                assert!(std::fs::read_to_string(&path).unwrap().contains(&line), "{line}");
            }
        })
    };
    let tasks: Vec<_> = (0..8).map(writing).collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 400);
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn a_file_that_is_moved_is_replaced_soon_and_a_deleted_file_at_once() {
    let directory = std::env::temp_dir().join(format!("chat-signer-moved-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (path, moved) = (directory.join("audit.log"), directory.join("audit.log.1"));
    let audit = written_by_tasks(LineOutput::open(&path).unwrap());
    audit.write(b"0\n").await.unwrap();
    std::fs::rename(&path, &moved).unwrap();
    let (began, mut lines) = (Instant::now(), 1);
    while !path.exists() {
        assert!(began.elapsed() < Duration::from_secs(20), "there is no new file");
        audit.write(format!("{lines}\n").as_bytes()).await.unwrap();
        lines += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let text = std::fs::read_to_string(&moved).unwrap() + &std::fs::read_to_string(&path).unwrap();
    assert!(text.lines().eq((0..lines).map(|line| line.to_string())), "{text}");
    std::fs::remove_file(&path).unwrap();
    audit.write(b"last\n").await.unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "last\n");
    std::fs::remove_dir_all(&directory).unwrap();
}

#[tokio::test]
async fn a_file_is_written_at_the_position_that_other_programs_share() {
    let path = std::env::temp_dir().join(format!("chat-signer-shared-{}.log", std::process::id()));
    // A shell opens the file of `chat-signer serve > audit.log` in this way.
    let mut shared = File::create(&path).unwrap();
    let audit = written_by_tasks(LineOutput::from_file(shared.try_clone().unwrap()));
    for line in 1..4 {
        audit.write(format!("{line}\n").as_bytes()).await.unwrap();
        // This work is for the thread, so the thread or a task writes the next line.
        audit.reopen();
        writeln!(shared, "other").unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\nother\n2\nother\n3\nother\n");
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn a_pipe_stays_in_the_mode_of_its_other_users() {
    let (reader, writer) = pipe().unwrap();
    let shared = File::from(OwnedFd::from(writer));
    let audit = AuditLog::new(shared.try_clone().unwrap()).unwrap();
    audit.write(b"line\n").await.unwrap();
    // The flags are in octal, and O_NONBLOCK is 04000.
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", shared.as_raw_fd())).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
    assert_eq!(u32::from_str_radix(flags, 8).unwrap() & 0o4000, 0, "{flags}");
    let mut line = String::new();
    BufReader::new(reader).read_line(&mut line).unwrap();
    assert_eq!(line, "line\n");
}

#[tokio::test]
async fn a_full_disk_is_an_error_at_once() {
    let audit = AuditLog::to_file("/dev/full".as_ref()).unwrap();
    assert_eq!(audit.health(), Ok(()));
    assert_eq!(audit.write(b"line\n").await, Err(AuditError::Broken));
    assert_eq!(audit.health(), Err(AuditError::Broken));
    let began = Instant::now();
    assert_eq!(audit.write(b"line\n").await, Err(AuditError::Broken));
    assert!(began.elapsed() < WRITE_TIMEOUT);
}

#[tokio::test]
async fn a_stuck_pipe_is_an_error_in_time_and_recovers_by_itself() {
    let (reader, writer) = pipe().unwrap();
    let audit = AuditLog::new(File::from(OwnedFd::from(writer))).unwrap();
    let long = [vec![b'x'; 200_000], b"\n".to_vec()].concat();
    assert_eq!(audit.write(&long).await, Err(AuditError::Stuck));
    assert_eq!(audit.health(), Err(AuditError::Stuck));
    let began = Instant::now();
    assert_eq!(audit.write(b"refused\n").await, Err(AuditError::Stuck));
    assert!(began.elapsed() < WRITE_TIMEOUT, "a log known to be stuck is not waited for");

    let lines = std::thread::spawn(move || BufReader::new(reader).lines().map(Result::unwrap).collect::<Vec<_>>());
    until_healthy(&audit).await;
    audit.write(b"after\n").await.unwrap();
    audit.close().await;
    let lines = lines.join().unwrap();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0].len(), 200_000);
    assert!(lines[1].contains(r#""event":"audit_resumed","lost":1}"#), "{}", lines[1]);
    assert_eq!(lines[2], "after");
}

#[tokio::test]
async fn too_much_to_write_is_refused_at_once() {
    let (_reader, writer) = pipe().unwrap();
    let audit = Arc::new(AuditLog::new(File::from(OwnedFd::from(writer))).unwrap());
    let long = Arc::new(vec![b'x'; 1 << 20]);
    let attempts: Vec<_> = (0..32)
        .map(|_| {
            let (audit, long) = (Arc::clone(&audit), Arc::clone(&long));
            tokio::spawn(async move { audit.write(&long).await })
        })
        .collect();
    let mut results = Vec::new();
    for write in attempts {
        results.push(write.await.unwrap());
    }
    assert!(results.contains(&Err(AuditError::Full)), "{results:?}");
    assert!(results.iter().all(Result::is_err), "{results:?}");
}

#[tokio::test]
async fn a_dead_pipe_recovers_without_traffic_and_leaves_no_torn_line() {
    let fifo = Fifo::new("torn");
    let (reader, writer) = fifo.reader_and_writer();
    let audit = AuditLog::new(writer).unwrap();
    let long = [vec![b'x'; 200_000], b"\n".to_vec()].concat();
    assert_eq!(audit.write(&long).await, Err(AuditError::Stuck));
    drop(reader);
    while audit.health() != Err(AuditError::Broken) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    let (mut reader, spare) = fifo.reader_and_writer();
    drop(spare);
    let text = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    });
    until_healthy(&audit).await;
    audit.write(b"after\n").await.unwrap();
    audit.close().await;
    let text = text.join().unwrap();
    let lines: Vec<_> = text.lines().skip_while(|line| line.starts_with('x')).collect();
    assert!(lines[0].starts_with(r#"{"time":""#) && lines[0].contains(r#""lost":1}"#), "{lines:?}");
    assert_eq!(lines[1..], ["after"]);
}

#[tokio::test]
async fn a_file_is_its_owners_and_is_appended_to() {
    let path = std::env::temp_dir().join(format!("chat-signer-audit-{}.log", std::process::id()));
    for line in ["first\n", "second\n"] {
        let audit = AuditLog::to_file(&path).unwrap();
        audit.write(line.as_bytes()).await.unwrap();
        audit.close().await;
        assert_eq!(audit.write(b"late\n").await, Err(AuditError::Broken), "a closed log takes nothing");
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "first\nsecond\n");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn a_pipe_is_written_to_while_somebody_reads_it() {
    let fifo = Fifo::new("read");
    let (reader, writer) = fifo.reader_and_writer();
    let audit = AuditLog::to_file(&fifo.0).unwrap();
    drop(writer);
    audit.write(b"line\n").await.unwrap();
    let mut line = String::new();
    BufReader::new(reader).read_line(&mut line).unwrap();
    assert_eq!(line, "line\n");
    assert_eq!(audit.write(b"line\n").await, Err(AuditError::Broken), "its reader has gone");
}

#[tokio::test]
async fn a_line_that_was_torn_before_the_start_takes_none_with_it() {
    let path = std::env::temp_dir().join(format!("chat-signer-torn-{}.log", std::process::id()));
    for (before, after) in [("{\"torn", "{\"torn\nline\n"), ("whole\n", "whole\nline\n"), ("", "line\n")] {
        std::fs::write(&path, before).unwrap();
        let audit = AuditLog::to_file(&path).unwrap();
        audit.write(b"line\n").await.unwrap();
        audit.close().await;
        assert_eq!(std::fs::read_to_string(&path).unwrap(), after);
    }
    std::fs::remove_file(&path).unwrap();
}
