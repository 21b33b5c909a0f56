//! The claims of a token with a valid signature.

use super::*;

const EXP: &str = "the token expired";

fn outcome(changes: Value) -> String {
    outcome_with(jwt(), changes)
}

/// Returns the subject, or the error.
fn outcome_with(jwt: Jwt, changes: Value) -> String {
    identify_token(jwt, &token(changes)).map_or_else(|refusal| refusal.public_message(), |caller| caller.subject)
}

#[test]
fn expiry_counts_to_the_millisecond_with_leeway() {
    let now = NOW.seconds();
    // The leeway is 30 s. At the moment of expiry the token is already expired (RFC 7519, section 4.1.4).
    assert_eq!(outcome(json!({"exp": now - 29})), "tom");
    assert_eq!(outcome(json!({"exp": now - 30})), "the token expired 30 s ago");
    assert_eq!(outcome(json!({"exp": now - 37})), "the token expired 37 s ago");
    assert_eq!(outcome(json!({"exp": 1_799_999_970.5})), "tom");
    assert_eq!(outcome(json!({"exp": 1_799_999_969.5})), "the token expired 30 s ago");
    assert_eq!(outcome(json!({"exp": 0})), "the token expired 1800000000 s ago");
    assert_eq!(outcome(json!({"exp": 253_402_300_799_u64})), "tom");
    let strict = || Jwt { leeway_seconds: 0, ..jwt() };
    assert_eq!(outcome_with(strict(), json!({"exp": now + 1})), "tom");
    assert_eq!(outcome_with(strict(), json!({"exp": now})), "the token expired 0 s ago");
    assert_eq!(outcome_with(Jwt { leeway_seconds: u64::MAX, ..jwt() }, json!({"exp": 1})), "tom");
    assert_eq!(outcome(json!({"exp": "(none)"})), "the token must have an expiry (exp)");
}

#[test]
fn what_begins_in_the_future_waits() {
    let now = NOW.seconds();
    for name in ["nbf", "iat"] {
        assert_eq!(outcome(json!({name: 0})), "tom");
        assert_eq!(outcome(json!({name: now + 30})), "tom");
        assert_eq!(outcome(json!({name: 1_800_000_030.0})), "tom");
    }
    assert_eq!(outcome(json!({"nbf": now + 31})), "the token is not valid yet (nbf): in 31 s");
    assert_eq!(outcome(json!({"nbf": 1_800_000_030.5})), "the token is not valid yet (nbf): in 31 s");
    let expected = "the token was issued 31 s in the future (iat): check the issuer's clock";
    assert_eq!(outcome(json!({"iat": now + 31})), expected);
}

#[test]
fn a_date_in_milliseconds_is_refused_as_such() {
    for name in ["exp", "nbf", "iat"] {
        for value in [json!(NOW.0), json!(NOW.0 + 60_000), json!(253_402_300_800_u64), json!(1.8e12), json!(u64::MAX)] {
            let expected = format!(
                "the token's `{name}` is later than the year 9999: it must be in seconds since 1970, not in milliseconds"
            );
            assert_eq!(outcome(json!({ name: value })), expected, "{value}");
        }
    }
}

#[test]
fn a_token_is_no_older_than_it_may_be() {
    let young = |changes| {
        let rules = TokenRules { max_age: Some(std::time::Duration::from_secs(600)), ..TokenRules::default() };
        outcome_with(Jwt { rules, ..jwt() }, changes)
    };
    let now = NOW.seconds();
    assert_eq!(young(json!({"iat": now - 629})), "tom");
    let old = "the token was issued 630 s ago (iat), but the limit is 600 s (max_token_age)";
    assert_eq!(young(json!({"iat": now - 630})), old);
    assert_eq!(outcome(json!({"iat": now - 630})), "tom", "without the setting any age will do");
    let missing = "the token must say when it was issued (iat), because its age is limited (max_token_age)";
    assert_eq!(young(json!({})), missing);
    assert!(young(json!({"iat": now - 60, "exp": now - 60})).starts_with(EXP), "it must not have expired either");
}

