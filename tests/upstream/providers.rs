//! Tokens and answers in the forms that identity providers in use send: what is accepted by setting, and what still is not.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::server::{Authority, Reply, Server};
use crate::signer::{Key, Signer, alone, bearer, directory, hs256, set, until};

const SECOND: Duration = Duration::from_secs(1);
const SET: &str = "/keys";
const MIXED: &str =
    "issuer = \"https://id.example.com/\"\npublic_key = \"id.pem\"\nsecret = { file = \"shared.secret\" }";
const SECRET: &str = "obviously-fake-secret-for-tests-0123456789";

fn jwt(name: &str, more: &str) -> String {
    format!(
        "[[authenticators]]\nname = \"{name}\"\ntype = \"jwt\"\ncaller = \"user\"\naudience = [\"chat\"]\n\
         algorithms = [\"EdDSA\"]\nrefuse_id_tokens = false\n{more}\n"
    )
}

/// An authenticator with the keys of this server.
fn fetched(issuer: &Server, more: &str) -> String {
    let keys = format!("issuer = \"https://id.example.com/\"\njwks = {{ url = \"{}\" }}\n{more}", issuer.url(SET));
    jwt("app-users", &keys)
}

/// The program with this key in a file and these settings.
async fn signer(key: &Key, more: &str) -> Signer {
    let directory = directory();
    fs::write(directory.join("id.pem"), key.pem()).unwrap();
    fs::write(directory.join("shared.secret"), SECRET).unwrap();
    let keys = format!("issuer = \"https://id.example.com/\"\npublic_key = \"id.pem\"\n{more}");
    Signer::start_in(directory, &jwt("app-users", &keys)).await
}

/// Who the token with these claims makes one, or the detail of the refusal.
async fn caller(signer: &Signer, key: &Key, claims: Value) -> Result<String, String> {
    of_token(signer, &key.token(&json!({}), &claims)).await
}

async fn of_token(signer: &Signer, token: &str) -> Result<String, String> {
    let line = bearer(token);
    match signer.subject(&line).await {
        Ok(subject) => Ok(subject),
        Err(_) => Err(signer.login(&line).await.json()["detail"].as_str().unwrap().to_owned()),
    }
}

#[allow(clippy::unnecessary_wraps)]
fn tom() -> Result<String, String> {
    Ok("tom".to_owned())
}

