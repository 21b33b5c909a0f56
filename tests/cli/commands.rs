//! What the command line answers differently each time, and how it ends where it can't answer.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::process::{Command, Output, Stdio};

use chat_signer::crypto::{hex, sha256};
use serde_json::Value;

const CONFIG: [&str; 2] = ["--config", "tests/cmd/chat/signer.toml"];

/// A command from the root of the project.
pub(crate) fn chat_signer(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chat-signer"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    chat_signer(arguments).args(CONFIG).output().unwrap()
}

/// Runs it with the usual configuration, changed.
fn run_with(name: &str, change: impl Fn(&str) -> String, arguments: &[&str]) -> Output {
    let directory = std::env::temp_dir().join(format!("chat-signer-cli-{name}-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let changed = change(&fs::read_to_string("tests/cmd/chat/signer.toml").unwrap());
    let changed = changed.replace("../../../deploy/demo", &format!("{}/deploy/demo", env!("CARGO_MANIFEST_DIR")));
    fs::write(directory.join("signer.toml"), changed).unwrap();
    fs::copy("tests/cmd/chat/policy.toml", directory.join("policy.toml")).unwrap();
    fs::write(directory.join("own.secret"), "an-invented-secret-of-forty-characters-00").unwrap();
    let config = directory.join("signer.toml");
    let output = chat_signer(arguments).arg("--config").arg(config).output().unwrap();
    fs::remove_dir_all(&directory).unwrap();
    output
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json(arguments: &[&str]) -> Value {
    let output = run(&[arguments, &["-o", "json"]].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn a_demonstration_token_is_one_of_its_user() {
    let token = stdout(&run(&["token", "--sub", "tom", "--roles", "moderator,owner"]));
    let delete = ["explain", "ably", "message-delete-any", "--conv-id", "chat:lobby", "--token", token.trim()];
    let explained = json(&delete);
    assert_eq!(explained["allowed"], true);
    assert_eq!(explained["caller"]["subject"], "tom");
    assert_eq!(explained["steps"][0]["standings"][0], "tom is moderator by the caller's token for *");

    let late = run(&[delete.as_slice(), &["--at", "2099-01-01T00:00:00Z"]].concat());
    assert_eq!(late.status.code(), Some(1));
    assert!(String::from_utf8(late.stderr).unwrap().starts_with("error: the caller is refused: the token expired "));
}

#[test]
fn a_token_lives_as_long_as_asked() {
    let lives = |ttl: &str| {
        let made = json(&["token", "--sub", "tom", "--ttl", ttl]);
        let payload = made["token"].as_str().unwrap().split('.').nth(1).unwrap().to_owned();
        let claims: Value = serde_json::from_slice(&chat_signer::crypto::base64url_decode(&payload).unwrap()).unwrap();
        assert_eq!(claims["exp"], made["expires_at"]);
        claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap()
    };
    assert_eq!([lives("1h"), lives("90s")], [3600, 90]);
}

#[test]
fn only_the_demonstration_makes_tokens() {
    let public = "9b0b9866160887802d382386a3d037755cdd8a6d2a3e1d39efa5358ef3046301";
    let own = |demonstration: &str| {
        demonstration.replace("../../../deploy/demo/caller.secret", "own.secret").replace(public, &"0f".repeat(32))
    };
    let output = run_with("own-caller", own, &["token", "--sub", "tom"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with("error: this configuration is not the demonstration"), "{error}");
}

#[test]
fn a_supposed_caller_has_the_roles_that_its_token_could_give() {
    let notes = |name: &str, without: &[&str]| {
        let change = |text: &str| without.iter().fold(text.to_owned(), |text, line| text.replace(line, ""));
        let arguments = ["explain", "ably", "login", "--as", "tom", "--roles", "member,chat:*=member"];
        let output = run_with(name, change, &arguments);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let (roles, bindings) = ("roles = \"roles\"\n", "bindings = \"bindings\"\n");
    let nowhere =
        "note: the role member at chat:* has no effect: demo has no `bindings`, so it gives roles only at *\n";
    let nothing = |scope: &str| format!("note: the role member at {scope} has no effect: demo gives no roles\n");
    assert_eq!(notes("all", &[]), "");
    assert_eq!(notes("no-roles", &[roles]), "");
    assert_eq!(notes("no-bindings", &[bindings]), nowhere);
    assert_eq!(notes("neither", &[roles, bindings]), nothing("*") + &nothing("chat:*"));
    assert_eq!(notes("no-max-role", &["max_role = \"moderator\"\n"]), nothing("*") + &nothing("chat:*"));
}

#[test]
fn a_supposed_caller_has_no_more_roles_than_a_token_may_give() {
    let explain = |count: usize| {
        let roles: Vec<_> = (0..count).flat_map(|n| [format!("c{n}=guest"), format!("c{n}=member")]).collect();
        run(&["explain", "ably", "subscribe", "--conv-id", "c1", "--as", "tom", "--roles", &roles.join(",")])
    };
    let output = explain(64);
    assert_ne!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8(output.stdout).unwrap().contains("tom is member by the caller's token for c1"));
    let output = explain(65);
    assert_eq!(output.status.code(), Some(2));
    let expected = "error: roles: the caller must not have roles in more than 64 different scopes\n";
    assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
}

#[test]
fn what_is_only_asked_elsewhere_while_serving_is_said() {
    let fetched = |text: &str| {
        format!(
            "{text}\n[[authenticators]]\nname = \"staff\"\ntype = \"jwt\"\ncaller = \"user\"\nissuer = \"https://staff.example.com/\"\n\
                 audience = [\"chat\"]\nalgorithms = [\"ES256\"]\nsubject_prefix = \"staff-\"\njwks = {{ url = \"https://staff.example.com/jwks.json?x=1\" }}\n"
        )
    };
    let opaque = |text: &str| {
        format!(
            "{text}\n[[authenticators]]\nname = \"opaque\"\ntype = \"introspection\"\npreset = \"rfc7662\"\ncaller = \"user\"\n\
                 url = \"https://id.example.com/introspect\"\nsubject_prefix = \"id-\"\n"
        )
    };
    // {"alg":"ES256","kid":"one"}, {"iss":"https://staff.example.com/"}
    let token = "eyJhbGciOiJFUzI1NiIsImtpZCI6Im9uZSJ9.eyJpc3MiOiJodHRwczovL3N0YWZmLmV4YW1wbGUuY29tLyJ9.AAAA";
    let explain = ["explain", "talkjs", "token", "--token"];
    let told = |name, change: &dyn Fn(&str) -> String, token| {
        let output = run_with(name, change, &[&explain[..], &[token]].concat());
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let instead = "name the caller instead: --as or --service, with --roles";
    assert_eq!(
        told("fetched", &fetched, token),
        format!(
            "error: cannot identify the caller: the keys of staff are fetched from https://staff.example.com/jwks.json, and only the \
                 server does that; {instead}\n"
        )
    );
    assert_eq!(
        told("opaque", &opaque, "fake-opaque-token"),
        format!(
            "error: cannot identify the caller: opaque asks https://id.example.com/introspect about this token, and only the server \
                 does that; {instead}\n"
        )
    );
}

#[test]
fn a_supposed_caller_could_have_a_credential() {
    let partner = r#"
[[authenticators]]
name = "partner"
type = "jwt"
caller = "user"
issuer = "https://partner.example.com/"
audience = ["chat"]
algorithms = ["HS256"]
secret = { file = "../../../deploy/demo/caller.secret" }
subject_prefix = "partner."
"#;
    let refused = |name: &str, more: &[&str]| {
        let change = |text: &str| format!("{text}{partner}");
        let arguments = [&["explain", "leancloud", "login", "--client-id", "tom"], more].concat();
        let output = run_with(name, change, &arguments);
        let told = String::from_utf8(output.stderr).unwrap();
        if output.status.code() == Some(2) { told } else { String::new() }
    };
    assert_eq!(refused("of-first", &["--as", "tom"]), "");
    assert_eq!(refused("of-partner", &["--as", "partner.tom"]), "");
    assert_eq!(
        refused("star", &["--as", "*"]),
        "error: demo accepts no user `*`: the token's subject must not be `*`\n"
    );
    assert_eq!(
        refused("foreign", &["--as", "partner.tom", "--authenticator", "demo"]),
        "error: demo accepts no user `partner.tom`: the caller's subject starts with the prefix of another authenticator\n"
    );
    assert_eq!(
        refused("unprefixed", &["--as", "tom", "--authenticator", "partner"]),
        "error: partner accepts no user `tom`: its subjects start with `partner.`\n"
    );
    assert_eq!(
        refused("bare", &["--as", "partner.", "--authenticator", "partner"]),
        "error: partner accepts no user `partner.`: the token's subject must not be empty\n"
    );
    assert_eq!(refused("key", &["--service", "orders"]), "");
    assert_eq!(
        refused("no-key", &["--service", "order"]),
        "error: backend accepts no service `order`: it has no API key with this id\n"
    );
}

#[test]
fn keys_are_new_each_time_and_hashed_as_they_are_sent() {
    let [one, other] = [json(&["hash-key", "--id", "orders"]), json(&["hash-key"])];
    let key = one["key"].as_str().unwrap();
    assert_ne!(one["key"], other["key"]);
    assert!(key.starts_with("csk_") && key.len() == "csk_".len() + 43, "{key}");
    assert_eq!(one["sha256"], hex(&sha256(key.as_bytes())));

    let mut child = chat_signer(&["hash-key", "--stdin"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{key}\n").as_bytes()).unwrap();
    let text = stdout(&child.wait_with_output().unwrap());
    assert!(text.contains(one["sha256"].as_str().unwrap()) && !text.contains(key), "{text}");
}

#[test]
fn nonces_are_new_each_time() {
    let sign = || json(&["sign", "leancloud", "login", "--client-id", "tom"])["nonce"].clone();
    assert_ne!(sign(), sign());
}

#[test]
fn what_was_just_signed_verifies() {
    let token = stdout(&run(&["sign", "talkjs", "token", "--client-id", "tom"]));
    let verify = ["verify", "talkjs", "token", "--client-id", "tom", "--signature", token.trim()];
    assert_eq!(stdout(&run(&verify)), "yes: it matches\n");
    let ably = stdout(&run(&["sign", "ably", "token", "--client-id", "tom"]));
    let verify = ["verify", "ably", "token", "--client-id", "tom", "--signature", ably.trim()];
    assert_eq!(stdout(&run(&verify)), "yes: it matches\n");
}

#[test]
fn a_mismatch_tells_neither_the_right_signature_nor_a_key() {
    let fields = ["leancloud", "login", "--client-id", "tom", "--timestamp", "1700000000000", "--nonce", "n1"];
    let right = json(&[&["sign"], fields.as_slice()].concat())["signature"].as_str().unwrap().to_owned();
    for wrong in ["0".repeat(40), right.to_uppercase(), format!("{right}00")] {
        for form in ["text", "json"] {
            let verify = [&["verify"], fields.as_slice(), &["--signature", &wrong, "-o", form]].concat();
            let output = run(&verify);
            assert_eq!(output.status.code(), Some(1));
            let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap().to_lowercase();
            assert!(!told.contains(&right), "{told}");
            assert!(!told.contains("demonstration-only"), "{told}");
        }
    }
}

#[test]
fn what_the_server_would_refuse_is_refused() {
    for (arguments, says) in [
        ("explain ably publish --as tom --conv-id :x", "--conv-id must not start with `:`"),
        ("explain ably publish --as tom --conv-id [q]x:*", "--conv-id must be asked for by its name"),
        ("explain ably mute --as tom --conv-id :x --members mary", "--conv-id must not start with `:`"),
        ("explain ably publish --as tom --conv-id x --client-id *", "--client-id must not be `*`"),
        ("explain ably publish --as * --conv-id x", "`*`"),
        ("explain ably login --as *", "`*`"),
        ("explain talkjs login --as tom --client-id *", "--client-id must name one client"),
        ("explain talkjs mute --service orders --client-id * --members tom", "--client-id must name one client"),
        ("explain leancloud mute --as tom --members *", "--members must name one client each"),
        ("explain ably publish --as tom --conv-id x --members mary", "does not take --members"),
        ("explain ably login --as tom --members mary", "does not take --members"),
        ("explain ably login --as tom --conv-id x", "does not take --conv-id"),
        ("explain ably publish --as tom --conv-id x --capability {}", "does not take --capability"),
        ("explain ably publish --as tom --conv-id x --ttl 1h", "does not take --ttl"),
        ("hash-key --id=", "--id must not be empty"),
        ("hash-key --id=*", "--id must not be `*`"),
    ] {
        let output = run(&arguments.split(' ').collect::<Vec<_>>());
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments}: {error}");
        assert!(output.stdout.is_empty() && error.contains(says), "{arguments}: {error}");
    }
    let any = ["explain", "ably", "publish", "--service", "orders", "--conv-id", "chat:x", "--client-id", "*"];
    let any = chat_signer(&any).output().unwrap();
    assert_eq!(any.status.code(), Some(0), "a service may ask for any client");
}

#[test]
fn a_reader_that_has_enough_does_not_change_the_answer() {
    for (conversation, code) in [("chat:lobby", 0), ("elsewhere", 1)] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut explain = chat_signer(&["explain", "ably", "publish", "--as", "tom", "--conv-id", conversation]);
        let output = explain.args(CONFIG).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(code));
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    }
}

#[test]
fn control_characters_are_escaped() {
    let cases = std::env::temp_dir().join(format!("chat-signer-cases-{}.toml", std::process::id()));
    let case = r#"
[[cases]]
name = "red\u001b[31m\nand down\u009b"
as = "tom"
app = "chat\u001b[0m"
action = "login"
expect = "allow"
"#;
    fs::write(&cases, case).unwrap();
    let test = run(&["test", cases.to_str().unwrap()]);
    fs::remove_file(&cases).unwrap();
    let app = run(&["explain", "nowhere\u{1b}[31m\nnote: fine", "login", "--as", "tom"]);
    let authenticator = run(&["explain", "ably", "login", "--as", "tom", "--authenticator", "x\u{1b}[31m"]);
    for output in [test, app, authenticator] {
        let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(told.contains("\\u{1b}[31m"), "{told}");
        assert!(!told.contains(|c: char| c.is_control() && c != '\n'), "{told:?}");
        assert!(!told.contains("\nnote: fine") && !told.contains("\nand down"), "{told:?}");
    }
}

#[test]
fn a_key_is_hashed_whole_or_not_at_all() {
    let hash = |length: usize| {
        let mut hash_key = chat_signer(&["hash-key", "--stdin"]);
        let hash_key = hash_key.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = hash_key.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&vec![b'a'; length]).unwrap();
        drop(stdin);
        child.wait_with_output().unwrap()
    };
    assert!(stdout(&hash(64 * 1024)).contains(&hex(&sha256(&vec![b'a'; 64 * 1024]))));
    let output = hash(64 * 1024 + 1);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("longer than 64 KiB"));
}

#[test]
fn a_result_that_cannot_be_written_is_none() {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = chat_signer(&["hash-key"]).stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("error: cannot write the result"));
}

#[test]
fn whoever_stops_listening_stops_nothing() {
    let probe = ["probe", "--admin", "127.0.0.1:1"];
    let results = [&probe[..], &["probe", "--admin", "127.0.0.1:1", "-o", "json"]];
    let mistaken = [&["serve", "--config", "tests/cmd/broken/signer.toml"][..], &["probe", "--config", "nowhere"]];
    for arguments in [results, mistaken].concat() {
        let closed = || std::io::pipe().unwrap().1;
        let mut child = chat_signer(arguments).stdout(closed()).stderr(closed()).spawn().unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(1), "{arguments:?}");
    }
}

#[test]
fn a_probe_says_what_it_found() {
    let probe = |form: &str| {
        let output = chat_signer(&["probe", "--admin", "127.0.0.1:1", "-o", form]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap())
    };
    let [out, err] = probe("text");
    assert!(out.is_empty() && err.starts_with("127.0.0.1:1 does not answer: "), "{out}{err}");
    assert_eq!(probe("json"), ["{\"checks\":[],\"ready\":false}\n".to_owned(), String::new()]);
}

/// Signs with the audit log going there, relative to the configuration; `more` are further lines of `[audit]`.
fn sign_with_audit(name: &str, to: &str, more: &str) -> Output {
    let audit = format!("[audit]\nto = \"{to}\"\n{more}\n[policy]");
    run_with(name, |text| text.replace("[audit]\nto = \"/dev/null\"\n\n", "").replace("[policy]", &audit), &SIGN)
}

const SIGN: [&str; 10] =
    ["sign", "leancloud", "invite", "--client-id", "bob", "--conv-id", "den", "--members", "tom,carol", "-ojson"];

#[test]
fn sign_writes_a_line_to_the_configured_file() {
    let file = std::env::temp_dir().join(format!("chat-signer-signed-{}.log", std::process::id()));
    let output = sign_with_audit("sign-file", file.to_str().unwrap(), "");
    let answer: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let text = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    assert!(text.ends_with('\n') && !text.contains(answer["signature"].as_str().unwrap()), "{text}");
    let line: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&line["event"], &line["caller"]["kind"]), (&"request.signed".into(), &"operator".into()));
    assert_eq!(
        (&line["app"], &line["vendor"], &line["action"]),
        (&"leancloud".into(), &"leancloud".into(), &"invite".into())
    );
    assert_eq!((&line["client"], &line["conversation"]), (&"bob".into(), &"den".into()));
    assert_eq!((&line["targets"], &line["nonce"]), (&serde_json::json!(["tom", "carol"]), &answer["nonce"]));
}

