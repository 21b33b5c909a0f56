//! What is in `deploy/` fits the program: its configurations are fine, its stack's setup makes one that signs, and what it says of metrics
//! and alerts is what [the operator's page](../docs/operations.md) says. What takes other programs to check is in `.ci/deploy`.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Instant;

use crate::common::{LONG, Server, Setup, directory, post, request};
use serde_json::Value;

/// Where the manifests have the secrets mounted, and the certificate.
const MOUNTED: &str = "/run/secrets/chat-signer/";
const TLS: &str = "/run/secrets/chat-signer-tls/";
const REDIS: &str = "/run/secrets/chat-signer-redis/";
const VOLUME: &str = "/var/lib/chat-signer/";
const BASE: &str = "deploy/kubernetes/base";
/// The folders with a `signer.toml`. The overlay `service` uses the one of the base.
const KUBERNETES: [&str; 4] = [
    BASE,
    "deploy/kubernetes/overlays/service-redis",
    "deploy/kubernetes/overlays/service-redb",
    "deploy/kubernetes/overlays/sidecar",
];
/// The folders that name the image.
const IMAGES: [&str; 5] =
    ["overlays/service", "overlays/service-redb", "overlays/sidecar", "jobs/accept-empty", "jobs/import"];

#[test]
fn the_manifests_configurations_have_neither_mistakes_nor_warnings() {
    for folder in KUBERNETES {
        let home = directory();
        let signer = text(&format!("{folder}/signer.toml"));
        let local = [MOUNTED, TLS, REDIS, VOLUME].iter().fold(signer.clone(), |text, mount| text.replace(mount, ""));
        fs::write(home.join("signer.toml"), local).unwrap();
        let policy = if root(folder).join("policy.toml").exists() { folder } else { BASE };
        fs::write(home.join("policy.toml"), text(&format!("{policy}/policy.toml"))).unwrap();
        for name in secrets(&signer) {
            let secret = if name == "ably-key" { "fakeapp.fakekey:fake-secret" } else { "fake-secret" };
            write_secret(&home.join(&name), &format!("{secret}-of-{name}"));
        }
        let tls = rcgen::generate_simple_self_signed(["chat-signer.example.com".to_owned()]).unwrap();
        fs::write(home.join("tls.crt"), tls.cert.pem()).unwrap();
        write_secret(&home.join("tls.key"), &tls.signing_key.serialize_pem());
        fs::write(home.join("ca.crt"), tls.cert.pem()).unwrap();
        write_secret(&home.join("url"), "rediss://chat-signer:fake-redis-password@127.0.0.1:1");
        assert_fine(&home, folder);
        fs::remove_dir_all(home).unwrap();
    }
}

#[test]
fn the_overlays_with_a_store_add_only_the_store_to_the_base() {
    let base = text(&format!("{BASE}/signer.toml"));
    for folder in ["deploy/kubernetes/overlays/service-redis", "deploy/kubernetes/overlays/service-redb"] {
        let signer = text(&format!("{folder}/signer.toml"));
        let mut lines = signer.lines();
        for expected in base.lines().skip(1) {
            lines.by_ref().find(|line| *line == expected).unwrap_or_else(|| panic!("{folder}: no line {expected}"));
        }
        let added = signer.lines().count() - base.lines().count();
        let store = signer.split_once("[store]").unwrap().1.split_once("\n\n").unwrap().0.lines().count();
        assert!((store + 1..=store + 2).contains(&added), "{folder}: {added} lines more, {store} of the store");
    }
}

#[test]
fn the_rules_for_the_prometheus_operator_are_the_alerts() {
    let alerts = text("deploy/prometheus/alerts.yaml");
    let (_, alerts) = alerts.split_once("groups:\n").unwrap();
    let rules = text("deploy/kubernetes/components/monitoring/prometheusrule.yaml");
    let (_, rules) = rules.split_once("  groups:\n").unwrap();
    let rules: Vec<_> = rules.lines().map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
    assert_eq!(rules, alerts.lines().collect::<Vec<_>>());
}