fn refused(result: &Result<String, String>, says: &str) {
    assert!(result.as_ref().is_err_and(|detail| detail.contains(says)), "{says}: {result:?}");
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[allow(clippy::needless_pass_by_value)]
fn merged(mut base: Value, more: Value) -> Value {
    base.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    base
}

#[tokio::test]
async fn a_spiffe_bundle_is_a_key_set() {
    let (issuer, key) = (Server::start().await, Key::new("svid"));
    let svid = json!({"kty": "OKP", "crv": "Ed25519", "use": "jwt-svid", "kid": "svid", "x": key.jwk()["x"]});
    let root = json!({"kty": "EC", "crv": "P-256", "use": "x509-svid", "x5c": ["AAAA"], "x": "AAAA", "y": "AAAA"});
    issuer.set(SET, Reply::json(json!({"keys": [root, svid], "spiffe_sequence": 1, "spiffe_refresh_hint": 300})));
    let signer = Signer::start(&fetched(&issuer, "")).await;
    let claims = json!({"sub": "spiffe://example.com/ns/shop/sa/billing"});
    let token = key.token(&json!({"kid": "svid"}), &claims);
    assert_eq!(of_token(&signer, &token).await, Ok("spiffe://example.com/ns/shop/sa/billing".to_owned()));
    // Keys for other purposes still verify nothing.
    for purpose in ["x509-svid", "enc", "JWT-SVID"] {
        let other = merged(key.jwk(), json!({"use": purpose}));
        issuer.set(SET, Reply::json(json!({"keys": [other]})));
        let signer = Signer::start(&fetched(&issuer, "")).await;
        assert!(of_token(&signer, &token).await.is_err(), "{purpose}");
    }
}

#[tokio::test]
async fn the_hash_of_a_certificate_names_the_key_of_a_token_without_kid() {
    for member in ["x5t", "x5t#S256"] {
        let issuer = Server::start().await;
        let keys: Vec<_> = ["a", "b", "c", "d", "e", "f"].map(Key::new).into();
        let named = |(place, key): (usize, &Key)| {
            let mut jwk = merged(key.jwk(), json!({member: format!("hash-{place}")}));
            jwk.as_object_mut().unwrap().remove("kid");
            jwk
        };
        issuer.set(SET, Reply::json(json!({"keys": keys.iter().enumerate().map(named).collect::<Vec<_>>()})));
        let signer = Signer::start(&fetched(&issuer, "")).await;
        let by = |key: &Key, hash: &str| key.token(&json!({member: hash}), &json!({}));
        assert_eq!(of_token(&signer, &by(&keys[5], "hash-5")).await, tom(), "{member}");
        refused(&of_token(&signer, &by(&keys[5], "hash-4")).await, "signature does not hold");
        refused(&of_token(&signer, &by(&keys[5], "hash-9")).await, "is not known here");
        let unnamed = keys[5].token(&json!({}), &json!({}));
        refused(&of_token(&signer, &unnamed).await, "must say which key signed it");
        // A kid counts more than a hash.
        let both = keys[5].token(&json!({member: "hash-5", "kid": "f"}), &json!({}));
        refused(&of_token(&signer, &both).await, "the token's key (kid) is not known here");
    }
}

#[tokio::test]
async fn an_optional_issuer_does_not_hold_up_the_others() {
    let (good, mut down, key) = (Server::start().await, Server::start().await, Key::new("one"));
    good.set(SET, Reply::json(set(&[&key])));
    down.down().await;
    let partner = |optional: &str| {
        let url = down.url(SET);
        let keys = format!(
            "issuer = \"https://partner.example/\"\nsubject_prefix = \"p-\"\njwks = {{ url = \"{url}\"{optional} }}"
        );
        fetched(&good, "") + &jwt("partners", &keys)
    };
    let signer = Signer::start(&partner(", optional = true")).await;
    until("it is ready", async || signer.ready().await.status == 200).await;
    until("it says what is missing", async || signer.ready().await.body.contains("[!] keys: the keys of partners"))
        .await;
    assert_eq!(of_token(&signer, &key.token(&json!({}), &json!({}))).await, tom());
    assert_eq!(signer.subject(&key.bearer("https://partner.example/", "tom")).await, Err(503));
    let strict = Signer::start(&partner("")).await;
    until("the good keys come", async || of_token(&strict, &key.token(&json!({}), &json!({}))).await == tom()).await;
    assert_eq!(strict.ready().await.status, 503);
}

#[test]
fn answers_with_a_byte_order_mark_or_in_gzip_are_read() {
    let key = Key::new("one");
    let text = set(&[&key]).to_string();
    let json = "content-type: application/json\r\n";
    let packed =
        |encoding: &str, text: &str| Reply::Bytes(format!("{json}content-encoding: {encoding}\r\n"), gzip(text));
    let endless = format!("{{\"keys\": [], \"pad\": \"{}\"}}", " ".repeat(300 << 10));
    for (name, reply, is_read) in [
        ("a byte order mark", Reply::json(format!("\u{feff}{text}")), true),
        ("gzip", packed("gzip", &text), true),
        ("gzip and a byte order mark", packed("GZIP", &format!("\u{feff}{text}")), true),
        ("another encoding", packed("br", &text), false),
        ("two encodings", packed("gzip, gzip", &text), false),
        ("damaged gzip", Reply::Bytes(format!("{json}content-encoding: gzip\r\n"), text.clone().into_bytes()), false),
        ("gzip that grows", packed("gzip", &endless), false),
    ] {
        alone(async {
            let issuer = Server::start().await;
            issuer.set(SET, reply);
            let signer = Signer::start(&fetched(&issuer, "")).await;
            let result = signer.subject(&key.bearer("https://id.example.com/", "tom")).await;
            assert_eq!(result, if is_read { Ok("tom".to_owned()) } else { Err(503) }, "{name}: {}", signer.log());
        });
    }
}

#[test]
fn the_log_says_which_encoding_is_not_supported() {
    for (reply, says) in [
        (
            Reply::Bytes("content-encoding: br\r\n".to_owned(), vec![1]),
            "the content encoding of the answer is \"br\", but only gzip is supported",
        ),
        (Reply::Bytes("content-encoding: gzip\r\n".to_owned(), vec![1]), "the answer is not valid gzip"),
    ] {
        alone(async {
            let issuer = Server::start().await;
            issuer.set(SET, reply.clone());
            let signer = Signer::start(&fetched(&issuer, "")).await;
            until(says, async || signer.ready().await.body.contains(says)).await;
        });
    }
}

#[tokio::test]
async fn null_stands_for_an_absent_member_of_a_key_or_a_token() {
    let (issuer, key) = (Server::start().await, Key::new("one"));
    let nulls =
        json!({"kid": null, "alg": null, "use": null, "key_ops": null, "d": null, "k": null, "x5c": null, "x5t": null});
    issuer.set(SET, Reply::json(json!({"keys": [merged(key.jwk(), nulls)]})));
    let signer =
        Signer::start(&fetched(&issuer, "roles = \"roles\"\nbindings = \"bindings\"\nmax_role = \"member\"")).await;
    let header = json!({"kid": null, "typ": null, "x5t": null});
    let claims = json!({"nbf": null, "iat": null, "roles": null, "bindings": null, "cnf": null, "nonce": null});
    assert_eq!(of_token(&signer, &key.token(&header, &claims)).await, tom());
    // Required claims are not optional, and no critical extension is known.
    for (claims, says) in [
        (json!({"exp": null}), "the token must have an expiry"),
        (json!({"sub": null}), "the token must name its subject"),
        (json!({"aud": null}), "the token must name its audience"),
        (json!({"iss": null}), "the token must name its issuer"),
    ] {
        refused(&caller(&signer, &key, claims).await, says);
    }
    refused(&of_token(&signer, &key.token(&json!({"crit": null}), &json!({}))).await, "crit");
}

#[tokio::test]
async fn the_expiry_of_an_answer_about_a_token_can_be_a_float_or_a_text() {
    let server = Server::start().await;
    let section = format!(
        "[[authenticators]]\nname = \"opaque\"\ntype = \"introspection\"\npreset = \"rfc7662\"\ncaller = \"user\"\nurl = \"{}\"\ncache = \"0s\"\n",
        server.url("/introspect")
    );
    let signer = Signer::start(&section).await;
    let result = async |exp: Value| {
        server.set("/introspect", Reply::json(json!({"active": true, "sub": "tom", "exp": exp})));
        signer.pass(SECOND * 2).await;
        signer.subject(&bearer("opaque")).await
    };
    for exp in [json!(4e9), json!(4_000_000_000.5), json!("4000000000"), json!("4000000000.25"), json!(null)] {
        assert_eq!(result(exp.clone()).await, Ok("tom".to_owned()), "{exp}");
    }
    for (exp, status) in [
        (json!(1e9), 401),
        (json!("1000000000"), 401),
        (json!("4e9"), 503),
        (json!("tomorrow"), 503),
        (json!(""), 503),
        (json!("-1"), 503),
        (json!("inf"), 503),
        (json!("."), 503),
        (json!("4000000000000"), 503),
        (json!([4_000_000_000_u64]), 503),
    ] {
        assert_eq!(result(exp.clone()).await, Err(status), "{exp}");
    }
    assert!(signer.log().contains("the token's `exp` must be a number of seconds since 1970"));
}

#[tokio::test]
async fn required_claims_must_have_one_of_their_values() {
    let key = Key::new("one");
    let required =
        "required_claims = { token_use = \"access\", azp = [\"web\", \"ios\"], \"/user/verified\" = true, level = 2 }";
    let signer = signer(&key, required).await;
    let good = || json!({"token_use": "access", "azp": "ios", "user": {"verified": true}, "level": 2});
    assert_eq!(caller(&signer, &key, good()).await, tom());
    for (claims, says) in [
        (json!({"token_use": "id"}), "the claim `token_use` does not have a required value"),
        (json!({"token_use": "(none)"}), "the required claim `token_use` is missing"),
        (json!({"token_use": null}), "the required claim `token_use` is missing"),
        (json!({"token_use": "Access"}), "`token_use`"),
        (json!({"token_use": ["access"]}), "`token_use`"),
        (json!({"azp": "android"}), "`azp`"),
        (json!({"azp": "web ios"}), "`azp`"),
        (json!({"user": {"verified": "true"}}), "`/user/verified`"),
        (json!({"user": {}}), "`/user/verified`"),
        (json!({"level": "2"}), "`level`"),
        (json!({"level": 2.5}), "`level`"),
    ] {
        refused(&caller(&signer, &key, merged(good(), claims.clone())).await, says);
    }
    assert!(signer.audit().contains("does not have a required value"), "{}", signer.audit());
}

#[tokio::test]
async fn a_session_has_required_claims_as_well() {
    let backend = Server::start().await;
    let section = format!(
        "[[authenticators]]\nname = \"session\"\ntype = \"introspection\"\ncaller = \"user\"\nurl = \"{}\"\ncache = \"0s\"\n\
         forward = {{ headers = [\"x-session\"] }}\nsubject = \"id\"\nrequired_claims = {{ confirmed = true }}\n",
        backend.url("/me")
    );
    let signer = Signer::start(&section).await;
    for (confirmed, result) in [(json!(true), Ok("7".to_owned())), (json!(false), Err(401)), (json!(null), Err(401))] {
        backend.set("/me", Reply::json(json!({"id": 7, "confirmed": confirmed})));
        assert_eq!(signer.subject("x-session: fake\r\n").await, result, "{confirmed}");
    }
}

#[tokio::test]
async fn id_tokens_are_refused_by_setting() {
    let key = Key::new("one");
    let (strict, lax) = (id_rule(&key, true).await, id_rule(&key, false).await);
    for claims in [
        json!({"nonce": "n-0S6_WzA2Mj"}),
        json!({"at_hash": "fake"}),
        json!({"c_hash": "fake"}),
        json!({"token_use": "id"}),
        json!({"typ": "ID"}),
    ] {
        refused(&caller(&strict, &key, claims.clone()).await, "the token is an ID token");
        assert_eq!(caller(&lax, &key, claims).await, tom());
    }
    assert_eq!(caller(&strict, &key, json!({"token_use": "access", "typ": "Bearer", "nonce": null})).await, tom());
}

async fn id_rule(key: &Key, refuse: bool) -> Signer {
    let directory = directory();
    fs::write(directory.join("id.pem"), key.pem()).unwrap();
    let keys = "issuer = \"https://id.example.com/\"\npublic_key = \"id.pem\"\n";
    let section = jwt("app-users", keys).replace("refuse_id_tokens = false", &format!("refuse_id_tokens = {refuse}"));
    Signer::start_in(directory, &section).await
}

#[tokio::test]
async fn the_client_of_a_token_can_stand_for_its_audience() {
    let key = Key::new("one");
    for name in ["client_id", "azp"] {
        let signer = signer(&key, &format!("audience_claim = \"{name}\"")).await;
        let by = |value: Value| json!({"aud": "(none)", name: value});
        assert_eq!(caller(&signer, &key, by(json!("chat"))).await, tom(), "{name}");
        refused(&caller(&signer, &key, by(json!("other-client"))).await, &format!("for another client ({name})"));
        for value in [json!("(none)"), json!(null), json!(["chat"]), json!({"chat": 1})] {
            refused(&caller(&signer, &key, by(value)).await, &format!("must name its client ({name}), as a string"));
        }
        // The audience alone is not enough.
        refused(&caller(&signer, &key, json!({"aud": "chat"})).await, "must name its client");
    }
    let signer = signer(&key, "").await;
    refused(&caller(&signer, &key, json!({"aud": "(none)", "client_id": "chat", "azp": "chat"})).await, "(aud)");
}

#[tokio::test]
async fn one_issuer_has_users_and_machines() {
    let (issuer, key) = (Server::start().await, Key::new("one"));
    issuer.set(SET, Reply::json(set(&[&key])));
    let machines =
        fetched(&issuer, "required_claims = { gty = \"client-credentials\" }\nsubject = [\"sub\", \"client_id\"]")
            .replace("name = \"app-users\"", "name = \"machines\"")
            .replace("caller = \"user\"", "caller = \"service\"");
    let other = fetched(&issuer, "subject_prefix = \"shop-\"")
        .replace("name = \"app-users\"", "name = \"shop\"")
        .replace("[\"chat\"]", "[\"shop\"]");
    let users = fetched(&issuer, "required_claims = { gty = \"password\" }");
    let signer = Signer::start(&format!("{users}{machines}{other}")).await;
    assert_eq!(caller(&signer, &key, json!({"gty": "password"})).await, tom());
    assert_eq!(caller(&signer, &key, json!({"aud": "shop"})).await, Ok("shop-tom".to_owned()));
    for says in ["\"authenticator\":\"app-users\"", "\"authenticator\":\"shop\""] {
        assert!(signer.audit().contains(says), "{}", signer.audit());
    }
    let machine = json!({"gty": "client-credentials", "sub": "(none)", "client_id": "orders"});
    let line = bearer(&key.token(&json!({}), &machine));
    let joined = signer.post("/v1/leancloud/join", &line, "{\"client_id\": \"tom\", \"conv_id\": \"c1\"}").await;
    assert_eq!(joined.status, 200, "{joined:?}");
    assert!(signer.audit().contains("\"subject\":\"orders\""), "{}", signer.audit());
    // A token that fits none, or more than one, is refused.
    refused(&caller(&signer, &key, json!({})).await, "no authenticator of the token's issuer accepts");
    refused(&caller(&signer, &key, json!({"gty": "implicit"})).await, "no authenticator of the token's issuer accepts");
    let both = json!({"aud": ["chat", "shop"], "gty": "password"});
    refused(&caller(&signer, &key, both).await, "meant for several authenticators");
}

#[tokio::test]
async fn an_issuer_has_one_name_for_each_tenant() {
    let (issuer, acme, globex) = (Server::start().await, Key::new("acme"), Key::new("globex"));
    issuer.set("/acme/keys", Reply::json(set(&[&acme])));
    issuer.set("/globex/keys", Reply::json(set(&[&globex])));
    let section = jwt(
        "tenants",
        &format!(
            "issuer = \"https://login.example.com/{{tenant}}/v2.0\"\ntenants = [\"acme\", \"globex\"]\n\
             subject_prefix = \"{{tenant}}/\"\njwks = {{ url = \"{}\" }}",
            issuer.url("/{tenant}/keys")
        ),
    );
    let signer = Signer::start(&section).await;
    until("the keys come", async || signer.ready().await.status == 200).await;
    let iss = |tenant: &str| json!({"iss": format!("https://login.example.com/{tenant}/v2.0")});
    assert_eq!(caller(&signer, &acme, iss("acme")).await, Ok("acme/tom".to_owned()));
    assert_eq!(caller(&signer, &globex, iss("globex")).await, Ok("globex/tom".to_owned()));
    // A tenant cannot sign for another one, whatever it puts into its tokens.
    refused(&caller(&signer, &acme, iss("globex")).await, "signature does not hold");
    let named = acme.token(&json!({"kid": "globex"}), &iss("globex"));
    refused(&of_token(&signer, &named).await, "signature does not hold");
    for tenant in
        ["other", "ACME", "", "..", "acme/globex", "acme/../globex", "acme.globex", "acme%2fglobex", "{tenant}"]
    {
        refused(&caller(&signer, &acme, iss(tenant)).await, "issuer (iss) is not known here");
    }
    assert_eq!(signer.metric("key_set_keys{authenticator=\"tenants/acme\"}").await, Some(1.0));
}

#[tokio::test]
async fn any_tenant_of_an_issuer_can_have_shared_keys() {
    let (issuer, key) = (Server::start().await, Key::new("one"));
    issuer.set(SET, Reply::json(set(&[&key])));
    let section = jwt(
        "tenants",
        &format!(
            "issuer = \"https://login.example.com/{{tenant}}/v2.0\"\ntenants = \"any\"\nsubject_prefix = \"{{tenant}}/\"\n\
             jwks = {{ url = \"{}\" }}",
            issuer.url(SET)
        ),
    );
    let policy = "roles = [\"member\"]\n\n[[rules]]\nid = \"acme\"\neffect = \"allow\"\nactions = [\"login\"]\n\
                  authenticators = [\"tenants\"]\nclaims = { tenant = \"acme\" }\n";
    let signer = Signer::start_with(directory(), &section, policy).await;
    let iss = |tenant: &str| json!({"iss": format!("https://login.example.com/{tenant}/v2.0")});
    assert_eq!(caller(&signer, &key, iss("acme")).await, Ok("acme/tom".to_owned()));
    // The tenant in the issuer counts, not a claim of the token.
    let pretender = merged(iss("globex"), json!({"tenant": "acme"}));
    assert_eq!(signer.subject(&bearer(&key.token(&json!({}), &pretender))).await, Err(403));
    let slash = merged(iss("globex"), json!({"sub": "../acme/tom"}));
    assert_eq!(signer.subject(&bearer(&key.token(&json!({}), &slash))).await, Err(403));
}

#[tokio::test]
async fn required_claims_and_roles_see_the_verified_tenant() {
    let (issuer, key) = (Server::start().await, Key::new("one"));
    issuer.set(SET, Reply::json(set(&[&key])));
    let tenants = |more: &str| {
        jwt(
            "tenants",
            &format!(
                "issuer = \"https://login.example.com/{{tenant}}/v2.0\"\ntenants = \"any\"\n\
                 subject_prefix = \"{{tenant}}.\"\njwks = {{ url = \"{}\" }}\n{more}",
                issuer.url(SET)
            ),
        )
    };
    let iss = |tenant: &str| json!({"iss": format!("https://login.example.com/{tenant}/v2.0")});
    let pretender = merged(iss("staff"), json!({"tenant": "acme"}));
    let signer = Signer::start(&tenants("required_claims = { tenant = \"acme\" }")).await;
    assert_eq!(caller(&signer, &key, iss("acme")).await, Ok("acme.tom".to_owned()));
    refused(&caller(&signer, &key, pretender.clone()).await, "the claim `tenant` does not have a required value");
    let signer = Signer::start(&tenants("roles = \"tenant\"\nmax_role = \"owner\"")).await;
    let owner = merged(iss("acme"), json!({"tenant": "owner"}));
    let kick = |token: Value| {
        let headers = bearer(&key.token(&json!({}), &token));
        let body = r#"{"conv_id": "c1", "members": ["bob"]}"#;
        let signer = &signer;
        async move { signer.post("/v1/leancloud/kick", &headers, body).await.status }
    };
    assert_eq!(kick(owner).await, 403);
    assert_eq!(kick(iss("owner")).await, 200, "a tenant with the name of a role");
}

#[tokio::test]
async fn a_tenant_cannot_have_the_prefix_of_another_authenticator() {
    let (issuer, tenant_key, staff_key) = (Server::start().await, Key::new("one"), Key::new("two"));
    issuer.set(SET, Reply::json(set(&[&tenant_key])));
    issuer.set("/staff", Reply::json(set(&[&staff_key])));
    let tenants = jwt(
        "tenants",
        &format!(
            "issuer = \"https://login.example.com/{{tenant}}/v2.0\"\ntenants = \"any\"\nsubject_prefix = \"{{tenant}}/\"\n\
             jwks = {{ url = \"{}\" }}",
            issuer.url(SET)
        ),
    );
    let staff = jwt(
        "staff",
        &format!(
            "issuer = \"https://staff.example.com/\"\nsubject_prefix = \"staff/\"\njwks = {{ url = \"{}\" }}",
            issuer.url("/staff")
        ),
    );
    let signer = Signer::start(&format!("{tenants}\n{staff}")).await;
    until("the keys come", async || signer.ready().await.status == 200).await;
    let iss = |tenant: &str| json!({"iss": format!("https://login.example.com/{tenant}/v2.0")});
    assert_eq!(caller(&signer, &tenant_key, iss("acme")).await, Ok("acme/tom".to_owned()));
    refused(&caller(&signer, &tenant_key, iss("staff")).await, "the prefix of another authenticator");
}

#[tokio::test]
async fn a_number_names_a_caller_by_setting() {
    let key = Key::new("one");
    let (numeric, strict) = (signer(&key, "numeric_subject = true").await, signer(&key, "").await);
    for (sub, expected) in [
        (json!(17), Some("17")),
        (json!(0), Some("0")),
        (json!(u64::MAX), Some("18446744073709551615")),
        (json!("17"), Some("17")),
    ] {
        assert_eq!(caller(&numeric, &key, json!({"sub": sub})).await.ok().as_deref(), expected, "{sub}");
    }
    for sub in [json!(1.5), json!(1e30), json!(true), json!([17])] {
        refused(&caller(&numeric, &key, json!({"sub": sub})).await, "as a string or a whole number");
    }
    refused(&caller(&strict, &key, json!({"sub": 17})).await, "the token must name its subject, as a string");
}

#[tokio::test]
async fn a_migration_has_shared_secrets_and_public_keys_side_by_side() {
    let key = Key::new("one");
    let directory = directory();
    fs::write(directory.join("id.pem"), key.pem()).unwrap();
    fs::write(directory.join("shared.secret"), SECRET).unwrap();
    let section = jwt("app-users", MIXED).replace("[\"EdDSA\"]", "[\"HS256\", \"EdDSA\"]");
    let signer = Signer::start_in(directory, &section).await;
    assert_eq!(of_token(&signer, &hs256(SECRET.as_bytes(), &json!({}), &json!({}))).await, tom());
    assert_eq!(caller(&signer, &key, json!({})).await, tom());
    // The public key is no shared secret, in no form.
    let pem = key.pem();
    let x = key.jwk()["x"].as_str().unwrap().to_owned();
    for secret in [pem.as_bytes(), pem.trim().as_bytes(), key.public(), x.as_bytes(), key.jwk().to_string().as_bytes()]
    {
        refused(&of_token(&signer, &hs256(secret, &json!({}), &json!({}))).await, "signature does not hold");
    }
    let swapped = key.token(&json!({"alg": "HS256"}), &json!({}));
    refused(&of_token(&signer, &swapped).await, "signature does not hold");
    let swapped = hs256(SECRET.as_bytes(), &json!({"alg": "EdDSA"}), &json!({}));
    refused(&of_token(&signer, &swapped).await, "signature does not hold");
    let other = hs256(SECRET.as_bytes(), &json!({"alg": "HS512"}), &json!({}));
    refused(&of_token(&signer, &other).await, "algorithm (alg) is not accepted");
}

#[test]
fn a_public_key_is_refused_as_a_shared_secret_in_every_form() {
    let key = Key::new("one");
    let (pem, x) = (key.pem(), key.jwk()["x"].as_str().unwrap().to_owned());
    let body = pem.lines().nth(1).unwrap();
    let der = [&b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"[..], key.public()].concat();
    let (url_safe, split) = (body.replace('+', "-").replace('/', "_"), format!(" {}\n{}\n", &body[..40], &body[40..]));
    let certificate = rcgen::generate_simple_self_signed(["id.example.com".to_owned()]).unwrap().cert;
    let forms: [&[u8]; 9] = [
        pem.as_bytes(),
        body.as_bytes(),
        body.trim_end_matches('=').as_bytes(),
        url_safe.as_bytes(),
        split.as_bytes(),
        x.as_bytes(),
        &der,
        key.public(),
        certificate.der(),
    ];
    for form in forms {
        assert!(mistakes_with_secret(&key, form).contains("error: `secret` is a public key"), "{form:?}");
    }
    let mistakes = mistakes_with_secret(&key, SECRET.as_bytes());
    assert!(!mistakes.contains("`secret` is a public key"), "{mistakes}");
}

/// The report on a configuration with this key and this shared secret.
fn mistakes_with_secret(key: &Key, secret: &[u8]) -> String {
    let directory = directory();
    fs::write(directory.join("id.pem"), key.pem()).unwrap();
    fs::write(directory.join("shared.secret"), [secret, b"\n"].concat()).unwrap();
    let section = jwt("app-users", MIXED).replace("[\"EdDSA\"]", "[\"HS256\", \"EdDSA\"]");
    fs::write(directory.join("signer.toml"), section).unwrap();
    chat_signer::config::load(&directory.join("signer.toml")).report.render(false)
}

#[tokio::test]
async fn long_tokens_are_accepted_by_setting() {
    let key = Key::new("one");
    let padded = |bytes: usize| json!({"groups": "x".repeat(bytes)});
    let usual = signer(&key, "").await;
    assert_eq!(caller(&usual, &key, padded(5000)).await, tom());
    refused(&caller(&usual, &key, padded(7000)).await, "the token is longer than 8 KiB");
    let generous = signer(&key, "[limits]\nmax_token_size = \"24KiB\"").await;
    assert_eq!(caller(&generous, &key, padded(15_000)).await, tom());
    refused(&caller(&generous, &key, padded(20_000)).await, "the token is longer than 24 KiB");
}

#[tokio::test]
async fn the_answer_about_a_signed_out_user_can_have_a_status_of_its_own() {
    let backend = Server::start().await;
    let section = |more: &str| {
        format!(
            "[[authenticators]]\nname = \"session\"\ntype = \"introspection\"\ncaller = \"user\"\nurl = \"{}\"\ncache = \"0s\"\n\
             forward = {{ headers = [\"x-session\"] }}\nsubject = \"id\"\n{more}\n",
            backend.url("/me")
        )
    };
    let login = Reply::status("302 Found").with("location: /login");
    let (told, untold) =
        (Signer::start(&section("signed_out = [204, 302, 404, 419]")).await, Signer::start(&section("")).await);
    for reply in
        [login, Reply::status("404 Not Found"), Reply::status("419 Page Expired"), Reply::status("204 No Content")]
    {
        backend.set("/me", reply.clone());
        told.pass(SECOND * 2).await;
        assert_eq!(told.subject("x-session: fake\r\n").await, Err(401), "{reply:?}");
        assert_eq!(untold.subject("x-session: fake\r\n").await, Err(503), "{reply:?}");
    }
    for reply in
        [Reply::status("301 Moved Permanently"), Reply::status("410 Gone"), Reply::status("500 Internal Server Error")]
    {
        backend.set("/me", reply.clone());
        told.pass(SECOND * 2).await;
        assert_eq!(told.subject("x-session: fake\r\n").await, Err(503), "{reply:?}");
    }
    for body in ["false", " false\n", "null", "\u{feff}null"] {
        backend.set("/me", Reply::json(body));
        told.pass(SECOND * 2).await;
        assert_eq!(untold.subject("x-session: fake\r\n").await, Err(401), "{body}");
    }
    backend.set("/me", Reply::json("true"));
    assert_eq!(untold.subject("x-session: fake\r\n").await, Err(503));
}

#[tokio::test]
async fn plain_http_is_for_the_named_host_only() {
    let (issuer, key) = (Server::start().await, Key::new("one"));
    issuer.set(SET, Reply::json(set(&[&key])));
    // This address is not a loopback address, but leads to this machine.
    let url = |path: &str| format!("http://0.0.0.0:{}{path}", issuer.address.port());
    let keys =
        format!("issuer = \"https://id.example.com/\"\njwks = {{ url = \"{}\", plain_http = \"0.0.0.0\" }}", url(SET));
    let signer = Signer::start(&jwt("app-users", &keys)).await;
    assert_eq!(signer.subject(&key.bearer("https://id.example.com/", "tom")).await, Ok("tom".to_owned()));
    // Metadata cannot name another host without TLS.
    let iss = url("");
    let keys = format!("issuer = \"{iss}\"\njwks = {{ discovery = true, plain_http = \"0.0.0.0\" }}");
    for (location, result) in [(url(SET), Ok("tom".to_owned())), (format!("http://127.0.0.1:1{SET}"), Err(503))] {
        issuer.set("/.well-known/openid-configuration", Reply::json(json!({"issuer": iss, "jwks_uri": location})));
        let signer = Signer::start(&jwt("app-users", &keys)).await;
        assert_eq!(signer.subject(&key.bearer(&iss, "tom")).await, result, "{location}");
        assert_eq!(signer.log().contains("`jwks_uri` must be an https URL"), result.is_err());
    }
}

/// A proxy that leads every tunnel to this server. Returns its address and the first lines of the requests.
async fn proxy_to(server: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, asked) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let lines = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(client.read_u8().await.unwrap());
            }
            lines.lock().unwrap().push(String::from_utf8(head).unwrap().lines().next().unwrap().to_owned());
            let mut server = TcpStream::connect(server).await.unwrap();
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
            tokio::spawn(async move { drop(copy_bidirectional(&mut client, &mut server).await) });
        }
    });
    (address, asked)
}

