//! A server that gets no CPU time says so, and does not blame the store.

use std::thread;
use std::time::Duration;

use crate::common::until;
use crate::redis::Redis;
use crate::servers::fleet::{accept, ban, says, start};
use crate::world::login;

/// The time without CPU. It is longer than the server's `max_staleness`.
const STOPPED: Duration = Duration::from_secs(7);

#[test]
fn a_server_that_did_not_run_is_told_from_a_store_that_does_not_answer() {
    let Some(redis) = Redis::start() else { return };
    let server = start(&format!("unix://{}", redis.socket().display()), "6s");
    assert!(accept(&server, &["--empty"]).status.success());
    until("it is ready", || server.is_ready());
    assert_eq!(ban(&server, "ann"), 200);
    // The store must not answer before the server's answer is read.
    redis.stall();
    server.signal("-STOP");
    thread::sleep(STOPPED);
    server.signal("-CONT");
    let stopped = "s; meanwhile, this process did not run for ";
    until("it says that it did not run", || says(&server, stopped));
    assert_eq!((login(&server, "tom"), login(&server, "ann")), (503, 503), "nothing is signed all the same");
    until("the store is at fault", || says(&server, "has not answered") && !says(&server, stopped));
    redis.go_on();
    until("it is ready again", || server.is_ready());
    assert_eq!((login(&server, "tom"), login(&server, "ann")), (200, 403));
    let metrics = server.admin("/metrics").body;
    let delay = metrics.lines().find_map(|line| line.strip_prefix("chat_signer_scheduling_delay_seconds_total "));
    let delay: f64 = delay.unwrap().parse().unwrap();
    assert!(delay >= STOPPED.as_secs_f64() - 1.0, "{delay}");
    let log = server.log();
    assert!(log.contains("WARN") && log.contains("this process did not run for "), "{log}");
}
