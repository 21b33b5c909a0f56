//! RSA keys that are too short to be trusted are refused where they are loaded.

use std::fs;

use chat_signer::config;
use chat_signer::crypto::base64url;
use serde_json::{Value, json};

use crate::abuse;
use crate::common::{Server, Setup};
use crate::token_attacks::world::{APP, POLICY, serve_set};

const CALLERS: &str = r#"
[[authenticators]]
name = "users"
type = "jwt"
caller = "user"
issuer = "https://id.example.com/"
audience = ["chat"]
algorithms = ["RS256"]
{keys}
"#;

/// Made with `openssl genrsa 1024 | openssl rsa -pubout`.
const PEM: &str = "-----BEGIN PUBLIC KEY-----\nMIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCYxxqhTOpG8foYh+bdzLITqSp7\n\
    vvWtUWjKYb61m7DC4WDBeAVArgssU4lijxvLGLJM+RXbnOoaOZCb/uawCj++WIiL\njvCNNeOxt1rWIf6Lr19LirmEp36lR7YA/9ZMRtqEXBiaNSaV\
    EcTEAONIApRqjuih\nWLGAbML8uobYMZrGrwIDAQAB\n-----END PUBLIC KEY-----\n";

/// A set with a key of so many bits, which has no small factor.
fn set(bits: usize) -> Value {
    let mut modulus = vec![0xff; bits.div_ceil(8)];
    modulus[0] >>= modulus.len() * 8 - bits;
    let divides =
        |modulus: &[u8], by: u32| modulus.iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % by) == 0;
    while (2..1000).any(|by| divides(&modulus, by)) {
        *modulus.last_mut().unwrap() -= 2;
    }
    json!({"keys": [{"kty": "RSA", "kid": "short", "n": base64url(&modulus), "e": "AQAB"}]})
}

/// What loading this configuration complains of.
fn complaints(keys: &str, file: (&str, &str)) -> String {
    let directory = abuse::lay_out(
        &(APP.to_owned() + CALLERS).replace("{keys}", keys),
        POLICY,
        &[&[file][..], &abuse::SECRETS].concat(),
    );
    let loaded = config::load(&directory.join("signer.toml"));
    fs::remove_dir_all(directory).unwrap();
    assert_eq!(loaded.settings.is_none(), loaded.report.has_mistakes());
    loaded.report.render(false)
}

#[test]
fn in_a_file() {
    let report = complaints("public_key = \"issuer.pem\"", ("issuer.pem", PEM));
    assert!(report.contains("the RSA key has 1024 bits: use one of 2048 to 8192"), "{report}");
    for bits in [512, 1024, 1536, 2040, 2047] {
        let report = complaints("jwks = { file = \"jwks.json\" }", ("jwks.json", &set(bits).to_string()));
        assert!(report.contains(&format!("the RSA key has {bits} bits: use one of 2048 to 8192")), "{report}");
    }
    let report = complaints("jwks = { file = \"jwks.json\" }", ("jwks.json", &set(2048).to_string()));
    assert!(!report.contains("RSA"), "{report}");
}

#[test]
fn behind_a_url() {
    let keys = format!("jwks = {{ url = \"{}\" }}", serve_set(&set(2047)));
    let directory = abuse::lay_out(&(APP.to_owned() + CALLERS).replace("{keys}", &keys), POLICY, &abuse::SECRETS);
    let server = Server::run(directory, Setup::default());
    let reason = "the key \"short\": the RSA key has 2047 bits";
    let reasons = std::iter::repeat_with(|| server.admin("/readyz?verbose").body);
    let told = reasons.take(100_000).find(|body| !body.contains("not fetched yet")).unwrap();
    assert!(told.contains(reason), "{told}");
}