#[test]
fn the_example_of_a_secret_has_what_the_configurations_name_and_no_values() {
    let example = text("deploy/kubernetes/secret.example.yaml");
    let (_, entries) = example.split_once("stringData:\n").unwrap();
    let entries: BTreeMap<&str, &str> = entries.lines().filter_map(|line| line.trim().split_once(": ")).collect();
    assert!(entries.values().all(|value| *value == "\"\""), "{entries:?}");
    for folder in KUBERNETES {
        let named = secrets(&text(&format!("{folder}/signer.toml")));
        assert_eq!(named, entries.keys().map(|name| (*name).to_owned()).collect(), "{folder}");
    }
}

#[test]
fn the_stacks_setup_makes_what_signs() {
    let home = set_up();
    assert_fine(&home, "deploy/compose");
    let key = fs::read_to_string(home.join("api-key")).unwrap();
    let server = Server::run(home.clone(), Setup::default());
    let headers = format!("x-api-key: {key}\r\ncontent-type: application/json\r\n");
    for path in ["/v1/leancloud/login", "/v1/talkjs/token", "/v1/ably/token"] {
        let field = if path.contains("talkjs") { "user_id" } else { "client_id" };
        let body = format!(r#"{{"{field}": "tom"}}"#);
        let answer = server.ask(&request("POST", path, &headers, &body));
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
}

#[test]
fn the_stacks_setup_leaves_what_it_finds_and_keeps_it_private() {
    let home = set_up();
    let before = contents(&home);
    write_over(&home.join("talkjs-secret-key"), "a key of one's own");
    fs::remove_file(home.join("ably-key")).unwrap();
    run_setup(&home);
    let after = contents(&home);
    for (name, text) in &before {
        match name.as_str() {
            "talkjs-secret-key" => assert_eq!(after[name], "a key of one's own"),
            "ably-key" => assert_ne!(&after[name], text, "it was made anew"),
            _ => assert_eq!(&after[name], text, "{name}"),
        }
        let mode = fs::metadata(home.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o400, "{name}");
    }
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    fs::remove_dir_all(home).unwrap();
}

#[test]
fn the_stack_shows_the_program_directories_whose_files_may_be_replaced() {
    let stack = text("deploy/compose/compose.yaml");
    let (_, service) = stack.split_once("\n  signer:\n").unwrap();
    let (service, _) = service.split_once("\n  prometheus:\n").unwrap();
    let sources = service.lines().filter_map(|line| line.trim().strip_prefix("- .")?.split(':').next());
    let sources: Vec<_> = sources.map(|source| root("deploy/compose").join(format!(".{source}"))).collect();
    assert!(!sources.is_empty() && sources.iter().all(|source| source.is_dir()), "{sources:?}");
}

#[test]
fn metrics_go_by_the_names_of_the_operators_page() {
    let known = metrics();
    for file in
        ["deploy/prometheus/alerts.yaml", "deploy/prometheus/alerts.test.yaml", "deploy/grafana/chat-signer.json"]
    {
        let text = text(file).replace("\\\"", "\"");
        for (name, labels) in used(&text) {
            let own = known.get(&name).unwrap_or_else(|| panic!("{file}: `{name}` is no metric of docs/operations.md"));
            let unknown = labels
                .iter()
                .find(|label| !own.contains(*label) && !["job", "instance", "le"].contains(&label.as_str()));
            assert_eq!(unknown, None, "{file}: `{name}` has no such label");
        }
    }
}

#[test]
fn the_operators_page_has_the_metrics_of_the_program() {
    let asked = answering("200 OK", KEY_SET);
    let keys = authenticator(
        "jwt",
        &format!(
            "issuer = \"https://id\"\naudience = [\"chat\"]\nalgorithms = [\"EdDSA\"]\njwks = {{ url = \"{asked}\" }}"
        ),
    );
    let session = authenticator(
        "introspection",
        &format!("url = \"{asked}\"\nsubject = \"/id\"\nforward = {{ cookies = [\"sid\"] }}"),
    );
    let tls = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = vec![("tls.crt", tls.cert.pem()), ("tls.key", tls.signing_key.serialize_pem())];
    let carried = "[store]\ntype = \"memory\"\n[apps.talkjs.enforcement]\nenabled = true\n";
    let server = "tls = { cert = \"tls.crt\", key = \"tls.key\" }".to_owned();
    let all = Server::with(Setup {
        server,
        files,
        ..Setup::more(&format!("{carried}\n{keys}\n{session}\n[facts]\nurl = \"{asked}\""))
    });
    let asking = Server::start();
    assert_eq!(asking.ask(&post("/v1/leancloud/login", "tom", "{}")).status, 200);
    let mut shown = families(&asking);
    let began = Instant::now();
    while !shown.contains_key("chat_signer_key_set_age_seconds") {
        assert!(began.elapsed() < LONG, "{shown:?}");
        // The first fetch of the keys is still under way.
        shown.extend(families(&all));
    }
    assert_eq!(shown, metrics());
}

#[test]
fn the_dashboard_shows_every_metric() {
    let dashboard = text("deploy/grafana/chat-signer.json");
    let shown: BTreeSet<String> = used(&dashboard.replace("\\\"", "\"")).into_iter().map(|(name, _)| name).collect();
    let missing: Vec<_> = metrics().into_keys().filter(|name| !shown.contains(name)).collect();
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn every_alert_has_its_page_and_its_test() {
    let (rules, tests, page) =
        (text("deploy/prometheus/alerts.yaml"), text("deploy/prometheus/alerts.test.yaml"), text("docs/operations.md"));
    let alerts: Vec<&str> = rules.split("- alert: ").skip(1).collect();
    let told = page.lines().filter(|line| line.starts_with("### ChatSigner")).count();
    assert_eq!(alerts.len(), told, "each alert has a heading in docs/operations.md, and each heading an alert");
    for rule in alerts {
        let name = rule.lines().next().unwrap();
        let severity = if rule.contains("{severity: page}") { "page" } else { "ticket" };
        assert!(page.contains(&format!("### {name}\n\n*{severity}: ")), "docs/operations.md: {name} as a {severity}");
        assert!(rule.contains(&format!("runbook: docs/operations.md#{}\n", name.to_lowercase())), "{name} leads there");
        assert!(tests.contains(&format!("alertname: {name}\n        exp_alerts:\n")), "{name} is seen to fire");
        assert!(tests.contains(&format!("alertname: {name}, exp_alerts: []")), "{name} is seen not to fire");
    }
}

#[test]
fn the_image_is_of_this_version_and_gets_what_it_is_built_from() {
    let version = env!("CARGO_PKG_VERSION");
    let compose = ("deploy/compose/compose.yaml".to_owned(), format!("image: chat-signer:{version}\n"));
    let kustomizations =
        IMAGES.map(|folder| (format!("deploy/kubernetes/{folder}/kustomization.yaml"), format!("newTag: {version}\n")));
    for (file, says) in kustomizations.into_iter().chain([compose]) {
        assert!(text(&file).contains(&says), "{file}: {says}");
    }
    let let_in = text(".dockerignore");
    let dockerfile = text("deploy/docker/Dockerfile");
    let copied =
        dockerfile.lines().filter_map(|line| line.strip_prefix("COPY ")).filter(|line| !line.starts_with("--from"));
    for source in copied.flat_map(|line| line.split(' ').collect::<Vec<_>>().into_iter().rev().skip(1)) {
        assert!(let_in.lines().any(|line| line == format!("!{source}")), ".dockerignore keeps `{source}` out");
        assert!(root(source).exists(), "{source}");
    }
}

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn text(path: &str) -> String {
    fs::read_to_string(root(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files among the mounted secrets that a configuration names.
fn secrets(signer: &str) -> BTreeSet<String> {
    signer.split(MOUNTED).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

fn write_secret(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o400)).unwrap();
}

/// In place, as a redirection in the shell does it.
fn write_over(path: &Path, text: &str) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    write_secret(path, text);
}

fn assert_fine(home: &Path, place: &str) {
    let program = env!("CARGO_BIN_EXE_chat-signer");
    let answer = Command::new(program).args(["check", "-o", "json"]).current_dir(home).output().unwrap();
    let report: Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!((&report["mistakes"], &report["warnings"]), (&0.into(), &0.into()), "{place}: {report:#}");
}

/// A stack's volumes, in one directory, on ports that the system chooses.
fn set_up() -> PathBuf {
    let home = directory();
    run_setup(&home);
    let signer = fs::read_to_string(home.join("signer.toml")).unwrap();
    let signer = signer.replace("0.0.0.0:7480", "127.0.0.1:0").replace("0.0.0.0:7481", "127.0.0.1:0");
    write_over(
        &home.join("signer.toml"),
        &signer.replace("/policy/policy.toml", root("deploy/compose/policy/policy.toml").to_str().unwrap()),
    );
    home
}

fn run_setup(home: &Path) {
    let done = Command::new("sh")
        .arg(root("deploy/compose/setup.sh"))
        .env("SIGNER", home)
        .env("GRAFANA", home)
        .env("TEMPLATE", root("deploy/compose/signer.toml"))
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

fn contents(home: &Path) -> BTreeMap<String, String> {
    let files = fs::read_dir(home).unwrap().map(|entry| entry.unwrap());
    files.map(|file| (file.file_name().into_string().unwrap(), fs::read_to_string(file.path()).unwrap())).collect()
}

/// A key set with one key (RFC 8037, appendix A.2).
const KEY_SET: &str =
    r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

fn authenticator(kind: &str, more: &str) -> String {
    format!("[[authenticators]]\nname = \"{kind}\"\ntype = \"{kind}\"\ncaller = \"user\"\n{more}\n")
}

/// The address of a server that answers this to whatever it is asked.
fn answering(status: &'static str, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    format!("http://{address}/")
}

/// The metrics that the program shows, and the labels of each.
fn families(server: &Server) -> BTreeMap<String, BTreeSet<String>> {
    let text = server.admin("/metrics").body;
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| {
            let (name, rest) = line.split_at(line.find(['{', ' ']).unwrap());
            let labels = rest.split("=\"").map(|before| before.rsplit(['{', ',']).next().unwrap().to_owned());
            let count = rest.matches("=\"").count();
            (family(name).to_owned(), labels.take(count).filter(|label| label != "le").collect())
        })
        .collect()
}

/// The metrics of the operator's page, and the labels of each.
fn metrics() -> BTreeMap<String, BTreeSet<String>> {
    let page = text("docs/operations.md");
    let rows = page.lines().filter(|line| line.starts_with("| `chat_signer_") || line.starts_with("| `process_"));
    let metrics: BTreeMap<_, _> = rows
        .map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let labels = cells[3].split(", ").map(|label| label.trim_matches('`').to_owned());
            (cells[1].trim_matches('`').to_owned(), labels.filter(|label| !label.is_empty()).collect())
        })
        .collect();
    assert!(metrics.len() > 20, "the table has another form");
    metrics
}

/// The metrics that a text names, with the labels that it selects them by.
fn used(text: &str) -> Vec<(String, Vec<String>)> {
    let starts = ["chat_signer_", "process_"].into_iter().flat_map(|word| text.match_indices(word).map(|(at, _)| at));
    let of_a_name = |c: char| c.is_ascii_lowercase() || c == '_';
    starts
        .filter(|at| !text[..*at].ends_with(of_a_name))
        .map(|at| {
            let name = text[at..].split(|c| !of_a_name(c)).next().unwrap();
            let selector = text[at + name.len()..].strip_prefix('{').and_then(|rest| rest.split('}').next());
            let labels = selector.into_iter().flat_map(|labels| labels.split(", ")).filter(|label| !label.is_empty());
            let labels = labels.map(|label| label.split(['=', '!']).next().unwrap().to_owned()).collect();
            (family(name).to_owned(), labels)
        })
        .collect()
}

/// The family that a histogram's series belongs to.
fn family(name: &str) -> &str {
    ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name)
}
