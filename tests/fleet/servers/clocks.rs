//! A server whose clock differs from the clock of Redis.

use crate::common::{Server, Setup, until};
use crate::proxy::Proxy;
use crate::redis::Redis;
use crate::servers::fleet::{accept, ban, says, start_with};
use crate::world::login;

/// The question for the time, and a script that answers it. The key `shift` has the seconds that the answer is off.
const TIME: &[u8] = b"*1\r\n$4\r\nTIME\r\n";
const SHIFTED: &[u8] = b"*3\r\n$4\r\nEVAL\r\n$91\r\nlocal t=redis.call('TIME') return {string.format('%d',t[1]+redis.call('GET','shift')),t[2]}\r\n$1\r\n0\r\n";

fn shift(redis: &Redis, seconds: i32) {
    redis.ask::<()>(&["SET", "shift", &seconds.to_string()]);
}

fn offset(server: &Server) -> Option<f64> {
    let metrics = server.admin("/metrics").body;
    metrics.lines().find_map(|line| line.strip_prefix("chat_signer_moderation_clock_offset_seconds "))?.parse().ok()
}

#[test]
fn a_server_whose_clock_is_too_wrong_signs_for_nobody() {
    let Some(redis) = Redis::start() else { return };
    shift(&redis, 0);
    let proxy = Proxy::replacing(&redis.socket(), Some((TIME, SHIFTED)));
    let server = start_with(&format!("redis://{}", proxy.address), "4s", "max_clock_offset = \"20s\"\n");
    assert!(accept(&server, &["--empty"]).status.success());
    until("it is ready", || server.is_ready());
    assert_eq!(ban(&server, "ann"), 200);
    until("the offset is measured", || offset(&server).is_some_and(|offset| offset.abs() < 1.0));

    for (seconds, direction) in [(-600, "ahead of"), (600, "behind")] {
        shift(&redis, seconds);
        until("it refuses", || says(&server, &format!("{direction} the clock of the moderation store")));
        assert_eq!((login(&server, "ann"), login(&server, "tom"), ban(&server, "ben")), (503, 503, 503));
        let measured = offset(&server).unwrap();
        assert!((measured + f64::from(seconds)).abs() < 5.0, "{measured}");

        shift(&redis, 0);
        until("it is ready again", || server.is_ready());
        assert_eq!((login(&server, "ann"), login(&server, "tom")), (403, 200));
    }

    // A smaller offset only causes a warning.
    shift(&redis, 12);
    until("it is noticed", || offset(&server).is_some_and(|offset| offset < -8.0));
    assert_eq!((login(&server, "ann"), login(&server, "tom")), (403, 200));
    let said = server.said();
    assert!(said.contains("WARN") && said.contains("behind the clock of the moderation store. Entries end"), "{said}");
}

#[test]
fn a_clock_cannot_be_wrong_without_another_clock() {
    let store = "[store]\ntype = \"memory\"";
    let server = Server::with(Setup::more(store));
    until("the offset is shown", || offset(&server) == Some(0.0));
}
