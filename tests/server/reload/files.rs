//! However files change, what they say then counts, and soon.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::common::{Server, until};
use crate::reload::{may, policy, replace, started, until_accepted, until_refused};

/// Has the policy changed by `change` and waits until it counts.
fn takes_effect(how: &str, server: &Server, change: impl FnOnce(&Path, &str)) {
    let path = server.directory.join("policy.toml");
    change(&path, &policy("leave"));
    let after = until(how, || may(server, "leave"));
    assert!(!may(server, "join"));
    println!("{how}: in force after {} ms", after.as_millis());
    replace(&path, &policy("join"));
    until("it changes back", || may(server, "join"));
}

#[test]
fn a_change_counts_however_it_is_made() {
    let server = started();
    takes_effect("by rename", &server, replace);
    takes_effect("in place", &server, |path, text| fs::write(path, text).unwrap());
    takes_effect("bit by bit", &server, |path, text| {
        let mut file = OpenOptions::new().write(true).truncate(true).open(path).unwrap();
        for byte in text.as_bytes().chunks(20) {
            file.write_all(byte).unwrap();
            thread::sleep(Duration::from_millis(30));
        }
    });
    takes_effect("by link", &server, |path, text| {
        fs::write(path.with_file_name("other.toml"), text).unwrap();
        let link = path.with_file_name("link");
        symlink("other.toml", &link).unwrap();
        fs::rename(link, path).unwrap();
    });
    takes_effect("by removal", &server, |path, text| {
        fs::remove_file(path).unwrap();
        until_refused(&server, "which does not exist");
        assert!(may(&server, "join"));
        fs::write(path, text).unwrap();
    });
}

/// Kubernetes mounts `policy.toml` as a link to `..data/policy.toml`, and `..data` as a link to a directory, which it replaces.
#[test]
fn a_mounted_volume_changes_as_a_whole() {
    let server = Server::start();
    let mount = |name: &str, action: &str| {
        let version = server.directory.join(name);
        fs::create_dir(&version).unwrap();
        fs::write(version.join("policy.toml"), policy(action)).unwrap();
        let link = server.directory.join("..data_tmp");
        symlink(name, &link).unwrap();
        fs::rename(link, server.directory.join("..data")).unwrap();
    };
    mount("..2026_1", "join");
    let path = server.directory.join("policy.toml");
    fs::remove_file(&path).unwrap();
    symlink("..data/policy.toml", &path).unwrap();
    until("it is mounted", || !may(&server, "leave"));
    assert!(may(&server, "join"));
    mount("..2026_2", "leave");
    fs::remove_dir_all(server.directory.join("..2026_1")).unwrap();
    let after = until("it is replaced", || may(&server, "leave"));
    println!("by a volume: in force after {} ms", after.as_millis());
}

/// A change that leaves length and times as they are, as within one tick of a file system's clock.
#[test]
fn what_a_file_holds_counts_and_not_its_times() {
    let server = started();
    let path = server.directory.join("policy.toml");
    let times = |path: &Path| {
        let metadata = fs::metadata(path).unwrap();
        fs::FileTimes::new().set_modified(metadata.modified().unwrap())
    };
    let before = times(&path);
    fs::write(&path, policy("kick")).unwrap();
    OpenOptions::new().write(true).open(&path).unwrap().set_times(before).unwrap();
    until("it is changed", || !may(&server, "join"));
}

#[test]
fn a_mistake_changes_nothing_and_is_told_once() {
    let server = Server::start();
    let path = server.directory.join("policy.toml");
    let good = fs::read_to_string(&path).unwrap();
    replace(&path, "roles = [\"member\"]\nrlues = []\ndefault_role = \"owner\"\n");
    until_refused(&server, "rlues");
    assert!(server.is_ready() && may(&server, "join"));
    assert_eq!(server.ask("GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n").body, "ok\n");
    let said = server.admin("/readyz?verbose").body;
    assert!(said.contains("policy.toml:2:1: ") && said.contains("(and 1 more)"), "{said}");
    // Long enough to be told again and again.
    thread::sleep(Duration::from_secs(2));
    replace(&path, &good);
    until_accepted(&server);
    assert!(may(&server, "join"));
    let log = server.log();
    for mistake in ["rlues", "default_role"] {
        assert_eq!(log.lines().filter(|line| line.contains("ERROR") && line.contains(mistake)).count(), 1, "{log}");
    }
    assert_eq!(log.matches("is in force").count(), 1, "{log}");
}

#[test]
fn what_the_system_says_of_a_file_that_can_not_be_read_is_told() {
    let server = Server::start();
    let path = server.directory.join("policy.toml");
    fs::remove_file(&path).unwrap();
    let _socket = UnixListener::bind(&path).unwrap();
    until_refused(&server, "policy.toml, which can't be read: No such device or address");
}

#[test]
fn no_file_is_read_that_is_too_large_to_be_meant() {
    let server = started();
    for name in ["leancloud.secret", "policy.toml", "signer.toml"] {
        let path = server.directory.join(name);
        let good = fs::read_to_string(&path).unwrap();
        // A hole takes no room on the disk.
        OpenOptions::new().write(true).open(&path).unwrap().set_len(20 << 20).unwrap();
        until_refused(&server, "which is larger than 16 MiB");
        replace(&path, &good);
        until_accepted(&server);
    }
    assert!(may(&server, "join"));
}

#[test]
fn files_that_never_stand_still_are_told_of_and_read_on_demand() {
    let server = started();
    let path = server.directory.join("policy.toml");
    let (leaves, done) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0.. {
                // On a busy machine they may stand still for long enough after all.
                let action = if leaves.load(Ordering::Relaxed) { "leave" } else { "join" };
                replace(&path, &format!("{}# {number}\n", policy(action)));
                thread::sleep(Duration::from_millis(50));
                if done.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let _rest = Rest(&done);
        until_refused(&server, "the files change all the time");
        assert!(may(&server, "join"));
        leaves.store(true, Ordering::Relaxed);
        until("it is read", || {
            server.signal("-HUP");
            may(&server, "leave")
        });
    });
    until_accepted(&server);
}

/// Has the files left alone in the end, also where the test fails: the scope waits for who changes them.
struct Rest<'a>(&'a AtomicBool);

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn files_that_come_to_rest_as_they_were_are_in_order() {
    let server = started();
    let path = server.directory.join("policy.toml");
    let good = fs::read_to_string(&path).unwrap();
    let is_told = || server.admin("/readyz?verbose").body.contains("the files change all the time");
    let mut number = 0;
    until("it is told", || {
        number += 1;
        replace(&path, &format!("{good}# {number}\n"));
        is_told()
    });
    replace(&path, &good);
    until_accepted(&server);
    assert!(may(&server, "join"));
}

#[test]
fn a_hang_up_has_the_files_read_whether_they_changed_or_not() {
    let server = Server::start();
    for times in 1..=3 {
        server.signal("-HUP");
        until("they are read", || server.said().matches("is in force").count() == times);
    }
}
