//! What the program counts, asked of the running program: each metric moves for its reason and no other, and callers have no say in how
//! many there are.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::float_cmp)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{Connection, LONG, SERVICE_KEY, Server, Setup, post, request};
use chat_signer::environment::get;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};

/// What a scrape says: values by series.
struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    fn of(server: &Server) -> Scrape {
        let answer = server.admin("/metrics");
        assert_eq!(answer.status, 200);
        let samples = answer.body.lines().filter(|line| !line.starts_with('#'));
        Scrape(
            samples
                .map(|line| line.rsplit_once(' ').unwrap())
                .map(|(s, v)| (s.to_owned(), v.parse().unwrap()))
                .collect(),
        )
    }

    /// The value of the series of this name (without what all names begin with) and these labels.
    #[track_caller]
    fn value(&self, series: &str) -> f64 {
        let series = format!("chat_signer_{series}");
        *self.0.get(&series).unwrap_or_else(|| panic!("no {series} in {:#?}", self.0.keys()))
    }

    /// All of these series and their values, no other of the same name.
    #[track_caller]
    fn assert(&self, name: &str, expected: &[(&str, f64)]) {
        let all: BTreeMap<_, _> = self
            .0
            .iter()
            .filter_map(|(series, value)| {
                let labels = series.strip_prefix("chat_signer_")?.strip_prefix(name)?.strip_prefix('{')?;
                Some((labels.strip_suffix('}').unwrap(), *value))
            })
            .collect();
        assert_eq!(all, expected.iter().copied().collect(), "{name}");
    }
}

/// Looks until it is so.
fn until(server: &Server, what: &str, is_so: impl Fn(&Scrape) -> bool) -> Scrape {
    let began = Instant::now();
    loop {
        let scrape = Scrape::of(server);
        if is_so(&scrape) {
            return scrape;
        }
        assert!(began.elapsed() < LONG, "not so: {what}: {:#?}", scrape.0);
        thread::sleep(Duration::from_millis(5));
    }
}

fn login(user: &str) -> String {
    post("/v1/leancloud/login", user, "{}")
}