#[tokio::test]
async fn requests_with_tls_go_through_the_configured_proxy() {
    let (authority, key) = (Authority::new(), Key::new("one"));
    // This address is not a loopback address, but leads to this machine.
    for (host, no_proxy, is_used) in [
        ("id.example.com", "", true),
        ("id.example.com", "no_proxy = [\"other.example.com\", \"10.0.0.0/8\"]", true),
        ("0.0.0.0", "no_proxy = [\"0.0.0.0/32\"]", false),
        ("127.0.0.1", "", false),
    ] {
        let issuer = Server::with(Some(authority.acceptor_for(host))).await;
        issuer.set(SET, Reply::json(set(&[&key])));
        let (proxy, asked) = proxy_to(issuer.address).await;
        let directory = directory();
        fs::write(directory.join("ca.crt"), authority.pem()).unwrap();
        let port = issuer.address.port();
        let section = format!(
            "[proxy]\nhttps = \"http://{proxy}\"\n{no_proxy}\n\n{}",
            jwt(
                "app-users",
                &format!(
                    "issuer = \"https://id.example.com/\"\njwks = {{ url = \"https://{host}:{port}{SET}\", ca = \"ca.crt\" }}"
                )
            )
        );
        let signer = Signer::start_in(directory, &section).await;
        let bearer = key.bearer("https://id.example.com/", "tom");
        assert_eq!(signer.subject(&bearer).await, Ok("tom".to_owned()), "{host}: {}", signer.log());
        let expected = if is_used { vec![format!("CONNECT {host}:{port} HTTP/1.1")] } else { Vec::new() };
        assert_eq!(*asked.lock().unwrap(), expected, "{no_proxy}");
    }
}
