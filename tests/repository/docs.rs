//! The documentation holds: its examples are read without a mistake, its policies do what is said of them, its commands answer as
//! written, and its links lead somewhere.
//!
//! What a block of TOML is, the words behind its opening fence say:
//!
//! - `toml signer`: a whole `signer.toml`
//! - `toml policy`: a whole `policy.toml`, for the demonstration's `signer.toml`
//! - `toml cases`: cases for the policy before it
//! - `toml rules`: rules and entries, as they may stand in the demonstration's policy
//! - `toml fragment`: a piece that is only held to be TOML
//!
//! And of the others: `console` is run and its answers compared, `sh` is [run](shell), `sh fragment` and `json` are read.
//! `tests/browser/tutorial.test.js` runs the `bash` blocks of `docs/tutorial.md`, and `.ci/fresh-system` runs the blocks `sh` and `sh debian`
//! of the README.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod shell;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use chat_signer::config::load;
use chat_signer::model::Vendor;
use chat_signer::server::routes::ROUTES;
use chat_signer::vendor::compat_routes;
use serde_json::Value;
use toml::de::DeTable;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The demonstration's roles, and one rule that is never out of place.
const ROLES: &str = r#"roles = ["guest", "member", "moderator", "manager", "administrator", "owner"]"#;
const ANY_RULE: &str = "\n[[rules]]\nid = \"any\"\neffect = \"allow\"\nactions = [\"*\"]\n";

/// What the examples refer to, all of it fake.
const VARIABLES: [(&str, &str); 6] = [
    ("LEANCLOUD_MASTER_KEY", "fake-leancloud-master-key"),
    ("LEANCLOUD_OLD_MASTER_KEY", "fake-old-leancloud-master-key"),
    ("TALKJS_SECRET_KEY", "fake-talkjs-secret-key"),
    ("STAFF_TOKEN", "fake-token-of-staff"),
    ("AUDIT_CHAIN_KEY", "fake-key-of-the-audit-chain-0000000000"),
    ("JOBS_SECRET", "fake-secret-of-jobs-0000000000000000000000000000"),
];
const FILES: [(&str, &str); 12] = [
    ("secrets/talkjs", "fake-talkjs-secret-key"),
    ("secrets/ably", "fakeapp.fakekey:fake-ably-key-secret"),
    ("secrets/pusher", "fake-pusher-secret"),
    ("secrets/stream", "fake-stream-secret-0123456789abcdef"),
    ("secrets/tencent", "fake-tencent-secret-0123456789abcdef"),
    ("secrets/livekit", "fake-livekit-secret-0123456789abcdef"),
    ("secrets/centrifugo", "fake-centrifugo-secret-0123456789abcdef"),
    ("secrets/agora", "fa4e5ec2e7fa4e5ec2e7fa4e5ec2e700"),
    ("secrets/webhook", "whsec_ZmFrZS13ZWJob29rLXNlY3JldC1mb3ItdGVzdHMtOTE="),
    ("partner.pem", PEM),
    ("jwks.json", JWKS),
    ("ca.crt", CERTIFICATE),
];
/// A public key whose private half was thrown away.
const PEM: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEpJoraIIG2rCT63UaqICoJ3m7dKaZ
3EkNnjU3yFJD3dD6GXAtvPL5fkkUJ5TbLuoCGM8PW7FTtk73CsraX/FVUA==
-----END PUBLIC KEY-----
";
/// A certificate whose key was thrown away.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIBszCCAVmgAwIBAgIUP0YdgmT2dP1xhEWcyrSbCAHdDb4wCgYIKoZIzj0EAwIw
LjEsMCoGA1UEAwwjRmFrZSBhdXRob3JpdHkgb2YgdGhlIGRvY3VtZW50YXRpb24w
IBcNMjYxMTIyMDAyNzMxWhgPMjEyNjEwMjkwMDI3MzFaMC4xLDAqBgNVBAMMI0Zh
a2UgYXV0aG9yaXR5IG9mIHRoZSBkb2N1bWVudGF0aW9uMFkwEwYHKoZIzj0CAQYI
KoZIzj0DAQcDQgAEio2Yc0DHMkOvpi3EgRzq0eAuT0l9apdO9o6PEpMjmG6SgiaP
prWSIVsf6kZIJ1pO5LY+L811FLMfZRkBU83F06NTMFEwHQYDVR0OBBYEFDPHa+mu
UqDiEDfgGxruPkcg/eCFMB8GA1UdIwQYMBaAFDPHa+muUqDiEDfgGxruPkcg/eCF
MA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIhAIR1BfiMjant+OtF
kNE+LcYNUvJIOAX63CapzCH3OZbJAiBI2BBsdXpRZlzV6YGcq3h8tuXkMhgRtapE
/tUadSTosQ==
-----END CERTIFICATE-----
";
const JWKS: &str = r#"{"keys": [{"kty": "EC", "crv": "P-256", "kid": "one",
  "x": "pJoraIIG2rCT63UaqICoJ3m7dKaZ3EkNnjU3yFJD3dA", "y": "-hlwLbzy-X5JFCeU2y7qAhjPD1uxU7ZO9wrK2l_xVVA"}]}"#;

