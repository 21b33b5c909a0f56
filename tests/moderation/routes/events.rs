//! Events, as they come and after coming back.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http2::handshake;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};

use crate::common::{LONG, SERVICE_KEY, Server, Setup, until};
use crate::routes::world::{Caller, Service, User, server, with};

/// A stream of events.
struct Events {
    lines: BufReader<TcpStream>,
    /// The id of the last event.
    last: String,
}

/// What was told.
#[derive(Debug)]
struct Told {
    id: String,
    event: String,
    data: Value,
}

impl Events {
    fn of(server: &Server, caller: Caller, last: Option<&str>) -> Events {
        let header = last.map_or(String::new(), |last| format!("last-event-id: {last}\r\n"));
        let request = caller.request("GET", "events", None).replace("\r\n\r\n", &format!("\r\n{header}\r\n"));
        Events::asked(server, &request)
    }

    fn asked(server: &Server, request: &str) -> Events {
        let mut stream = TcpStream::connect(server.main).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut events = Events { lines: BufReader::new(stream), last: String::new() };
        let mut head = Vec::new();
        while let Some(line) = events.raw().filter(|line| !line.is_empty()) {
            head.push(line.to_lowercase());
        }
        assert!(head[0].starts_with("http/1.1 200"), "{head:?}");
        for header in ["content-type: text/event-stream", "cache-control: no-store", "transfer-encoding: chunked"] {
            assert!(head.iter().any(|line| line == header), "{header}: {head:?}");
        }
        events
    }