fn ask_for_all_sorts_of_things(server: &Server) {
    let in_den = r#"{"conv_id": "den", "members": ["mary"]}"#;
    let capability = r#"{"capability": {"user:tom": ["subscribe"]}}"#;
    let json = "content-type: application/json\r\n";
    let service = format!("x-api-key: {SERVICE_KEY}\r\n{json}");
    for (request, status) in [
        (login("tom"), 200),
        (login("tom"), 200),
        (post("/v1/leancloud/kick", "tom", in_den), 403),
        (post("/v1/leancloud/invite", "tom", in_den), 403),
        (login("mallory"), 403),
        (post("/v1/ably/token", "tom", capability), 200),
        (post("/v1/leancloud/login", "tom", "{"), 400),
        (request("POST", "/v1/leancloud/login", json, "{}"), 401),
        (request("POST", "/v1/leancloud/login", &format!("authorization: Bearer a.b.c\r\n{json}"), "{}"), 401),
        (request("POST", "/v1/leancloud/login", &format!("x-api-key: another\r\n{json}"), "{}"), 401),
        (request("POST", "/v1/leancloud/login", &service, r#"{"client_id": "tom"}"#), 403),
        (post("/1.1/functions/signLogin", "tom", "{}"), 200),
        (post("/1.1/functions/dance", "tom", "{}"), 404),
        (request("GET", "/livez", "", ""), 200),
        (request("GET", "/metrics", "", ""), 404),
        (post("/v1/leancloud/dance", "tom", "{}"), 404),
        (post("/v1/elsewhere/login", "tom", "{}"), 404),
    ] {
        assert_eq!(server.ask(&request).status, status, "{request}");
    }
}

#[test]
fn answers_decisions_and_callers_are_counted() {
    let server = Server::start();
    ask_for_all_sorts_of_things(&server);
    server.admin("/readyz");
    server.admin("/nowhere");
    let scrape = Scrape::of(&server);
    scrape.assert(
        "http_requests_total",
        &[
            (r#"listener="main",route="/v1/leancloud/login",status="200""#, 2.0),
            (r#"listener="main",route="/v1/leancloud/login",status="400""#, 1.0),
            (r#"listener="main",route="/v1/leancloud/login",status="401""#, 3.0),
            (r#"listener="main",route="/v1/leancloud/login",status="403""#, 2.0),
            (r#"listener="main",route="/v1/leancloud/kick",status="403""#, 1.0),
            (r#"listener="main",route="/v1/leancloud/invite",status="403""#, 1.0),
            (r#"listener="main",route="/v1/ably/token",status="200""#, 1.0),
            (r#"listener="main",route="/livez",status="200""#, 1.0),
            (r#"listener="main",route="/1.1/functions/signLogin",status="200""#, 1.0),
            (r#"listener="main",route="other",status="404""#, 4.0),
            (r#"listener="admin",route="/readyz",status="200""#, 1.0),
            (r#"listener="admin",route="other",status="404""#, 1.0),
        ],
    );
    scrape.assert(
        "decisions_total",
        &[
            (r#"app="leancloud",action="login",outcome="allow",rule="everyone""#, 3.0),
            (r#"app="ably",action="login",outcome="allow",rule="everyone""#, 1.0),
            (r#"app="leancloud",action="kick",outcome="deny",rule="owners""#, 1.0),
            (r#"app="leancloud",action="invite",outcome="deny",rule="default""#, 1.0),
            (r#"app="leancloud",action="login",outcome="deny",rule="ban""#, 1.0),
            (r#"app="leancloud",action="login",outcome="deny",rule="everyone""#, 1.0),
        ],
    );
    scrape.assert(
        "authentications_total",
        &[
            (r#"authenticator="app-users",outcome="accepted""#, 8.0),
            (r#"authenticator="backend",outcome="accepted""#, 1.0),
            (r#"authenticator="none",outcome="refused""#, 3.0),
        ],
    );
    assert_eq!(scrape.value(r#"http_request_duration_seconds_count{route="/v1/leancloud/login"}"#), 8.0);
    assert_eq!(scrape.value(r#"http_request_duration_seconds_bucket{le="+Inf",route="/v1/leancloud/login"}"#), 8.0);
    assert!(scrape.value(r#"http_request_duration_seconds_sum{route="/v1/leancloud/login"}"#) > 0.0);
    assert_eq!((scrape.value("audit_lines_total"), scrape.value("audit_errors_total")), (11.0, 0.0));
}

#[test]
fn callers_add_no_series() {
    let server = Server::start();
    let visit = |marker: &str| {
        for request in [
            request("GET", &format!("/{marker}"), "", ""),
            request(&marker.to_uppercase(), "/v1/leancloud/login", "", ""),
            request("GET", "/v1/leancloud/login", "", ""),
            post(&format!("/v1/{marker}/login"), "tom", "{}"),
            post(&format!("/v1/leancloud/{marker}"), "tom", "{}"),
            post(&format!("/v1/leancloud/login?{marker}=1"), "tom", &format!(r#"{{"{marker}": 1}}"#)),
            post("/v1/leancloud/kick", marker, &format!(r#"{{"conv_id": "{marker}", "members": ["{marker}"]}}"#)),
            post("/v1/ably/token", marker, &format!(r#"{{"capability": {{"{marker}": ["publish"]}}}}"#)),
            request("POST", "/v1/leancloud/login", &format!("x-api-key: {marker}\r\nx-request-id: {marker}\r\n"), "{}"),
            request("GET", "/livez", &format!("user-agent: {marker}\r\naccept: {marker}\r\n"), ""),
        ] {
            server.ask(&request);
        }
        server.admin(&format!("/{marker}"));
        server.admin(&format!("/metrics?{marker}"));
    };
    visit("first");
    let before: Vec<_> = Scrape::of(&server).0.into_keys().collect();
    (0..50).for_each(|number| visit(&format!("evil{number}")));
    let after: Vec<_> = Scrape::of(&server).0.into_keys().collect();
    assert_eq!(before, after);
    assert!(!server.admin("/metrics").body.contains("evil"));
}

#[test]
fn they_are_on_the_admin_listener_alone_in_both_formats() {
    let server = Server::start();
    let ask = |method: &str, accept: &str| {
        Connection::to(server.admin).ask(&request(method, "/metrics", &format!("accept: {accept}\r\n"), ""))
    };
    let prometheus = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let answer = ask("GET", prometheus);
    let form = answer.header("content-type").unwrap();
    assert_eq!(form, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(answer.body.contains("# TYPE chat_signer_audit_lines counter\n") && answer.body.ends_with("\n# EOF\n"));
    let answer = ask("GET", "text/plain");
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(answer.body.contains("# TYPE chat_signer_audit_lines_total counter\n") && !answer.body.contains("# EOF"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let answer = ask("POST", "*/*");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")));
    assert_eq!(server.ask(&request("GET", "/metrics", "", "")).status, 404);
}

#[test]
fn who_is_beyond_a_rate_is_counted() {
    for (limit, other) in [("per_caller", "per_address"), ("per_address", "per_caller")] {
        let server = Server::with(Setup::more(&format!("[limits]\n{limit} = \"1/s\"")));
        while server.ask(&login("tom")).status != 429 {}
        let scrape = Scrape::of(&server);
        let beyond = |limit| scrape.value(&format!("limited_total{{limit=\"{limit}\"}}"));
        assert_eq!((beyond(limit), beyond(other)), (1.0, 0.0), "{limit}");
    }
}

#[test]
fn what_is_in_progress_is_shown_and_what_finds_no_room_is_counted() {
    // Who is asked takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let session = format!(
        "[[authenticators]]\nname = \"session\"\ntype = \"introspection\"\ncaller = \"user\"\nsubject = \"/id\"\n\
         url = \"http://{}/me\"\nforward = {{ cookies = [\"sid\"] }}\n[limits]\nmax_in_flight = 1\nmax_connections = 2\n",
        silent.local_addr().unwrap()
    );
    let server = Server::with(Setup::more(&session));
    let mut waiting = server.connect();
    waiting.send(&request("POST", "/v1/leancloud/login", "cookie: sid=1\r\ncontent-type: application/json\r\n", "{}"));
    let scrape = until(&server, "one request is in progress", |scrape| scrape.value("in_flight") == 1.0);
    assert_eq!(scrape.value(r#"connections{listener="main"}"#), 1.0);
    assert_eq!(scrape.value(r#"connections{listener="admin"}"#), 1.0);
    let mut other = server.connect();
    assert_eq!(other.ask(&login("tom")).status, 503);
    assert_eq!(server.connect().rest(), "", "there is no room for a third connection");
    let scrape = Scrape::of(&server);
    assert_eq!(scrape.value(r#"limited_total{limit="in_flight"}"#), 1.0);
    assert_eq!(scrape.value(r#"limited_total{limit="connections"}"#), 1.0);
    assert_eq!(scrape.value(r#"connections{listener="main"}"#), 2.0);
    drop((waiting, other));
    until(&server, "all have gone", |scrape| {
        scrape.value(r#"connections{listener="main"}"#) + scrape.value("in_flight") == 0.0
    });
}

#[test]
fn changed_files_are_counted() {
    let server = Server::start();
    let first = Scrape::of(&server);
    let [applied, partial, refused] = ["applied", "partial", "refused"].map(|word| format!("outcome=\"{word}\""));
    let outcomes =
        |counts: [f64; 2]| [(applied.as_str(), counts[0]), (partial.as_str(), 0.0), (refused.as_str(), counts[1])];
    first.assert("reloads_total", &outcomes([0.0, 0.0]));
    let path = server.directory.join("policy.toml");
    let policy = fs::read_to_string(&path).unwrap();
    fs::write(&path, "roles = 7").unwrap();
    let during = until(&server, "it is refused", |scrape| scrape.value("reload_failing") == 1.0);
    during.assert("reloads_total", &outcomes([0.0, 1.0]));
    assert_eq!((during.value("ready"), during.value(r#"reload_kept{part="policy.toml"}"#)), (1.0, 1.0));
    let last = "reload_last_success_timestamp_seconds";
    assert_eq!(during.value(last), first.value(last));
    fs::write(&path, policy + "\n").unwrap();
    let after = until(&server, "it is applied", |scrape| scrape.value("reload_failing") == 0.0);
    after.assert("reloads_total", &outcomes([1.0, 1.0]));
    assert!(after.value(last) > first.value(last));
}

#[test]
fn counts_outlive_the_settings() {
    let server = Server::with(Setup::more("[limits]\nper_caller = \"1/s\""));
    while server.ask(&login("tom")).status != 429 {}
    let before = Scrape::of(&server);
    let path = server.directory.join("signer.toml");
    let signer = fs::read_to_string(&path).unwrap().replace("per_caller = \"1/s\"", "");
    fs::write(&path, signer).unwrap();
    let after = until(&server, "it is applied", |scrape| scrape.value(r#"reloads_total{outcome="applied"}"#) == 1.0);
    for series in [
        r#"limited_total{limit="per_caller"}"#,
        r#"http_requests_total{listener="main",route="/v1/leancloud/login",status="429"}"#,
        r#"decisions_total{app="leancloud",action="login",outcome="allow",rule="everyone"}"#,
    ] {
        assert_eq!(before.value(series), after.value(series), "{series}");
    }
}

#[test]
fn a_failing_audit_log_is_counted() {
    let server = Server::with(Setup::more("[audit]\nto = \"audit.log\""));
    assert_eq!(Scrape::of(&server).value("ready"), 1.0);
    server.limit_files(Some(0));
    assert_eq!(server.ask(&login("tom")).status, 503);
    let scrape = Scrape::of(&server);
    assert_eq!((scrape.value("audit_lines_total"), scrape.value("audit_errors_total")), (0.0, 1.0));
    assert_eq!(scrape.value("ready"), 0.0);
    server.limit_files(None);
    until(&server, "it is ready again", |scrape| scrape.value("ready") == 1.0);
    assert_eq!(server.ask(&login("tom")).status, 200);
    let scrape = Scrape::of(&server);
    assert_eq!((scrape.value("audit_lines_total"), scrape.value("audit_errors_total")), (1.0, 1.0));
}

#[test]
fn a_certificates_end_is_shown() {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_after = date_time_ymd(2031, 1, 2);
    let cert = params.self_signed(&key).unwrap().pem();
    let tls = Setup::server("tls = { cert = \"tls.crt\", key = \"tls.key\" }");
    let server = Server::with(Setup { files: vec![("tls.crt", cert), ("tls.key", key.serialize_pem())], ..tls });
    let scrape = Scrape::of(&server);
    scrape.assert("tls_certificate_expiry_timestamp_seconds", &[(r#"listener="main""#, 1_925_078_400.0)]);
}

#[test]
fn the_process_and_the_program_are_shown() {
    let server = Server::start();
    let scrape = Scrape::of(&server);
    scrape.assert("build_info", &[(concat!("version=\"", env!("CARGO_PKG_VERSION"), "\""), 1.0)]);
    if cfg!(target_os = "linux") {
        let process = |name: &str| scrape.0[&format!("process_{name}")];
        let memory = server.memory();
        #[allow(clippy::cast_precision_loss)]
        let near = process("resident_memory_bytes") / memory as f64;
        assert!((0.5..2.0).contains(&near), "{near}");
        assert!(process("open_fds") > 5.0 && process("max_fds") >= process("open_fds"));
        #[allow(clippy::disallowed_methods)]
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        let age = now - process("start_time_seconds");
        assert!((-2.0..LONG.as_secs_f64()).contains(&age), "{age}");
        assert!(process("cpu_seconds_total") < LONG.as_secs_f64());
    }
}

/// With Debian's `prometheus`, or where `.ci/deploy` has unpacked it. Where there is none this is skipped, which is said out loud; not with
/// `CI=true`, where that is a failure.
#[test]
fn promtool_finds_nothing_wrong() {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/ci-tools/usr/bin/promtool");
    let promtool = if unpacked.exists() { unpacked } else { "promtool".into() };
    if !Command::new(&promtool).arg("--version").output().is_ok_and(|ran| ran.status.success()) {
        assert!(get("CI").is_none_or(|ci| ci != "true"), "there is no promtool, and with CI=true nothing is skipped");
        let _ = writeln!(std::io::stderr(), "SKIPPED: `promtool check metrics`, as there is no promtool");
        return;
    }
    let server = Server::start();
    server.ask(&login("tom"));
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(server.admin("/metrics").body.as_bytes()).unwrap();
    drop(stdin);
    let ran = child.wait_with_output().unwrap();
    let said = [ran.stdout, ran.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(ran.status.success() && said.is_empty(), "{said}");
}