#[test]
fn every_block_of_toml_says_what_it_is() {
    let words = ["toml signer", "toml policy", "toml cases", "toml rules", "toml fragment"];
    let toml: Vec<Block> = blocks().into_iter().filter(|block| block.info.starts_with("toml")).collect();
    for Block { info, place, text } in &toml {
        assert!(words.contains(&info.as_str()), "{place}: `{info}` is none of {words:?}");
        assert!(DeTable::parse(text).is_ok(), "{place} is not TOML");
    }
    for word in words {
        assert!(toml.iter().any(|block| block.info == word), "no block is `{word}`");
    }
}

#[test]
fn whole_configurations_have_neither_mistakes_nor_warnings() {
    for (number, block) in blocks().iter().filter(|block| block.info == "toml signer").enumerate() {
        let home = Home::new(&format!("docs-signer-{number}"), &block.text, &format!("{ROLES}\n{ANY_RULE}"));
        for (name, text) in FILES {
            home.write(name, text);
        }
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        home.write("tls.crt", &certified.cert.pem());
        home.write("tls.key", &certified.signing_key.serialize_pem());
        let answer = home.run(&["check", "-o", "json"]);
        let report: Value = serde_json::from_slice(&answer.stdout).unwrap();
        assert_eq!((&report["mistakes"], &report["warnings"]), (&0.into(), &0.into()), "{}: {report:#}", block.place);
    }
}

#[test]
fn whole_policies_have_neither_mistakes_nor_warnings() {
    for (number, block) in blocks().iter().filter(|block| block.info == "toml policy").enumerate() {
        let home = Home::demonstration(&format!("docs-policy-{number}"), &block.text);
        let report = load(&home.0.join("signer.toml")).report;
        assert!(report.is_empty(), "{}:\n{}", block.place, report.render(false));
    }
}

#[test]
fn rules_and_entries_have_no_mistakes() {
    for (number, block) in blocks().iter().filter(|block| block.info == "toml rules").enumerate() {
        let home = Home::demonstration(&format!("docs-rules-{number}"), &format!("{ROLES}\n{}", block.text));
        let report = load(&home.0.join("signer.toml")).report;
        assert!(!report.has_mistakes(), "{}:\n{}", block.place, report.render(false));
    }
}

#[test]
fn policies_do_what_their_cases_say() {
    let blocks = blocks();
    let of = |info: &str| blocks.iter().filter(|block| block.info == info).collect::<Vec<_>>();
    let (policies, cases) = (of("toml policy"), of("toml cases"));
    assert_eq!(policies.len(), cases.len(), "each policy is followed by its cases");
    for (number, (policy, cases)) in policies.iter().zip(&cases).enumerate() {
        let home = Home::demonstration(&format!("docs-cases-{number}"), &policy.text);
        home.write("cases.toml", &cases.text);
        let answer = home.run(&["test", "cases.toml"]);
        let (text, complaint) = (String::from_utf8_lossy(&answer.stdout), String::from_utf8_lossy(&answer.stderr));
        assert!(answer.status.success(), "{}:\n{text}{complaint}", cases.place);
    }
}

/// Runs in the project's root, so on the demonstration.
#[test]
fn commands_answer_as_written() {
    trycmd::TestCases::new().case("*.md").case("docs/*.md");
}

#[test]
fn answers_are_json() {
    for Block { place, text, .. } in blocks().iter().filter(|block| block.info == "json") {
        assert!(serde_json::from_str::<Value>(text).is_ok(), "{place} is not JSON");
    }
}

#[test]
fn the_chinese_readme_has_the_commands_of_the_readme() {
    let code = |page: &str| -> Vec<(String, String)> {
        page_blocks(&Path::new(ROOT).join(page))
            .into_iter()
            .filter(|block| block.info != "text")
            .map(|block| (block.info, block.text))
            .collect()
    };
    assert_eq!(code("README.zh-CN.md"), code("README.md"));
}

