//! A history checker: clients ban users, lift bans and ask for signatures at several servers, while faults happen to
//! the servers and to Redis. A ban that was acknowledged must be obeyed within `max_staleness`, or the answer is a 503.
//!
//! `CHAT_SIGNER_HISTORY_SECONDS` sets how long a history is, and `CHAT_SIGNER_TEST_SEED` the seed of its random choices.

mod check;
mod clients;
mod deployment;
mod faults;
mod parameters;

use std::time::Duration;

use self::clients::Clients;
use self::deployment::Deployment;
use self::faults::{GROUP_FAULTS, SINGLE_FAULTS, inject};
use self::parameters::{MAX_STALENESS, Random, number};

/// The pause after a fault, in which the clients make changes.
const CALM: Duration = Duration::from_secs(2);

/// Makes a history and checks it.
fn run(mut deployment: Deployment, faults: &[faults::Fault]) {
    let (seconds, seed) = (number("CHAT_SIGNER_HISTORY_SECONDS", 60), number("CHAT_SIGNER_TEST_SEED", 1));
    let length = Duration::from_secs(seconds);
    let mut random = Random(seed);
    let clients = Clients::start(&deployment, seed);
    let mut counts = vec![0; faults.len()];
    while clients.now() < length {
        std::thread::sleep(CALM);
        let fault = random.below(faults.len());
        counts[fault] += 1;
        inject(&mut deployment, &clients, faults[fault], &mut random);
        deployment.wait_until_ready();
    }
    let history = clients.end();
    println!("{seconds} s, seed {seed}: {:?}", faults.iter().zip(&counts).collect::<Vec<_>>());
    println!("{}", check::summary(&history));
    let violations = check::violations(&history, MAX_STALENESS);
    assert!(violations.is_empty(), "{} violations: {violations:#?}", violations.len());
    check::check_final_state(&history, &deployment);
}

#[test]
fn acknowledged_bans_are_obeyed_with_one_redis() {
    if let Some(deployment) = Deployment::single() {
        run(deployment, &SINGLE_FAULTS);
    }
}

#[test]
fn acknowledged_bans_are_obeyed_with_sentinel_and_replicas() {
    if let Some(deployment) = Deployment::group() {
        run(deployment, &GROUP_FAULTS);
    }
}