#[test]
fn a_token_ends_when_it_expires_or_becomes_too_old() {
    let end = |max_age: Option<u64>, changes: Value| {
        let rules = TokenRules { max_age: max_age.map(std::time::Duration::from_secs), ..TokenRules::default() };
        let caller = identify_token(Jwt { rules: rules.clone(), ..jwt() }, &token(changes)).unwrap();
        let authenticators = Authenticators::new(vec![Authenticator::Jwt(Jwt { rules, ..jwt() })]);
        authenticators.token_end(&caller).unwrap().seconds() - NOW.seconds()
    };
    let now = NOW.seconds();
    assert_eq!(end(None, json!({"iat": now - 20})), 60);
    assert_eq!(end(Some(50), json!({"iat": now - 20})), 30);
    assert_eq!(end(Some(600), json!({"iat": now - 20})), 60);
    assert_eq!(end(None, json!({"exp": 1_800_000_045.5})), 45);
}

#[test]
fn types_that_are_configured_are_accepted_besides() {
    let typed = |jwt: Jwt, typ: &str| {
        let header = merge(header(Algorithm::HS256), json!({ "typ": typ }));
        identify_token(jwt, &SHARED.token(Algorithm::HS256, &header, &claims(json!({})))).is_ok()
    };
    let with = || Jwt { accepted_types: vec!["chat+jwt".to_owned()], ..jwt() };
    for typ in ["chat+jwt", "application/chat+jwt", "Chat+JWT", "JWT", "at+jwt"] {
        assert!(typed(with(), typ), "{typ}");
    }
    assert!(!typed(jwt(), "chat+jwt"));
    assert!(!typed(with(), "logout+jwt"));
}

#[test]
fn an_address_that_is_not_verified_names_nobody() {
    let by_email = || jwt_by("email");
    let email =
        |verified: Value| outcome_with(by_email(), json!({"email": "a@example.com", "email_verified": verified}));
    for verified in [json!(true), json!("true"), json!("(none)")] {
        assert_eq!(email(verified), "a@example.com");
    }
    for verified in [json!(false), json!("false"), json!(0)] {
        assert_eq!(email(verified), "the caller's address is not verified (`email_verified`)");
    }
    let nested = json!({"user": {"email": "a@example.com", "email_verified": false}});
    let refusal = outcome_with(jwt_by("/user/email"), nested);
    assert_eq!(refusal, "the caller's address is not verified (`/user/email_verified`)");
    assert_eq!(outcome(json!({"email": "a@example.com", "email_verified": false})), "tom", "it is not the subject");
}

#[test]
fn a_setting_accepts_bound_tokens_from_anyone() {
    let accepting = || Jwt { rules: TokenRules { accept_bound: true, ..TokenRules::default() }, ..jwt() };
    for cnf in [json!({"jkt": "x"}), json!({"x5t#S256": "x"})] {
        assert_eq!(outcome_with(accepting(), json!({ "cnf": cnf })), "tom");
        assert_ne!(outcome(json!({ "cnf": cnf })), "tom");
    }
}

#[test]
fn dates_are_numbers_of_seconds() {
    for name in ["exp", "nbf", "iat"] {
        let bad = [json!("1800000060"), json!(true), json!([1]), json!({}), json!(-1), json!(-0.5), json!(1e300)];
        for value in bad {
            let expected = format!("the token's `{name}` must be a number of seconds since 1970");
            assert_eq!(outcome(json!({name: value})), expected, "{name}: {value}");
        }
    }
    assert_eq!(outcome(json!({"nbf": null, "iat": null})), "tom");
    assert_eq!(outcome(json!({"exp": null})), "the token must have an expiry (exp)");
    assert!(outcome(json!({"exp": -0.0})).starts_with(EXP));
    assert!(outcome(json!({"exp": 1e-9})).starts_with(EXP));
}

#[test]
fn the_issuer_must_match_to_the_letter() {
    let unknown = "the token's issuer (iss) is not known here";
    for issuer in ["https://id.example.com", "https://ID.example.com/", "https://id.example.com/ ", ""] {
        assert_eq!(outcome(json!({ "iss": issuer })), unknown, "{issuer}");
    }
    for issuer in [json!("(none)"), json!(null), json!([ISSUER]), json!(1)] {
        assert_eq!(outcome(json!({ "iss": issuer })), "the token must name its issuer (iss), as a string");
    }
}