#[test]
fn every_route_is_documented() {
    let text: String = ["http.md", "playground.md", "operations.md"]
        .map(|page| fs::read_to_string(Path::new(ROOT).join("docs").join(page)).unwrap())
        .concat();
    let tables: String = text.lines().filter(|line| line.starts_with('|')).collect();
    // The pages have the placeholders `ID`, `APP` and `ACTION`, and `below` for the files of the playground and of the console.
    let fixed = ROUTES.iter().map(|route| route.path).filter(|path| !path.ends_with("{file}"));
    let fixed = fixed.map(|path| {
        path.replace("changes/{id}", "changes/NUMBER")
            .replace("{id}", "ID")
            .replace("{app}", "APP")
            .replace("{operation}", "ACTION")
    });
    let missing: Vec<_> = fixed.filter(|path| !text.contains(path.as_str())).collect();
    assert_eq!(missing, Vec::<String>::new());
    let compat = compat_routes().flat_map(|(_, compat)| compat.routes).map(|route| route.operation.name);
    let names = Vendor::ALL.iter().flat_map(|vendor| vendor.spec().operation_names()).chain(compat);
    let missing: Vec<_> = names.filter(|name| !tables.contains(name)).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn links_lead_somewhere() {
    let more = ["examples/README.md", "clients/js/README.md"].map(|page| Path::new(ROOT).join(page));
    for page in pages().into_iter().chain(more) {
        let text = fs::read_to_string(&page).unwrap();
        for link in links(&text).filter(|link| !link.contains("://")) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            assert!(target.exists(), "{}: {link} leads nowhere", page.display());
            let leads =
                anchor.is_empty() || anchors(&fs::read_to_string(&target).unwrap()).any(|known| known == anchor);
            assert!(leads, "{}: {link} leads to no heading", page.display());
        }
    }
}

/// A block of code between fences.
struct Block {
    /// What stands behind the opening fence.
    info: String,
    /// File and line.
    place: String,
    text: String,
}

fn pages() -> Vec<PathBuf> {
    let files = ["", "docs"].map(|folder| fs::read_dir(Path::new(ROOT).join(folder)).unwrap());
    let files = files.into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    pages.sort();
    pages
}

fn blocks() -> Vec<Block> {
    pages().iter().flat_map(|page| page_blocks(page)).collect()
}

fn page_blocks(page: &Path) -> Vec<Block> {
    let text = fs::read_to_string(page).unwrap();
    let mut blocks: Vec<Block> = Vec::new();
    let mut inside = false;
    for (line, number) in text.lines().zip(1..) {
        match (line.trim_start().strip_prefix("```"), inside) {
            (Some(info), false) => {
                let place = format!("{}:{number}", page.display());
                blocks.push(Block { info: info.to_owned(), place, text: String::new() });
                inside = true;
            }
            (Some(_), true) => inside = false,
            (None, true) => blocks.last_mut().unwrap().text.extend([line, "\n"]),
            (None, false) => {}
        }
    }
    assert!(!inside, "{}: the last block has no end", page.display());
    blocks
}

/// The lines that are not code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        !inside && !fence
    })
}

/// Where `[text](target)` leads.
fn links(text: &str) -> impl Iterator<Item = &str> {
    prose(text).flat_map(|line| line.split("](").skip(1).filter_map(|rest| rest.split(')').next()))
}

/// The headings, as links name them: small letters, digits, `_`, and `-` for `-` and spaces.
fn anchors(text: &str) -> impl Iterator<Item = String> {
    let headings = prose(text).filter_map(|line| line.strip_prefix('#'));
    headings.map(|heading| {
        let kept = heading.trim_start_matches('#').trim().chars();
        let kept = kept.filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
    })
}

/// A directory with a configuration.
struct Home(PathBuf);

impl Home {
    /// An empty one with these two files.
    fn new(name: &str, signer: &str, policy: &str) -> Home {
        let home = Home(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
        let _ = fs::remove_dir_all(&home.0);
        home.write("signer.toml", signer);
        home.write("policy.toml", policy);
        home
    }

    /// The demonstration with this policy, and a key for another service.
    fn demonstration(name: &str, policy: &str) -> Home {
        let read = |name: &str| fs::read_to_string(Path::new(ROOT).join(name)).unwrap();
        let billing = format!("keys = [{{ id = \"billing\", sha256 = \"{}\" }}, ", "0f".repeat(32));
        let home = Home::new(name, &read("signer.toml").replace("keys = [", &billing), policy);
        for secret in [
            "leancloud",
            "talkjs",
            "ably",
            "stream",
            "centrifugo",
            "livekit",
            "pusher",
            "tencent",
            "agora",
            "jwt",
            "caller",
        ] {
            let path = format!("deploy/demo/{secret}.secret");
            home.write(&path, &read(&path));
        }
        home
    }

    /// Writes a file that its owner alone can read.
    fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Runs the program in it.
    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chat-signer"));
        command.current_dir(&self.0).envs(VARIABLES).args(arguments).output().unwrap()
    }
}
