//! Invalid tokens. None may authenticate, and none may cause a panic.

use proptest::prelude::*;

use super::*;

#[test]
fn a_good_token_names_its_caller() {
    let caller = identify_token(jwt(), &token(json!({"tenant": "acme"}))).unwrap();
    assert_eq!(caller.subject, "tom");
    assert_eq!(caller.kind, CallerKind::User);
    assert_eq!(&*caller.authenticator, "app-users");
    assert_eq!(caller.claim("tenant"), Some(&json!("acme")));
    assert_eq!(caller.bindings, []);
}

#[test]
fn malformed_tokens_are_refused_by_name() {
    let (good, header64) = (token(json!({})), crypto::base64url(header(Algorithm::HS256).to_string().as_bytes()));
    let (message, signature) = good.rsplit_once('.').unwrap();
    let three = "the token must have three parts, divided by dots";
    let cases = [
        (String::new(), three),
        (".".to_owned(), three),
        ("a.b".to_owned(), three),
        (message.to_owned(), three),
        (format!("{good}.e30"), three),
        ("a.b.c.d.e".to_owned(), three),
        ("..".to_owned(), "the token's header is not a JSON object, each member once"),
        (format!("{header64}=.e30.x"), "the token's header is not base64url without padding"),
        (format!("{header64} .e30.x"), "the token's header is not base64url without padding"),
        (format!("{header64}.e30=.x"), "the token's payload is not base64url without padding"),
        (format!("{header64}.e31.x"), "the token's payload is not base64url without padding"),
        (format!("{header64}..x"), "the token's payload is not a JSON object, each member once"),
        (format!("{header64}.W10.x"), "the token's payload is not a JSON object, each member once"),
        (format!("{header64}.e30.x"), "the token must name its issuer (iss), as a string"),
        (format!("{message}."), "the token's signature does not hold"),
        (format!("{message}.{signature}="), "the token's signature does not hold"),
        (format!("{message}.{}", &signature[1..]), "the token's signature does not hold"),
        (format!("{message}.!{}", &signature[1..]), "the token's signature does not hold"),
    ];
    for (token, expected) in cases {
        assert_eq!(error_message(jwt(), &token), expected, "{token}");
    }
}

