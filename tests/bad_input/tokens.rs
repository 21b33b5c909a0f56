//! Callers' tokens.

use serde_json::{Value, json};

use crate::abuse::request::post;
use crate::abuse::token::{claims, hmac, hs256, now, pem, rs256, rsa, sign, sign_text};
use crate::case::{self, Case, ISSUER, PARTNER, SECRET, unauthenticated};

const LOGIN: &str = "/v1/leancloud/login";

/// Presents a token.
fn case(name: &str, token: &str, says: &str) -> Case {
    unauthenticated(name, post(LOGIN, token, "{}"), says)
}

/// Good claims but for these.
fn but(more: &Value) -> Value {
    claims(ISSUER, "chat", "tom", more)
}

/// A token of good claims but for these, well signed.
fn saying(name: &str, more: &Value, says: &str) -> Case {
    case(name, &hs256(SECRET, &but(more)), says)
}

/// A token with this header, well signed.
fn headed(name: &str, header: &Value, says: &str) -> Case {
    case(name, &sign(header, &but(&json!({})), hmac(SECRET)), says)
}

#[test]
fn the_algorithm_is_ours_to_choose() {
    let not_accepted = "the token's algorithm (alg) is not accepted";
    let unsigned = |alg: &str| sign(&json!({"alg": alg}), &but(&json!({})), |_| Vec::new());
    let partner = claims(PARTNER, "chat", "tom", &json!({}));
    let attackers_key =
        json!({"alg": "HS256", "jwk": {"kty": "oct", "k": "ZmFrZQ"}, "jku": "https://evil.example/keys"});
    let cases = [
        case("none", &unsigned("none"), not_accepted),
        case("None", &unsigned("None"), not_accepted),
        case("nOnE", &unsigned("nOnE"), not_accepted),
        headed("none with a signature", &json!({"alg": "none"}), not_accepted),
        headed("an empty one", &json!({"alg": ""}), not_accepted),
        headed("none at all", &json!({}), "must name its algorithm"),
        headed("a list", &json!({"alg": ["HS256"]}), "must name its algorithm"),
        headed("one that is not listed", &json!({"alg": "HS512"}), not_accepted),
        headed("one in lower case", &json!({"alg": "hs256"}), not_accepted),
        headed("a public key's", &json!({"alg": "RS256"}), not_accepted),
        case(
            "a public key as a shared secret",
            &sign(&json!({"alg": "HS256"}), &partner, hmac(pem().as_bytes())),
            not_accepted,
        ),
        case(
            "a public key as a shared secret, trimmed",
            &sign(&json!({"alg": "HS256"}), &partner, hmac(pem().trim_end().as_bytes())),
            not_accepted,
        ),
        case("another padding of the same key", &sign(&json!({"alg": "PS256"}), &partner, rsa), not_accepted),
        case("a key that it brings itself", &sign(&attackers_key, &but(&json!({})), hmac(b"fake")), "does not hold"),
    ];
    case::check(&cases);
}

#[test]
fn the_signature_is_the_issuers() {
    let broken = "the token's signature does not hold";
    let good = hs256(SECRET, &but(&json!({})));
    let (message, signature) = good.rsplit_once('.').unwrap();
    let other = hs256(SECRET, &but(&json!({"sub": "alice"})));
    let cases = [
        case("another secret", &hs256(b"another-fake-secret-0123456789abcdef", &but(&json!({}))), broken),
        case("an empty secret", &hs256(b"", &but(&json!({}))), broken),
        case("keys swapped, one way", &hs256(SECRET, &claims(PARTNER, "chat", "tom", &json!({}))), "not accepted"),
        case("keys swapped, the other way", &rs256(&but(&json!({}))), "not accepted"),
        case(
            "an RSA signature of zeros",
            &sign(&json!({"alg": "RS256"}), &claims(PARTNER, "chat", "tom", &json!({})), |_| vec![0; 256]),
            broken,
        ),
        case("no signature", &format!("{message}."), broken),
        case("a cut signature", &format!("{message}.{}", &signature[..22]), broken),
        case("a longer signature", &format!("{message}.{signature}AAAA"), broken),
        case("another token's signature", &format!("{message}.{}", other.rsplit_once('.').unwrap().1), broken),
        case("a padded signature", &format!("{good}="), broken),
        case("a signature that is no Base64", &format!("{message}.!!!"), broken),
    ];
    case::check(&cases);
}

#[test]
fn a_token_counts_in_its_time() {
    let number = "must be a number of seconds since 1970";
    let cases = [
        saying("expired", &json!({"exp": now() - 60}), "the token expired 6"),
        saying("expired long ago", &json!({"exp": 0}), "the token expired"),
        saying("no expiry", &json!({"exp": null}), "must have an expiry (exp)"),
        saying("an expiry in words", &json!({"exp": "tomorrow"}), number),
        saying("an expiry in digits", &json!({"exp": (now() + 60).to_string()}), number),
        saying("an expiry before 1970", &json!({"exp": -1}), number),
        saying("a list of expiries", &json!({"exp": [now() + 60]}), number),
        saying("not yet valid", &json!({"nbf": now() + 600}), "not valid yet (nbf)"),
        saying("from the future", &json!({"iat": now() + 600}), "in the future (iat)"),
        saying("from an unknown time", &json!({"iat": true}), number),
        saying("expiring in the ages", &json!({"exp": u64::MAX, "nbf": u64::MAX}), "not valid yet (nbf)"),
    ];
    case::check(&cases);
}