#[test]
fn sign_writes_its_line_to_standard_error_where_the_log_goes_to_standard_output() {
    let output = sign_with_audit("sign-stdout", "stdout", "chain = true");
    serde_json::from_str::<Value>(&stdout(&output)).unwrap();
    let line: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!((&line["event"], &line["chain"]["seq"]), (&"request.signed".into(), &0.into()));
}

#[test]
fn nothing_is_signed_that_can_not_be_recorded() {
    let full = sign_with_audit("sign-full", "/dev/full", "");
    let unopened = sign_with_audit("sign-unopened", "policy.toml/audit.log", "");
    for (output, expected) in
        [(full, "cannot write the audit log, so the signature is not printed"), (unopened, "audit")]
    {
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn completions_and_manual_pages_have_every_command() {
    let script = run(&["completions", "bash"]);
    assert!(script.status.success(), "{script:?}");
    let script = String::from_utf8(script.stdout).unwrap();
    let directory = crate::common::directory();
    let written = run(&["man", directory.to_str().unwrap()]);
    assert!(written.status.success() && written.stdout.is_empty(), "{written:?}");
    for command in ["serve", "ban", "manage-conversation", "completions"] {
        assert!(script.contains(command), "{command}");
        let page = std::fs::read_to_string(directory.join(format!("chat-signer-{command}.1"))).unwrap();
        assert!(page.contains("Examples:"), "{page}");
    }
    assert!(directory.join("chat-signer-audit-verify.1").exists());
    std::fs::remove_dir_all(&directory).unwrap();
    let refused = run(&["man", directory.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr).unwrap().starts_with("error: cannot write the pages into "));
}

#[test]
fn the_environment_names_the_configuration() {
    let program = env!("CARGO_BIN_EXE_chat-signer");
    let output = Command::new(program).arg("check").env("CHAT_SIGNER_CONFIG", "elsewhere.toml").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stdout).unwrap().contains("elsewhere.toml"));
    let root = env!("CARGO_MANIFEST_DIR");
    let given = Command::new(program)
        .args(["check", "--config", "signer.toml"])
        .env("CHAT_SIGNER_CONFIG", "elsewhere.toml")
        .current_dir(root)
        .output()
        .unwrap();
    assert!(given.status.success(), "{given:?}");
}

#[test]
fn a_field_is_given_once() {
    for (arguments, field) in [
        (&["--client-id", "tom", "--field", "user_id=admin"][..], "user_id"),
        (&["--field", "user_id=tom", "--field", "user_id=admin"][..], "user_id"),
    ] {
        let output = run(&[&["sign", "talkjs", "token"], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(error, format!("error: --field {field}: this field is given more than once\n"));
    }
}
