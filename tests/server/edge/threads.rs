//! However few threads the system allows, the program serves and follows its files, or ends. It never stays without doing either.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use crate::common::{LONG, demonstration};

#[test]
fn with_too_few_threads_it_ends() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: the limit is on all processes of a user, and only root can be one that has no others");
        return;
    }
    let home = demonstration(&[("drain_delay = \"5s\"", "drain_delay = \"0s\"")]);
    let program = home.join("chat-signer");
    fs::copy(env!("CARGO_BIN_EXE_chat-signer"), &program).unwrap();
    let nobody = 2_000_000 + std::process::id();
    give(&home, nobody);
    let ends = (1..=12).map(|threads| outcome(&home, &program, nobody, threads)).collect::<Vec<_>>();
    assert!(ends.contains(&Outcome::Ended) && ends.contains(&Outcome::Follows), "{ends:?}");
    fs::remove_dir_all(home).unwrap();
}

#[derive(Debug, PartialEq)]
enum Outcome {
    Ended,
    Follows,
}

/// What comes of it with so many threads.
fn outcome(home: &Path, program: &Path, user: u32, threads: usize) -> Outcome {
    let child = Command::new("prlimit")
        .arg(format!("--nproc={threads}"))
        .arg(program)
        .arg("serve")
        .current_dir(home)
        .uid(user)
        .gid(user)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = Ending(child.unwrap());
    let (found, outcome) = mpsc::channel();
    let log = BufReader::new(child.0.stderr.take().unwrap());
    let id = child.0.id().to_string();
    thread::spawn(move || {
        for line in log.lines().map_while(Result::ok) {
            if line.contains("listening on") {
                assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
            }
            if line.contains("is in force") {
                let _ = found.send(Outcome::Follows);
            }
        }
        let _ = found.send(Outcome::Ended);
    });
    let outcome = outcome.recv_timeout(LONG).unwrap_or_else(|_| panic!("with {threads} threads it hangs"));
    assert!(outcome == Outcome::Follows || !child.0.wait().unwrap().success(), "with {threads} threads it ends well");
    outcome
}

/// Gives a directory and all in it to a user.
fn give(path: &Path, user: u32) {
    chown(path, Some(user), Some(user)).unwrap();
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path(), user);
        }
    } else if path.extension().is_some_and(|end| end == "secret") {
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// A process that is ended with the test.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