#[test]
fn bad_json_is_refused_although_the_signature_holds() {
    let header = header(Algorithm::HS256).to_string();
    let claims = claims(json!({})).to_string();
    let nested = format!("{}1{}", "[".repeat(3000), "]".repeat(3000));
    let payloads = [
        claims.replace('}', r#","sub":"bob"}"#),
        claims.replace('}', r#","x":{"a":1,"a":2}}"#),
        claims.replace('}', r#","\u0073ub":"bob"}"#),
        claims.replace('}', &format!(r#","x":{nested}}}"#)),
        claims.replace('}', r#","x":1e999}"#),
        claims.replace('}', ",}"),
        format!("{claims}{claims}"),
        format!("\u{feff}{claims}"),
        "null".to_owned(),
        "\"text\"".to_owned(),
    ];
    for payload in payloads {
        let token = SHARED.sign_text(Algorithm::HS256, &header, &payload);
        assert_eq!(
            error_message(jwt(), &token),
            "the token's payload is not a JSON object, each member once",
            "{payload}"
        );
    }
    for bad in [r#"{"alg":"HS256","alg":"HS256"}"#, r#"{"alg":"none","\u0061lg":"HS256"}"#, "[]", ""] {
        let token = SHARED.sign_text(Algorithm::HS256, bad, &claims);
        assert_eq!(error_message(jwt(), &token), "the token's header is not a JSON object, each member once", "{bad}");
    }
}

#[test]
fn no_spelling_of_none_is_an_algorithm() {
    let unknown = "the token's algorithm (alg) is not accepted";
    for alg in ["none", "None", "NONE", "nOnE", "", " ", "hs256", "HS256 ", "HS512", "RS256", "HS256\u{0}", "dir"] {
        let full = SHARED.token(Algorithm::HS256, &json!({"alg": alg}), &claims(json!({})));
        let (message, _) = full.rsplit_once('.').unwrap();
        for token in [format!("{message}."), full.clone()] {
            assert_eq!(error_message(jwt(), &token), unknown, "{alg:?}");
        }
    }
    for alg in [json!("(none)"), json!(null), json!(["HS256"]), json!({"HS256": 1}), json!(256), json!(true)] {
        let header = merge(header(Algorithm::HS256), json!({ "alg": alg }));
        let token = SHARED.token(Algorithm::HS256, &header, &claims(json!({})));
        assert_eq!(error_message(jwt(), &token), "the token must name its algorithm (alg), as a string");
    }
}

#[test]
fn critical_extensions_are_refused() {
    for crit in [json!(["exp"]), json!(["b64"]), json!([]), json!(null), json!("x")] {
        let header = merge(header(Algorithm::HS256), json!({"crit": crit, "b64": true}));
        let token = SHARED.token(Algorithm::HS256, &header, &claims(json!({})));
        let expected = "the token's header names extensions (crit), and none is supported";
        assert_eq!(error_message(jwt(), &token), expected);
    }
}

#[test]
fn a_key_that_comes_with_the_token_is_not_used() {
    let more = [json!({"jwk": OTHER_RSA.jwk}), json!({"jku": "https://evil.example/"}), json!({"x5c": ["AA"]})];
    for more in more {
        let keys =
            VerificationKeys::from_jwks_file(jwks(&[RSA.jwk(json!({}))]).as_bytes(), &[Algorithm::RS256]).unwrap();
        let header = merge(header(Algorithm::RS256), more);
        let token = OTHER_RSA.token(Algorithm::RS256, &header, &claims(json!({})));
        assert_eq!(
            error_message(jwt_with(keys, vec![Algorithm::RS256]), &token),
            "the token's signature does not hold"
        );
    }
}

#[test]
fn tokens_over_8_kib_are_not_looked_at() {
    let of_length = |length: usize| {
        let padded = |filler: usize| token(json!({"x": "y".repeat(filler)}));
        let shortest = padded(0).len();
        (0..4).map(|more| padded((length - shortest) * 3 / 4 + more)).find(|token| token.len() == length)
    };
    let fits = of_length(8192).or_else(|| of_length(8191)).unwrap();
    assert!(identify_token(jwt(), &fits).is_ok());
    let too_long = of_length(8193).or_else(|| of_length(8194)).unwrap();
    assert_eq!(error_message(jwt(), &too_long), "the token is longer than 8 KiB");
    assert_eq!(error_message(jwt(), &"a".repeat(8193)), "the token is longer than 8 KiB");
}

#[test]
fn errors_contain_only_an_escaped_name_of_the_token() {
    let issuer = format!("https://evil.example/\n{}", "x".repeat(5000));
    let bad = token(json!({ "iss": issuer }));
    let refusal = identify_token(jwt(), &bad).unwrap_err();
    assert_eq!(refusal.public_message(), "the token's issuer (iss) is not known here");
    assert!(refusal.log_message().contains(r"evil.example/\nxxx"), "{}", refusal.log_message());
    assert!(refusal.log_message().chars().count() < 200);
    assert_eq!(refusal.authenticator(), None);

    let forged = format!("{}x", token(json!({})));
    let refusal = identify_token(jwt(), &forged).unwrap_err();
    assert_eq!(refusal.authenticator().map(|name| &**name), Some("app-users"));
    let shown = format!("{refusal:?} {} {}", refusal.public_message(), refusal.log_message());
    assert!(forged.split('.').all(|part| !shown.contains(part)), "{shown}");
}

proptest! {
    #[test]
    fn random_headers_never_authenticate(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let value = [b"Bearer ".as_slice(), &bytes].concat();
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value);
            let authenticators = Authenticators::new(vec![Authenticator::Jwt(jwt())]);
            prop_assert!(authenticators.identify(&RequestCredentials::from_headers(&headers), "ably", NOW).is_err());
        }
    }

    #[test]
    fn random_json_under_a_good_signature_never_panics(header in "\\PC{0,40}", payload in "\\PC{0,80}") {
        let token = SHARED.sign_text(Algorithm::HS256, &header, &payload);
        prop_assert!(identify_token(jwt(), &token).is_err());
    }

    #[test]
    fn random_claims_never_panic(name in "iss|aud|sub|exp|nbf|iat|roles|chat", text in "[-0-9.eE\"\\[\\]{}:a-z*, ]{0,20}") {
        let claims = claims(json!({})).to_string().replacen('{', &format!("{{\"{name}\":{text},"), 1);
        let token = SHARED.sign_text(Algorithm::HS256, &header(Algorithm::HS256).to_string(), &claims);
        let _ = identify_token(jwt(), &token);
    }

    /// A token has exactly one valid spelling. After any change, removal or insertion it is invalid.
    #[test]
    fn a_changed_token_never_authenticates(place in any::<prop::sample::Index>(), change in 0..3, byte in b' '..=b'~') {
        let good = token(json!({}));
        let place = place.index(good.len());
        let mut bytes = good.clone().into_bytes();
        match change {
            0 => bytes[place] = byte,
            1 => { bytes.remove(place); }
            _ => bytes.insert(place, byte),
        }
        let changed = String::from_utf8(bytes).unwrap();
        // White space around the token belongs to the header and not to the token.
        prop_assume!(changed.trim_matches(' ') != good);
        prop_assert!(identify_token(jwt(), &changed).is_err(), "{}", changed);
    }
}