#[test]
fn one_audience_must_match_to_the_letter() {
    let two = || Jwt { audience: audience(&["chat", "talk"]), ..jwt() };
    for audience in [json!("chat"), json!("talk"), json!(["shop", "talk"]), json!(["chat", "chat"])] {
        assert_eq!(outcome_with(two(), json!({ "aud": audience })), "tom", "{audience}");
    }
    for audience in [json!("shop"), json!("Chat"), json!("chat "), json!(""), json!([]), json!(["shop"])] {
        assert_eq!(
            outcome_with(two(), json!({ "aud": audience })),
            "the token is for another audience (aud)",
            "{audience}"
        );
    }
    let malformed = "the token must name its audience (aud), as a string or a list of strings";
    for audience in [json!("(none)"), json!(null), json!(1), json!({"chat": 1}), json!(["chat", 1]), json!([["chat"]])]
    {
        assert_eq!(outcome_with(two(), json!({ "aud": audience })), malformed, "{audience}");
    }
    assert_eq!(
        outcome_with(Jwt { audience: audience(&[]), ..jwt() }, json!({})),
        "the token is for another audience (aud)"
    );
}

#[test]
fn the_subject_is_an_identifier() {
    let cases = [
        (json!("Alice Smith"), "Alice Smith"),
        (json!("(none)"), "the token must name its subject, as a string"),
        (json!(null), "the token must name its subject, as a string"),
        (json!(17), "the token must name its subject, as a string"),
        (json!(["tom"]), "the token must name its subject, as a string"),
        (json!(""), "the token's subject must not be empty"),
        (json!("*"), "the token's subject must not be `*`"),
        (json!(" tom"), "the token's subject must not begin or end with white space"),
        (json!("to\nm"), "the token's subject must not hold control characters (found U+000A at character 3)"),
        (json!("t".repeat(256)), "the token's subject must have at most 255 characters, not 256"),
    ];
    for (subject, expected) in cases {
        assert_eq!(outcome(json!({ "sub": subject })), expected);
    }
}

#[test]
fn the_prefix_stands_before_the_subject() {
    let prefixed = || jwt_prefixed("partner:");
    assert_eq!(outcome_with(prefixed(), json!({})), "partner:tom");
    assert_eq!(outcome_with(prefixed(), json!({"sub": "*"})), "the token's subject must not be `*`");
    assert_eq!(outcome_with(prefixed(), json!({"sub": ""})), "the token's subject must not be empty");
    assert_eq!(
        outcome_with(prefixed(), json!({"sub": " tom"})),
        "the token's subject must not begin or end with white space"
    );
    let long = "t".repeat(248);
    let expected = "the token's subject must have at most 255 characters, not 256";
    assert_eq!(outcome_with(prefixed(), json!({ "sub": long })), expected);
    assert_eq!(outcome_with(jwt_prefixed("*"), json!({"sub": ""})), "the token's subject must not be empty");
}

#[test]
fn the_subject_may_be_any_claim() {
    let claims = json!({"user": {"id": "ann"}, "https://example.com/id": "bob", "a/b": "eve"});
    for (name, expected) in [("/user/id", "ann"), ("https://example.com/id", "bob"), ("a/b", "eve"), ("/a~1b", "eve")] {
        assert_eq!(outcome_with(jwt_by(name), claims.clone()), expected);
    }
    let missing = identify_token(jwt_by("/user/name"), &token(claims)).unwrap_err();
    assert_eq!(
        missing.log_message(),
        "the token must name its subject, as a string: it is read from the claim `/user/name`"
    );
}

/// Returns the bindings of the caller, as text, or the error.
fn bindings(jwt: Jwt, changes: Value) -> Result<Vec<String>, String> {
    let role_hierarchy = jwt.identity.roles.role_hierarchy.clone();
    let caller = identify_token(jwt, &token(changes)).map_err(|refusal| refusal.public_message())?;
    Ok(caller.bindings.iter().map(|(scope, role)| format!("{scope}={}", role_hierarchy.name(*role))).collect())
}

