//! The faults.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::clients::Clients;
use super::deployment::{Backend, Deployment};
use super::parameters::{MAX_STALENESS, Random};
use crate::common::{Server, until};
use crate::servers::rolled_back::{back_up, restore};

#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// Redis is killed, and started again with its data.
    KillRedis,
    /// Redis stops, and continues.
    StopRedis,
    /// The connections to Redis are cut for a while.
    CutRedis,
    /// Redis goes back to a backup, and an operator accepts that.
    RollBack,
    /// Sentinel makes another server the primary.
    FailOver,
    /// A server is killed, and started again.
    RestartServer,
    /// A server stops, and continues.
    StopServer,
}

pub(super) const SINGLE_FAULTS: [Fault; 6] =
    [Fault::KillRedis, Fault::StopRedis, Fault::CutRedis, Fault::RollBack, Fault::RestartServer, Fault::StopServer];

pub(super) const GROUP_FAULTS: [Fault; 5] =
    [Fault::KillRedis, Fault::StopRedis, Fault::FailOver, Fault::RestartServer, Fault::StopServer];

/// Makes a fault happen, and ends it.
pub(super) fn inject(deployment: &mut Deployment, clients: &Clients, fault: Fault, random: &mut Random) {
    let place = random.below(deployment.servers.len());
    let length = MAX_STALENESS * u32::try_from(random.below(20)).unwrap() / 10;
    match fault {
        Fault::RestartServer => deployment.restart_server(place),
        Fault::StopServer => {
            let server = deployment.servers[place].as_ref().unwrap();
            server.signal("-STOP");
            sleep(length);
            server.signal("-CONT");
        }
        Fault::RollBack => roll_back(deployment, clients),
        Fault::KillRedis | Fault::StopRedis | Fault::CutRedis | Fault::FailOver => {
            disturb(&mut deployment.backend, fault, length);
        }
    }
}

fn disturb(backend: &mut Backend, fault: Fault, length: Duration) {
    if let (Backend::Single(redis, proxy), Fault::CutRedis) = (&*backend, fault) {
        proxy.lead_to(Path::new("/dev/null"));
        sleep(length);
        return proxy.lead_to(&redis.socket());
    }
    if let (Backend::Group(group), Fault::FailOver) = (&*backend, fault) {
        return group.fail_over();
    }
    let redis = match backend {
        Backend::Single(redis, _) => redis,
        Backend::Group(group) => {
            let primary = group.primary();
            &mut group.redis[primary]
        }
    };
    match fault {
        Fault::KillRedis => {
            redis.kill();
            sleep(length);
            redis.restart();
        }
        Fault::StopRedis => {
            redis.stall();
            sleep(length);
            redis.go_on();
        }
        Fault::CutRedis | Fault::FailOver | Fault::RollBack | Fault::RestartServer | Fault::StopServer => {
            unreachable!("{fault:?}")
        }
    }
}

/// Takes Redis back to a backup. All servers must notice it and refuse everyone until an operator accepts the store.
fn roll_back(deployment: &mut Deployment, clients: &Clients) {
    let Backend::Single(redis, _) = &mut deployment.backend else { unreachable!("only one Redis is rolled back") };
    clients.without_changes(|| back_up(redis));
    sleep(MAX_STALENESS);
    let servers = &deployment.servers;
    clients.without_changes(|| {
        // All servers have the last change.
        sleep(MAX_STALENESS);
        restore(redis);
        let noticed = clients.now() + MAX_STALENESS;
        let refuses = |server: &Server| server.admin("/readyz").status == 503;
        until("all servers refuse", || servers.iter().flatten().all(refuses));
        let began = Instant::now();
        until("logins are refused", || began.elapsed() > MAX_STALENESS);
        let start = clients.now();
        let signed = clients.logins().into_iter().filter(|login| login.start > noticed && login.status == Some(200));
        assert_eq!(signed.count(), 0, "a server signs with a store that was rolled back");
        let accepted = crate::servers::fleet::accept(servers[0].as_ref().unwrap(), &[]);
        assert!(accepted.status.success(), "{accepted:?}");
        until("all servers are ready", || servers.iter().flatten().all(Server::is_ready));
        let banned = crate::servers::fleet::banned(servers[0].as_ref().unwrap());
        clients.reset(start, |user| banned.contains(user));
    });
}