#[test]
fn a_token_is_from_whom_and_for_whom_it_should_be() {
    let issuer = "issuer (iss) is not known here";
    let audience = "for another audience (aud)";
    let cases = [
        saying("an unknown issuer", &json!({"iss": "https://evil.example/"}), issuer),
        saying("an issuer without its slash", &json!({"iss": "https://id.example.com"}), issuer),
        saying("an issuer in capitals", &json!({"iss": "HTTPS://ID.EXAMPLE.COM/"}), issuer),
        saying("no issuer", &json!({"iss": null}), "must name its issuer"),
        saying("two issuers", &json!({"iss": [ISSUER, PARTNER]}), "must name its issuer"),
        saying("another audience", &json!({"aud": "shop"}), audience),
        saying("an audience that begins so", &json!({"aud": "chat2"}), audience),
        saying("other audiences", &json!({"aud": ["shop", "mail"]}), audience),
        saying("no audience", &json!({"aud": null}), "must name its audience"),
        saying("an empty list of audiences", &json!({"aud": []}), "audience"),
        saying("a number among the audiences", &json!({"aud": ["chat", 1]}), "must name its audience"),
        saying("an object of audiences", &json!({"aud": {"chat": true}}), "must name its audience"),
        unauthenticated(
            "an app that the issuer is not for",
            post("/v1/talkjs/token", &rs256(&claims(PARTNER, "chat", "tom", &json!({}))), "{}"),
            "not accepted for this app",
        ),
    ];
    case::check(&cases);
}

#[test]
fn a_token_names_one_subject() {
    let cases = [
        saying("nobody", &json!({"sub": null}), "must name its subject"),
        saying("a number", &json!({"sub": 42}), "must name its subject"),
        saying("a list", &json!({"sub": ["tom"]}), "must name its subject"),
        saying("an empty name", &json!({"sub": ""}), "subject must not be empty"),
        saying("everybody", &json!({"sub": "*"}), "subject must not be `*`"),
        saying("two lines", &json!({"sub": "tom\nalice"}), "subject must not hold control characters"),
        saying("a padded name", &json!({"sub": "tom "}), "subject must not begin or end with white space"),
        saying("256 characters", &json!({"sub": "x".repeat(256)}), "subject must have at most 255 characters"),
        saying("roles that are a number", &json!({"roles": 1}), "roles must be a list of strings"),
        case(
            "a prefix that completes everybody",
            &rs256(&claims(PARTNER, "chat", "*", &json!({}))),
            "subject must not be `*`",
        ),
    ];
    case::check(&cases);
}

#[test]
fn a_token_has_its_form() {
    let good = but(&json!({}));
    let (header, payload) = (json!({"alg": "HS256"}).to_string(), good.to_string());
    let text = |header: &str, payload: &str| sign_text(header, payload, hmac(SECRET));
    let padded = format!("{}=.e30.AA", chat_signer::crypto::base64url(b"{}"));
    let twice = payload.replace("\"sub\":\"tom\"", "\"sub\":\"tom\",\"sub\":\"alice\"");
    let cases = [
        case("huge", &hs256(SECRET, &but(&json!({"pad": "x".repeat(9000)}))), "longer than 8 KiB"),
        case("one part", "abc", "three parts"),
        case("two parts", "abc.def", "three parts"),
        case("five parts, encrypted", "a.b.c.d.e", "three parts"),
        case("dots alone", "..", "the token's header is not"),
        case("a header that is no Base64", "!.e30.AA", "the token's header is not base64url"),
        case("a padded header", &padded, "the token's header is not base64url"),
        case("a header that is no JSON", &text("x", &payload), "the token's header is not a JSON object"),
        case("a header that is a list", &text("[]", &payload), "the token's header is not a JSON object"),
        case("a payload that is a list", &text(&header, "[]"), "the token's payload is not a JSON object"),
        case("a payload that is cut", &text(&header, &payload[..20]), "the token's payload is not a JSON object"),
        case("a claim twice", &text(&header, &twice), "the token's payload is not a JSON object, each member once"),
        case("an algorithm twice", &text(r#"{"alg":"HS256","alg":"none"}"#, &payload), "the token's header is not"),
        case("a nested payload", &text(&header, &"[".repeat(5000)), "the token's payload is not"),
        headed(
            "an unknown extension",
            &json!({"alg": "HS256", "crit": ["http://example.com/x"], "http://example.com/x": 1}),
            "extensions (crit)",
        ),
        headed("a known extension", &json!({"alg": "HS256", "crit": ["b64"], "b64": false}), "extensions (crit)"),
        headed("no extensions", &json!({"alg": "HS256", "crit": []}), "extensions (crit)"),
        headed("a key id that is a number", &json!({"alg": "HS256", "kid": 1}), "key id (kid) must be a string"),
    ];
    case::check(&cases);
}