#[test]
fn roles_are_a_list_or_words() {
    let cases = [
        (json!(["moderator", "guest"]), vec!["*=moderator"]),
        (json!("guest \t member\n"), vec!["*=member"]),
        (json!("guest,member"), vec![]),
        (json!(["Guest", "guest ", "", "boss", 1, null, ["guest"]]), vec![]),
        (json!(["owner", "member"]), vec!["*=member"]),
        (json!([]), vec![]),
        (json!("(none)"), vec![]),
        (json!(null), vec![]),
    ];
    for (roles, expected) in cases {
        assert_eq!(bindings(jwt(), json!({ "roles": roles })).unwrap(), expected, "{roles}");
    }
    for roles in [json!(1), json!(true), json!({"guest": true})] {
        let refusal = bindings(jwt(), json!({ "roles": roles })).unwrap_err();
        assert_eq!(refusal, "the caller's roles must be a list of strings or words in one string");
    }
}

#[test]
fn bindings_are_scopes_and_words() {
    let given = json!({"helpdesk": "moderator", "chat:*": "guest", "*": "member", "top": "owner", "x*": "guest", "": "guest",
        "y": "boss", "z": 1, ":*": "guest"});
    let expected = ["helpdesk=moderator", "chat:*=guest", "*=member"];
    assert_eq!(bindings(jwt(), json!({"chat": {"bindings": given}})).unwrap(), expected);
    assert_eq!(bindings(jwt(), json!({"chat": {}})).unwrap(), [""; 0]);
    assert_eq!(bindings(jwt(), json!({"chat": {"bindings": null}})).unwrap(), [""; 0]);
    let both = json!({"roles": "guest", "chat": {"bindings": {"a": "member"}}});
    assert_eq!(bindings(jwt(), both).unwrap(), ["a=member", "*=guest"]);
    for given in [json!([]), json!("guest"), json!(7)] {
        let refusal = bindings(jwt(), json!({"chat": {"bindings": given}})).unwrap_err();
        assert_eq!(refusal, "the caller's bindings must be an object of pattern and role");
    }
}

#[test]
fn max_role_bounds_what_a_token_can_claim() {
    let claims = || json!({"roles": ["guest", "member", "moderator", "owner"], "chat": {"bindings": {"a": "owner", "b": "guest"}}});
    let with = |max_role| jwt_with_roles(RoleMapping { max_role, ..roles() });
    assert_eq!(bindings(with(None), claims()).unwrap(), [""; 0]);
    assert_eq!(bindings(with(Some(Role(0))), claims()).unwrap(), ["b=guest", "*=guest"]);
    assert_eq!(bindings(with(Some(Role(1))), claims()).unwrap(), ["b=guest", "*=member"]);
    assert_eq!(bindings(with(Some(Role(3))), claims()).unwrap(), ["a=owner", "b=guest", "*=owner"]);
    // Without `max_role` the claims are ignored, so their form is not checked.
    assert_eq!(bindings(with(None), json!({"roles": 1})).unwrap(), [""; 0]);
    let unread = jwt_with_roles(RoleMapping { roles: None, bindings: None, ..roles() });
    assert_eq!(bindings(unread, claims()).unwrap(), [""; 0]);
}

#[test]
fn a_scope_has_one_role_however_often_it_is_claimed() {
    let roles = ["guest", "moderator", "member"].repeat(150);
    let given = json!({"*": "member", "r::$chat": "guest", "r::$chat::$typing": "member", "r": "guest"});
    let claims = json!({"roles": roles, "chat": {"bindings": given}});
    assert_eq!(bindings(jwt(), claims).unwrap(), ["r=member", "*=moderator"]);
}

#[test]
fn a_token_has_roles_in_few_scopes() {
    let claims = |count: usize| {
        let scopes: serde_json::Map<_, _> = (0..count).map(|index| (format!("c{index}"), json!("guest"))).collect();
        json!({"roles": "member", "chat": {"bindings": scopes}})
    };
    assert_eq!(bindings(jwt(), claims(63)).unwrap().len(), 64);
    let refusal = "the caller must not have roles in more than 64 different scopes";
    assert_eq!(bindings(jwt(), claims(64)).unwrap_err(), refusal);
    // Ignored roles are not counted.
    assert_eq!(bindings(jwt_with_roles(RoleMapping { max_role: None, ..roles() }), claims(100)).unwrap(), [""; 0]);
}
