//! Requests without a pause, while files change without a pause: each is answered, and each under one state of all the files.
//!
//! Every state has a number that shows in three ways, from three files: in the life of a token (`signer.toml`), in what it is good for
//! (`policy.toml`), and in the key that it is signed with. A mix would show.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chat_signer::crypto::mac::HmacSha256;
use chat_signer::crypto::{base64url, base64url_decode};
use serde_json::{Value, json};

use crate::common::{CALLER_SECRET, Server, Setup, directory, post, until};
use crate::reload::{replace, until_accepted, until_refused};

const SIGNER: &str = r#"
[server]
listen = "127.0.0.1:0"

[admin]
listen = "127.0.0.1:0"

[apps.ably]
vendor = "ably"
key = { file = "ably.secret" }
default_ttl = "{life}s"

[[authenticators]]
name = "app-users"
type = "jwt"
caller = "user"
issuer = "https://id.example.com/"
audience = ["chat"]
algorithms = ["HS256"]
secret = { file = "caller.secret" }
"#;

/// How many rounds of a bad change and a good one.
const ROUNDS: usize = 25;

/// How many requests are sent at least.
const REQUESTS: usize = 10_000;

/// How soon a good change is in force, as the documentation has it.
const PROMISED: Duration = Duration::from_secs(2);

/// A state of the files: the number of the mounted volume, and that of the policy in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct State {
    volume: usize,
    policy: usize,
}

impl State {
    fn channel(self) -> String {
        format!("state:{}:{}", self.volume, self.policy)
    }

    fn key(self) -> String {
        format!("fakeapp.fakekey:fake-ably-secret-{}", self.volume)
    }

    fn life(self) -> usize {
        3600 + self.volume
    }

    /// The policy. Whatever its end is missing, the rest has a mistake.
    fn policy(self) -> String {
        let rule = format!("actions = [\"subscribe\"], conversations = [\"{}\"]", self.channel());
        format!(
            "rules = [\n  {{ id = \"everyone\", effect = \"allow\", actions = [\"login\"] }},\n  {{ id = \"one\", effect = \
             \"allow\", {rule} }},\n]\nroles = [\"member\"]\n"
        )
    }
}

/// The volume that is mounted, in the way of Kubernetes.
struct Volume {
    directory: PathBuf,
    state: State,
    mounts: usize,
}

impl Volume {
    fn new() -> Volume {
        let mut volume = Volume { directory: directory(), state: State { volume: 0, policy: 0 }, mounts: 0 };
        fs::write(volume.directory.join("caller.secret"), CALLER_SECRET).unwrap();
        volume.mount(|_| {});
        for name in ["signer.toml", "policy.toml", "ably.secret"] {
            symlink(Path::new("..data").join(name), volume.directory.join(name)).unwrap();
        }
        volume
    }

    /// Mounts the state, with what `spoil` does to the new volume.
    fn mount(&mut self, spoil: impl FnOnce(&Path)) {
        self.mounts += 1;
        let name = format!("..mount_{}", self.mounts);
        let path = self.directory.join(&name);
        fs::create_dir(&path).unwrap();
        fs::write(path.join("signer.toml"), SIGNER.replace("{life}", &self.state.life().to_string())).unwrap();
        fs::write(path.join("policy.toml"), self.state.policy()).unwrap();
        fs::write(path.join("ably.secret"), self.state.key()).unwrap();
        spoil(&path);
        let old = fs::read_link(self.directory.join("..data"));
        let link = self.directory.join("..data_tmp");
        symlink(&name, &link).unwrap();
        fs::rename(link, self.directory.join("..data")).unwrap();
        if let Ok(old) = old {
            fs::remove_dir_all(self.directory.join(old)).unwrap();
        }
    }

    fn policy(&self) -> PathBuf {
        self.directory.join("..data/policy.toml")
    }

    /// Changes something for the worse, in one of several ways.
    fn spoil(&mut self, round: usize) {
        let whole = self.state.policy();
        let half = &whole[..whole.len() / 2];
        match round % 5 {
            0 => self.mount_other(|path| fs::write(path.join("policy.toml"), "roles = []").unwrap()),
            1 => drop(File::create(self.policy()).unwrap()),
            2 => self.mount(|path| fs::remove_file(path.join("ably.secret")).unwrap()),
            3 => replace(&self.policy(), &whole.replace("member", "Member")),
            _ => fs::write(self.policy(), half).unwrap(),
        }
    }

    /// Mounts another state, of which nothing may ever show.
    fn mount_other(&mut self, spoil: impl FnOnce(&Path)) {
        let good = std::mem::replace(&mut self.state, State { volume: 900, policy: 0 });
        self.mount(spoil);
        self.state = good;
    }