    /// The next line, if the stream goes on.
    fn raw(&mut self) -> Option<String> {
        let mut line = String::new();
        let length = self.lines.read_line(&mut line).unwrap();
        (length > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// The id that a stream begins with.
    fn start(&mut self) -> String {
        loop {
            let line = self.raw().expect("the stream goes on");
            if let Some(id) = line.strip_prefix("id: ") {
                return id.to_owned();
            }
        }
    }

    /// The next event; `None` when the stream is over.
    fn next(&mut self) -> Option<Told> {
        let (mut event, mut data) = (None, None);
        loop {
            let line = self.raw()?;
            match line.split_once(": ") {
                Some(("id", id)) => id.clone_into(&mut self.last),
                Some(("event", name)) => event = Some(name.to_owned()),
                Some(("data", text)) => data = Some(serde_json::from_str(text).unwrap()),
                // A chunk's length, an end of a chunk, or a comment.
                _ if line == "0" => return None,
                _ => {}
            }
            if line.is_empty() && data.is_some() {
                return Some(Told { id: self.last.clone(), event: event?, data: data? });
            }
        }
    }

    /// The next event, by its name and its user.
    fn told(&mut self) -> (String, String) {
        let told = self.next().expect("the stream goes on");
        assert_eq!((&told.data["id"], &told.data["type"]), (&json!(told.id), &json!(told.event)));
        (told.event, told.data["data"]["user"].as_str().unwrap_or_default().to_owned())
    }
}

fn pair(event: &str, user: &str) -> (String, String) {
    (event.to_owned(), user.to_owned())
}

fn ban(server: &Server, users: &[&str]) {
    Service.does(server, "bans", &json!({"users": users}));
}

#[test]
fn a_stream_about_everything_says_how_far_jobs_are() {
    // LeanCloud cannot mute everywhere, so this job is a dead letter at once.
    let server = server("[apps.leancloud.enforcement]\nenabled = true\nurl = \"http://127.0.0.1:9\"\n");
    let mut all = Events::of(&server, Service, None);
    let mut here = Events::asked(&server, &Service.request("GET", "events?conversation=den", None));
    all.start();
    here.start();
    Service.does(&server, "mutes", &json!({"users": ["tom"]}));
    let job = loop {
        let told = all.next().unwrap();
        if told.event == "job" {
            break told.data;
        }
    };
    assert_eq!(job["type"], "job");
    let data = job["data"].as_object().unwrap();
    assert_eq!(
        (&data["app"], &data["user"], &data["stage"]),
        (&json!("leancloud"), &json!("tom"), &json!("dead-letter"))
    );
    assert_eq!((&data["change"], data.get("conversation")), (&json!(1), None));
    let known = Service.gets(&server, "changes/1").json();
    assert_eq!((&known["jobs"][0]["id"], &known["jobs"][0]["cause"]), (&data["id"], &json!("impossible")));
    // The event is not in the log, so another stream does not have it.
    Service.does(&server, "bans", &json!({"users": ["zoe"], "conversation": "den"}));
    assert_eq!(here.next().unwrap().event, "ban.created");
}

#[test]
fn what_happens_is_told_as_it_does() {
    let server = server("");
    ban(&server, &["before"]);
    let mut events = Events::of(&server, Service, None);
    ban(&server, &["tom", "zoe"]);
    assert_eq!([events.told(), events.told()], [pair("ban.created", "tom"), pair("ban.created", "zoe")]);
    User("bob").does(
        &server,
        "mutes",
        &json!({"users": ["carol"], "conversation": "den", "reason": "loud", "app": "ably"}),
    );
    let told = events.next().unwrap();
    let mut data = told.data["data"].clone();
    assert_eq!(
        data.take(),
        json!({"user": "carol", "conversation": "den", "app": "ably", "reason": "loud", "by": {"kind": "user", "subject": "bob"}, "change": 3})
    );
    Service.does(&server, "bans/lift", &json!({"users": ["tom"]}));
    assert_eq!(events.told(), pair("ban.lifted", "tom"));
}

#[test]
fn whoever_comes_back_misses_nothing_and_hears_nothing_twice() {
    let server = server("");
    let mut events = Events::of(&server, Service, None);
    // Not even one who leaves before the first event.
    let start = events.start();
    drop(events);
    ban(&server, &["a", "b", "c"]);
    ban(&server, &["d"]);
    let mut all = Events::of(&server, Service, Some(&start));
    let ids: Vec<(String, String)> =
        (0..4).map(|_| all.next().unwrap()).map(|told| (told.id, told.data["data"]["user"].to_string())).collect();
    assert_eq!(ids.iter().map(|(_, user)| user.as_str()).collect::<Vec<_>>(), ["\"a\"", "\"b\"", "\"c\"", "\"d\""]);
    for (number, (id, _)) in ids.iter().enumerate().take(3) {
        let mut rest = Events::of(&server, Service, Some(id));
        assert_eq!(json!(rest.told().1).to_string(), ids[number + 1].1);
    }
    let path = format!("events?last_event_id={}", ids[2].0);
    let mut rest = Events::asked(&server, &Service.request("GET", &path, None));
    assert_eq!(rest.told(), pair("ban.created", "d"));
    ban(&server, &["e"]);
    assert_eq!(rest.told(), pair("ban.created", "e"));
}

#[test]
fn who_was_away_for_too_long_hears_so_first() {
    let server = server("");
    ban(&server, &["tom"]);
    let mut events = Events::of(&server, Service, None);
    ban(&server, &["zoe"]);
    let epoch = events.next().unwrap().id.rsplitn(3, '-').last().unwrap().to_owned();
    for last in ["another-1-1", "", "nonsense", &format!("{epoch}-99-1"), &format!("{epoch}-0-0")] {
        let mut events = Events::of(&server, Service, Some(last));
        assert_eq!(events.told(), pair("reset", ""), "{last}");
        ban(&server, &[&format!("after-{}", last.len())]);
        assert_eq!(events.told().0, "ban.created", "{last}");
    }
}

#[test]
fn what_ends_by_itself_is_told() {
    let server = server("");
    let mut events = Events::of(&server, Service, None);
    Service.does(&server, "bans", &json!({"users": ["tom"], "until": crate::routes::world::soon()}));
    assert_eq!([events.told(), events.told()], [pair("ban.created", "tom"), pair("ban.expired", "tom")]);
}

#[test]
fn a_stream_ends_with_the_leave_to_see_it() {
    let server = server("");
    // Nobody but a manager everywhere may see it all, and one banned may do nothing.
    assert_eq!(User("tom").gets(&server, "events").status, 403);
    let mut events = Events::of(&server, User("erin"), None);
    ban(&server, &["tom"]);
    assert_eq!(events.told(), pair("ban.created", "tom"));
    ban(&server, &["erin"]);
    assert!(events.next().is_none());
}

#[test]
fn a_stream_ends_with_the_settings_and_with_the_program() {
    let server = server("");
    let mut events = Events::of(&server, Service, None);
    ban(&server, &["tom"]);
    events.told();
    server.change("grace = \"20s\"", "grace = \"19s\"");
    ban(&server, &["zoe"]);
    assert!(events.next().is_none());
    let mut events = Events::of(&server, Service, None);
    ban(&server, &["yan"]);
    events.told();
    server.signal("-TERM");
    assert!(events.next().is_none());
}

#[test]
fn there_are_only_so_many() {
    let server = with(Setup::more(&format!("{}[limits]\nmax_connections = 200\n", crate::routes::world::MEMORY)));
    let streams: Vec<_> = (0..100).map(|_| Events::of(&server, Service, None)).collect();
    let answer = Service.gets(&server, "events");
    assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"));
    drop(streams);
    // Nothing happens meanwhile that would be told, and the next sign of life is far off.
    let took = until("there is room again", || {
        let request = Service.request("GET", "events", None);
        let mut connection = server.connect();
        connection.send(&request);
        connection.head().status == 200
    });
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_moderator_of_a_conversation_hears_what_happens_there() {
    let server = server("");
    let mut events = Events::asked(&server, &User("bob").request("GET", "events?conversation=den&app=leancloud", None));
    ban(&server, &["eve"]);
    Service.does(&server, "bans", &json!({"users": ["tom"], "conversation": "den", "app": "ably"}));
    Service.does(&server, "bans", &json!({"users": ["carol"], "conversation": "den"}));
    assert_eq!(events.told(), pair("ban.created", "carol"));
    User("alice").does(&server, "mutes", &json!({"users": ["bob"], "conversation": "den", "app": "leancloud"}));
    assert_eq!(events.told(), pair("mute.created", "bob"));
    assert_eq!(User("bob").gets(&server, "events").code(), "denied");
    assert_eq!(User("tom").gets(&server, "events?conversation=den").code(), "denied");
}

#[test]
fn an_entry_that_ends_is_told_with_its_author() {
    let server = server("");
    let mut events = Events::of(&server, Service, None);
    let (banned, role) = (
        json!({"users": ["tom"], "conversation": "den"}),
        json!({"users": ["zoe"], "conversation": "pub", "role": "member"}),
    );
    User("bob").does(&server, "bans", &banned);
    Service.does(&server, "roles", &role);
    Service.does(&server, "bans/lift", &banned);
    User("erin").does(&server, "roles/remove", &role);
    let told: Vec<_> = (0..4).map(|_| events.next().unwrap().data["data"].take()).collect();
    assert_eq!((told[0].get("author"), &told[0]["change"]), (None, &json!(1)));
    assert_eq!(
        (&told[2]["author"], &told[2]["by"]["kind"]),
        (&json!({"kind": "user", "subject": "bob"}), &json!("service"))
    );
    assert_eq!((&told[3]["author"]["kind"], &told[3]["by"]["subject"]), (&json!("service"), &json!("erin")));
    assert!(told[2]["at"].is_string() && told[3]["at"].is_string(), "{told:?}");
}

/// How many streams there are.
fn streams(server: &Server) -> String {
    let metrics = server.admin("/metrics").body;
    let line = metrics.lines().find(|line| line.starts_with("chat_signer_moderation_streams ")).unwrap();
    line.rsplit(' ').next().unwrap().to_owned()
}

#[test]
fn a_stream_ends_with_its_reader() {
    let server = server("");
    let mut events = Events::of(&server, Service, None);
    events.start();
    assert_eq!(streams(&server), "1.0");
    // Who says that nothing more comes from there has gone, as far as a stream is concerned.
    events.lines.get_ref().shutdown(Shutdown::Write).unwrap();
    while let Some(line) = events.raw() {
        assert_ne!(line, ":", "it goes on");
    }
    until("its place is free", || streams(&server) == "0.0");

    // Who sends the next request already has not.
    let mut events = Events::of(&server, Service, None);
    events.start();
    events.lines.get_mut().write_all(Service.request("GET", "bans", None).as_bytes()).unwrap();
    ban(&server, &["tom"]);
    assert_eq!(events.told(), pair("ban.created", "tom"));
    server.signal("-TERM");
    let mut rest = String::new();
    while let Some(line) = events.raw() {
        rest.push_str(&line);
    }
    assert!(rest.contains("HTTP/1.1 200 OK") && rest.contains("\"user\":\"tom\""), "{rest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_in_http2_ends_with_its_reader() {
    let server = server("");
    let stream = tokio::net::TcpStream::connect(server.main).await.unwrap();
    let (mut sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::get("http://localhost/v1/moderation/events").header("x-api-key", SERVICE_KEY);
    let answer = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
    assert_eq!((answer.status().as_u16(), streams(&server).as_str()), (200, "1.0"));
    drop((answer, sender, connection));
    let took = until("the stream has ended", || streams(&server) == "0.0");
    assert!(took < Duration::from_secs(10), "{took:?}");
}
