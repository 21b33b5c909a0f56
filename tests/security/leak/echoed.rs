//! Secrets in the places of a token or request that logs and commands repeat.

use std::fs;
use std::process::Command;

use chat_signer::crypto::{base64, hex};
use serde_json::{Value, json};

use crate::abuse::request::{self, bearer, bytes};
use crate::abuse::token::{claims, hmac, hs256, sign};
use crate::abuse::traced::Format;
use crate::leak::world::{self, CALLERS, ISSUER, detector, secrets};

/// Ways to write a secret that a reader of the log could undo: as it is, with other text around it, in part, and encoded. Of an API key
/// only the hash is known, so it is found only as a whole word.
fn forms(secret: &str) -> Vec<String> {
    if secret == world::KEY {
        return vec![secret.to_owned()];
    }
    let half = &secret[secret.len() / 2..];
    let encoded = [hex(secret.as_bytes()), base64(secret.as_bytes()), base64(format!("a{secret}").as_bytes())];
    let texts =
        [secret.to_owned(), format!("fakeapp.fakekey:{secret}"), half.to_owned(), format!("{secret}\"\u{2028}é")];
    [&texts[..], &encoded].concat()
}

/// Tokens with this text in each claim and header that a log may repeat.
fn tokens(text: &str) -> Vec<String> {
    let signed = |more: Value| hs256(CALLERS.as_bytes(), &claims(ISSUER, "chat", "tom", &more));
    let under = |header: Value| sign(&header, &claims(ISSUER, "chat", "tom", &json!({})), hmac(CALLERS.as_bytes()));
    vec![
        signed(json!({ "iss": text })),
        signed(json!({ "aud": text })),
        signed(json!({ "aud": ["shop", text] })),
        signed(json!({ "sub": text })),
        signed(json!({ "roles": [text], "iss": text })),
        under(json!({ "alg": text })),
        under(json!({ "alg": "HS256", "kid": text })),
        under(json!({ "alg": "HS512", "kid": text, "typ": text })),
    ]
}

/// Requests with this text in each place that a log may repeat.
fn requests(text: &str) -> Vec<Vec<u8>> {
    const JSON: &str = "content-type: application/json\r\n";
    let tom = world::token("tom");
    let with_token = tokens(text)
        .into_iter()
        .map(|token| bytes("POST", "/v1/talkjs/token", &format!("{}{JSON}", bearer(&token)), "{}"));
    let bodies = [
        ("leancloud/login", json!({ "client_id": text })),
        ("leancloud/join", json!({ "client_id": "tom", "conv_id": text })),
        ("leancloud/invite", json!({ "client_id": "tom", "conv_id": "den", "members": ["mary", text] })),
        ("talkjs/token", json!({ "user_id": text })),
        ("ably/token", json!({ "client_id": "tom", "capability": { text: ["subscribe"] } })),
    ];
    let bodies = bodies.map(|(path, body)| {
        bytes("POST", &format!("/v1/{path}"), &format!("{}{JSON}", bearer(&tom)), body.to_string())
    });
    let mut requests: Vec<_> = with_token.chain(bodies).collect();
    if text.is_ascii() {
        let headers = format!("x-request-id: {text}\r\n{}{JSON}", bearer(&tom));
        requests.push(bytes("POST", "/v1/talkjs/token", &headers, "{}"));
    }
    requests
}

#[test]
fn no_log_repeats_a_secret_from_a_token_or_request() {
    for format in [Format::Text, Format::Json] {
        let (server, detector) = (world::server(format), detector());
        let mut count = 0;
        for text in secrets().iter().flat_map(|(_, secret)| forms(secret)) {
            for request in requests(&text) {
                // What an answer repeats to the caller that sent it gives nothing away.
                request::ask(&mut server.connect(), &request);
                count += 1;
            }
        }
        let (log, audit) = server.finish(&detector);
        assert!(count > 400, "{count}");
        assert!(audit.lines().all(|line| serde_json::from_str::<Value>(line).is_ok_and(|line| line.is_object())));
        let expected = r#"the token's issuer (iss) is not known here: \"[redacted]\""#;
        assert!(audit.contains(expected) && log.contains("[redacted]"), "{audit}");
        for field in [
            r#""subject":"[redacted]""#,
            r#""client":"[redacted]""#,
            r#""conversation":"[redacted]""#,
            r#"["mary","[redacted]"]"#,
        ] {
            assert!(audit.contains(field), "{field} is there: {audit}");
        }
    }
}

#[test]
fn what_is_no_secret_is_written_as_it_came() {
    let server = world::server(Format::Text);
    let token = hs256(CALLERS.as_bytes(), &claims("https://NotReal-other.example.com", "chat", "tom", &json!({})));
    request::ask(&mut server.connect(), &bytes("POST", "/v1/talkjs/token", &bearer(&token), ""));
    let (_, audit) = server.finish(&detector());
    assert!(audit.contains(r#"is not known here: \"https://NotReal-other.example.com\""#), "{audit}");
}

#[test]
fn no_command_repeats_a_secret_from_a_token() {
    let (directory, detector) = (world::directory(), detector());
    let run = |arguments: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_chat-signer")).args(arguments).current_dir(&directory).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        detector.assert_clean(&arguments.join(" "), &said);
        said
    };
    for (_, secret) in secrets() {
        for text in forms(secret).iter().take(3) {
            let vendors = json!({"iss": text, "sub": text, "tokenType": text, "x-ably-clientId": text, "x-ably-capability": {text.as_str(): ["subscribe"]}});
            let token = sign(&json!({"alg": text, "kid": text}), &vendors, hmac(b"another"));
            let capability = json!({"iss": text, "x-ably-clientId": text, "x-ably-capability": json!({text.as_str(): ["subscribe"]}).to_string(), format!("x-ably- {text}"): 1});
            let other = sign(&json!({"alg": "HS256", "kid": text}), &capability, hmac(b"another"));
            for output in ["text", "json"] {
                for app in ["ably", "talkjs"] {
                    let said =
                        run(&["verify", app, "token", "--client-id", "tom", "--signature", &token, "-o", output]);
                    assert!(said.contains("[redacted]"), "{said}");
                    run(&["verify", app, "token", "--client-id", "tom", "--signature", &other, "-o", output]);
                }
                run(&["verify", "talkjs", "signature", "--client-id", text, "--signature", "00", "-o", output]);
                for token in tokens(text) {
                    run(&["explain", "talkjs", "token", "--token", &token, "-o", output]);
                }
                run(&["explain", "talkjs", "token", "--as", text, "-o", output]);
                run(&["explain", "leancloud", "join", "--as", "tom", "--conv-id", text, "-o", output]);
                run(&["explain", "leancloud", "login", "--as", "tom", "--authenticator", text, "-o", output]);
            }
        }
    }
    fs::remove_dir_all(&directory).unwrap();
}