    /// Makes everything good again, with the next state.
    fn mend(&mut self, round: usize) {
        if matches!(round % 5, 0 | 2) {
            self.state = State { volume: self.state.volume + 1, policy: 0 };
            return self.mount(|_| {});
        }
        self.state.policy += 1;
        let (path, text) = (self.policy(), self.state.policy());
        match round % 5 {
            1 => fs::write(path, text).unwrap(),
            3 => replace(&path, &text),
            _ => write_slowly(&path, &text),
        }
    }
}

fn write_slowly(path: &Path, text: &str) {
    let mut file = OpenOptions::new().write(true).truncate(true).open(path).unwrap();
    for part in text.as_bytes().chunks(16) {
        file.write_all(part).unwrap();
        thread::sleep(Duration::from_millis(20));
    }
}

/// The state that a token shows: the same in all three ways.
fn state(token: &str) -> State {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let claims: Value = serde_json::from_slice(&base64url_decode(signed.split_once('.').unwrap().1).unwrap()).unwrap();
    let capability: Value = serde_json::from_str(claims["x-ably-capability"].as_str().unwrap()).unwrap();
    let channels: Vec<_> = capability.as_object().unwrap().keys().collect();
    let [channel] = channels.as_slice() else { panic!("not one policy: {capability}") };
    let mut numbers = channel.split(':').skip(1).map(|number| number.parse().unwrap());
    let state = State { volume: numbers.next().unwrap(), policy: numbers.next().unwrap() };
    let life = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
    assert_eq!(life, state.life() as u64, "{claims}");
    let key = state.key();
    let mac = HmacSha256::new(key.split_once(':').unwrap().1.as_bytes()).mac(signed.as_bytes());
    assert_eq!(signature, base64url(&mac), "{claims}");
    state
}

/// A request for whatever any state allows.
fn asking() -> String {
    let states = (0..ROUNDS).flat_map(|volume| (0..4).map(move |policy| State { volume, policy }));
    let channels: serde_json::Map<_, _> =
        states.take(100).map(|state| (state.channel(), json!(["subscribe"]))).collect();
    post("/v1/ably/token", "tom", &json!({ "capability": channels }).to_string())
}

/// Asks until the files have come to rest and enough was asked. What was seen once is never followed by something older.
fn ask(server: &Server, count: &AtomicUsize, rest: &AtomicBool) {
    let (request, mut last) = (asking(), None);
    let mut connection = server.connect();
    while !rest.load(Ordering::Relaxed) || count.load(Ordering::Relaxed) < REQUESTS {
        let answer = connection.ask(&request);
        assert_eq!(answer.status, 200, "{answer:?}");
        let now = Some(state(&answer.body));
        assert!(last <= now, "{last:?} {now:?}");
        last = now;
        if count.fetch_add(1, Ordering::Relaxed).is_multiple_of(500) {
            connection = server.connect();
        }
    }
}

#[test]
fn no_request_fails_and_none_sees_a_mix_while_files_change() {
    let mut volume = Volume::new();
    let server = Server::run(volume.directory.clone(), Setup::default());
    let (count, rest) = (AtomicUsize::new(0), AtomicBool::new(false));
    let mut delays = thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| ask(&server, &count, &rest));
        }
        let delays: Vec<_> = (0..ROUNDS).map(|round| change_twice(&mut volume, &server, round)).collect();
        rest.store(true, Ordering::Relaxed);
        delays
    });
    until_accepted(&server);
    assert_eq!(state(&server.ask(&asking()).body), volume.state);
    delays.sort();
    let requests = count.into_inner();
    assert!(requests >= REQUESTS);
    // The median: on a machine that is busy with other things some take longer.
    assert!(delays[ROUNDS / 2] < PROMISED, "{delays:?}");
    println!(
        "{requests} requests, {} changes; a good one was in force after {} ms (median), {} ms at most",
        2 * ROUNDS,
        delays[ROUNDS / 2].as_millis(),
        delays[ROUNDS - 1].as_millis()
    );
}

/// Makes a bad change and a good one, and tells how long it took until the good one counted. Half the bad ones are given the time to be
/// found.
fn change_twice(volume: &mut Volume, server: &Server, round: usize) -> Duration {
    volume.spoil(round);
    if round.is_multiple_of(2) {
        until_refused(server, "in force");
        assert_eq!(state(&server.ask(&asking()).body), volume.state);
    }
    volume.mend(round);
    let began = Instant::now();
    until("the change counts", || state(&server.ask(&asking()).body) == volume.state);
    began.elapsed()
}
