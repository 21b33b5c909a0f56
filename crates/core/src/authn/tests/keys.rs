//! Keys of all kinds, and valid and invalid signatures.

use super::*;

/// Returns the keys that verify this algorithm, from each kind of file that may hold them.
fn sources(algorithm: Algorithm) -> Vec<VerificationKeys> {
    let signer = Signer::for_algorithm(algorithm);
    if is_symmetric(algorithm) {
        return vec![VerificationKeys::from_secrets(&[Secret::new(SECRET.to_vec())], &[algorithm]).unwrap()];
    }
    vec![
        VerificationKeys::from_pem_file(signer.pem().as_bytes(), &[algorithm]).unwrap(),
        VerificationKeys::from_jwks_file(jwks(&[signer.jwk(json!({"kid": "k1"}))]).as_bytes(), &[algorithm]).unwrap(),
    ]
}

#[test]
fn every_algorithm_verifies_its_own_and_no_other() {
    for (word, algorithm) in ALGORITHMS {
        for (other_word, other) in ALGORITHMS {
            let token = Signer::for_algorithm(other).token(other, &header(algorithm), &claims(json!({})));
            for keys in sources(algorithm) {
                let result = identify_token(jwt_with(keys, vec![algorithm]), &token);
                assert_eq!(result.is_ok(), algorithm == other, "{word} token, signed by {other_word}: {result:?}");
            }
        }
    }
}

#[test]
fn the_algorithm_is_the_configurations_choice_never_the_tokens() {
    for (word, algorithm) in ALGORITHMS {
        for (_, other) in ALGORITHMS.into_iter().filter(|(_, other)| *other != algorithm) {
            let token = Signer::for_algorithm(algorithm).token(algorithm, &header(algorithm), &claims(json!({})));
            for keys in sources(other) {
                let message = error_message(jwt_with(keys, vec![other]), &token);
                assert_eq!(message, "the token's algorithm (alg) is not accepted", "{word}");
            }
        }
    }
}

#[test]
fn a_public_key_never_serves_as_a_shared_secret() {
    let public = [RSA.pem().into_bytes(), RSA.pem().trim_end().as_bytes().to_vec(), RSA.der.clone()];
    for secret in public {
        for named in [Algorithm::HS256, Algorithm::RS256] {
            let token = Signer::shared(&secret).token(Algorithm::HS256, &header(named), &claims(json!({})));
            for keys in sources(Algorithm::RS256) {
                assert!(identify_token(jwt_with(keys, vec![Algorithm::RS256]), &token).is_err());
            }
            // This must hold even without the checks of the configuration.
            for keys in sources(Algorithm::RS256) {
                assert!(identify_token(jwt_with(keys, vec![Algorithm::RS256, Algorithm::HS256]), &token).is_err());
            }
        }
    }
}

#[test]
fn symmetric_and_public_keys_never_stand_together() {
    let mixed = [Algorithm::RS256, Algorithm::HS256];
    let error = |result: Result<VerificationKeys, String>| result.unwrap_err();
    let secret = [Secret::new(SECRET.to_vec())];
    assert_eq!(
        error(VerificationKeys::from_secrets(&secret, &mixed)),
        "RS256 is verified with a public key, not with a shared secret"
    );
    let expected = "HS256 is verified with a shared secret, not with a public key";
    assert_eq!(error(VerificationKeys::from_pem_file(RSA.pem().as_bytes(), &mixed)), expected);
    assert_eq!(error(VerificationKeys::from_jwks_file(jwks(&[RSA.jwk(json!({}))]).as_bytes(), &mixed)), expected);
    assert_eq!(error(VerificationKeys::from_secrets(&secret, &[])), "there must be at least one algorithm");
}

/// The examples of RFC 7515, appendix A. Their signatures are valid, so only their claims are refused.
#[test]
fn the_rfc_7515_examples_verify() {
    const PAYLOAD: &str =
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let a1 = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let a1 = Secret::new(crypto::base64url_decode(a1).unwrap());
    let a2 = json!({"kty": "RSA", "e": "AQAB", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-\
        Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXnd\
        S5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8N\
        Aco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"});
    let a3 = json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"});
    let jwks_of = |jwk: &Value, algorithm| {
        VerificationKeys::from_jwks_file(jwks(std::slice::from_ref(jwk)).as_bytes(), &[algorithm])
    };
    let examples = [
        (
            Algorithm::HS256,
            VerificationKeys::from_secrets(&[a1], &[Algorithm::HS256]),
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9",
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        ),
        (
            Algorithm::RS256,
            jwks_of(&a2, Algorithm::RS256),
            "eyJhbGciOiJSUzI1NiJ9",
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t\
             1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12j\
             zDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQ\
             Ge77Rw",
        ),
        (
            Algorithm::ES256,
            jwks_of(&a3, Algorithm::ES256),
            "eyJhbGciOiJFUzI1NiJ9",
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
    ];
    for (algorithm, keys, header, signature) in examples {
        let jwt = Jwt { issuer: Issuer::Exact("joe".to_owned()), ..jwt_with(keys.unwrap(), vec![algorithm]) };
        let message = error_message(jwt, &format!("{header}.{PAYLOAD}.{signature}"));
        assert_eq!(message, "the token expired 499180620 s ago", "{algorithm:?}");
    }
}

#[test]
fn all_of_several_secrets_verify() {
    let secrets = [b'a', b'b', b'c'].map(|byte| Secret::new(vec![byte; 32]));
    for (byte, holds) in [(b'a', true), (b'b', true), (b'c', true), (b'd', false)] {
        let keys = VerificationKeys::from_secrets(&secrets, &[Algorithm::HS256]).unwrap();
        // A secret has no id to compare with the `kid`.
        let header = merge(header(Algorithm::HS256), json!({"kid": "any"}));
        let token = Signer::shared(&[byte; 32]).token(Algorithm::HS256, &header, &claims(json!({})));
        assert_eq!(identify_token(jwt_with(keys, vec![Algorithm::HS256]), &token).is_ok(), holds);
    }
}

#[test]
fn secrets_shorter_than_the_hash_are_refused() {
    for (algorithm, least) in [(Algorithm::HS256, 32), (Algorithm::HS384, 48), (Algorithm::HS512, 64)] {
        let secret = |length| [Secret::new(vec![7; 64]), Secret::new(vec![7; length])];
        assert!(VerificationKeys::from_secrets(&secret(least), &[algorithm]).is_ok());
        let error = VerificationKeys::from_secrets(&secret(least - 1), &[algorithm]).unwrap_err();
        assert_eq!(error, format!("secret 2 is too short: {algorithm:?} needs at least {least} bytes"));
    }
    let all = [Algorithm::HS256, Algorithm::HS512];
    assert!(VerificationKeys::from_secrets(&[Secret::new(vec![7; 63])], &all).unwrap_err().contains("HS512 needs"));
    assert_eq!(VerificationKeys::from_secrets(&[], &all).unwrap_err(), "there must be at least one secret");
}

#[test]
fn kid_picks_the_key_and_a_wrong_one_fails() {
    let file = jwks(&[
        RSA.jwk(json!({"kid": "old", "alg": "RS256"})),
        OTHER_RSA.jwk(json!({"kid": "new", "use": "sig", "key_ops": ["verify"]})),
        P256.jwk(json!({"kid": "ec"})),
        ED25519.jwk(json!({})),
    ]);
    let algorithms = [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA];
    let ok = "tom";
    let wrong = "the token's signature does not hold";
    let unknown = "the token's key (kid) is not known here";
    let unfit = "the token's key (kid) is not for its algorithm (alg)";
    let cases = [
        (&*RSA, Algorithm::RS256, json!("old"), ok),
        (&*OTHER_RSA, Algorithm::RS256, json!("new"), ok),
        (&*OTHER_RSA, Algorithm::PS256, json!("new"), ok),
        (&*P256, Algorithm::ES256, json!("ec"), ok),
        (&*RSA, Algorithm::RS256, json!("(none)"), ok),
        (&*OTHER_RSA, Algorithm::RS256, json!("(none)"), ok),
        (&*ED25519, Algorithm::EdDSA, json!("(none)"), ok),
        (&*RSA, Algorithm::RS256, json!("new"), wrong),
        (&*OTHER_RSA, Algorithm::RS256, json!("old"), wrong),
        (&*RSA, Algorithm::PS256, json!("(none)"), wrong),
        (&*RSA, Algorithm::RS256, json!("older"), unknown),
        (&*RSA, Algorithm::RS256, json!(""), unknown),
        (&*ED25519, Algorithm::EdDSA, json!("x"), unknown),
        (&*RSA, Algorithm::PS256, json!("old"), unfit),
        (&*P256, Algorithm::ES256, json!("new"), unfit),
        (&*RSA, Algorithm::RS256, json!(1), "the token's key id (kid) must be a string"),
    ];
    for (signer, algorithm, kid, expected) in cases {
        let keys = VerificationKeys::from_jwks_file(file.as_bytes(), &algorithms).unwrap();
        let token = signer.token(algorithm, &merge(header(algorithm), json!({"kid": kid})), &claims(json!({})));
        let result = identify_token(jwt_with(keys, algorithms.to_vec()), &token);
        let said = result.map_or_else(|refusal| refusal.public_message(), |caller| caller.subject);
        assert_eq!(said, expected, "{algorithm:?} with kid {kid}");
    }
}

#[test]
fn without_kid_only_few_keys_are_tried() {
    for (count, expected) in [(4, "tom"), (5, "the token must say which key signed it (kid)")] {
        let mut set: Vec<Value> = (1..count).map(|i| Signer::ed25519().jwk(json!({"kid": i.to_string()}))).collect();
        set.push(ED25519.jwk(json!({"kid": "last"})));
        let keys = VerificationKeys::from_jwks_file(jwks(&set).as_bytes(), &[Algorithm::EdDSA]).unwrap();
        let token = ED25519.token(Algorithm::EdDSA, &header(Algorithm::EdDSA), &claims(json!({})));
        let result = identify_token(jwt_with(keys, vec![Algorithm::EdDSA]), &token);
        assert_eq!(result.map_or_else(|refusal| refusal.public_message(), |caller| caller.subject), expected);
    }
}

#[test]
fn a_set_leaves_out_what_is_for_something_else() {
    let useless = [
        RSA.jwk(json!({"use": "enc"})),
        RSA.jwk(json!({"key_ops": ["encrypt"]})),
        RSA.jwk(json!({"key_ops": "verify"})),
        RSA.jwk(json!({"alg": "RSA-OAEP"})),
        RSA.jwk(json!({"alg": "PS256"})),
        RSA.jwk(json!({"alg": 1})),
        RSA.jwk(json!({"kty": "rsa"})),
        RSA.jwk(json!({"kty": "(none)"})),
        P256.jwk(json!({})),
        P256.jwk(json!({"crv": "P-521"})),
        json!({"kty": "OKP", "crv": "X25519", "x": "AA"}),
        json!({}),
    ];
    for jwk in &useless {
        let error = VerificationKeys::from_jwks_file(jwks(std::slice::from_ref(jwk)).as_bytes(), &[Algorithm::RS256])
            .unwrap_err();
        assert_eq!(error, "the key set has no key that RS256 can use", "{jwk}");
    }
    let mut set = useless.to_vec();
    set.push(RSA.jwk(json!({})));
    let keys = VerificationKeys::from_jwks_file(jwks(&set).as_bytes(), &[Algorithm::RS256]).unwrap();
    assert_eq!(format!("{keys:?}"), "VerificationKeys(1 keys)");
}

#[test]
fn a_file_whose_set_has_a_mistake_is_refused_as_a_whole() {
    let short = crypto::base64url(&[0xc1; 128]);
    let long = crypto::base64url(&[0xc1; 1025]);
    let cases = [
        (jwks(&[RSA.jwk(json!({"d": "AA"}))]), "key 1 of the set: it is private or a shared secret"),
        (jwks(&[json!({"kty": "oct", "k": "c2VjcmV0"}), RSA.jwk(json!({}))]), "key 1 of the set: it is private"),
        (jwks(&[RSA.jwk(json!({})), json!("key")]), "key 2 of the set: it must be an object"),
        (jwks(&[RSA.jwk(json!({"kid": 7}))]), "key 1 of the set: its `kid` must be a string"),
        (jwks(&[RSA.jwk(json!({"n": short}))]), "key 1 of the set: the RSA key has 1024 bits"),
        (jwks(&[RSA.jwk(json!({"n": long}))]), "key 1 of the set: the RSA key has 8200 bits"),
        (jwks(&[RSA.jwk(json!({"n": ""}))]), "key 1 of the set: the RSA key has 0 bits"),
        (jwks(&[RSA.jwk(json!({"n": "a+b="}))]), "key 1 of the set: its `n` must be base64url"),
        (jwks(&[RSA.jwk(json!({"e": "AQ"}))]), "key 1 of the set: the RSA key's exponent"),
        (jwks(&[RSA.jwk(json!({"e": "BA"}))]), "key 1 of the set: the RSA key's exponent"),
        (jwks(&[RSA.jwk(json!({"e": ""}))]), "key 1 of the set: the RSA key's exponent"),
        (jwks(&[P256.jwk(json!({"x": "AAAA"}))]), "key 1 of the set: its `x` and `y` must have 32 bytes each"),
        (jwks(&[P256.jwk(json!({"y": "(none)"}))]), "key 1 of the set: its `y` must be base64url"),
        (jwks(&[P384.jwk(json!({"y": "AAAA"}))]), "key 1 of the set: its `x` and `y` must have 48 bytes each"),
        (jwks(&[ED25519.jwk(json!({"x": "AAAA"}))]), "key 1 of the set: an Ed25519 key has 32 bytes, not 3"),
        (jwks(&[]), "the key set has no key that RS256 or ES256 or ES384 or EdDSA can use"),
        (RSA.jwk(json!({})).to_string(), "it is not a JWK set"),
        (json!({"keys": {}}).to_string(), "it is not a JWK set"),
        (r#"{"keys": [], "keys": []}"#.to_owned(), "it is not a JWK set"),
        (RSA.pem(), "it is not a JWK set"),
    ];
    let algorithms = [Algorithm::RS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA];
    for (file, expected) in cases {
        let error = VerificationKeys::from_jwks_file(file.as_bytes(), &algorithms).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn a_modulus_may_have_leading_zeros() {
    let mut modulus = vec![0];
    modulus.extend(crypto::base64url_decode(RSA.jwk["n"].as_str().unwrap()).unwrap());
    let file = jwks(&[RSA.jwk(json!({"n": crypto::base64url(&modulus)}))]);
    let keys = VerificationKeys::from_jwks_file(file.as_bytes(), &[Algorithm::RS256]).unwrap();
    let token = RSA.token(Algorithm::RS256, &header(Algorithm::RS256), &claims(json!({})));
    assert_eq!(identify_token(jwt_with(keys, vec![Algorithm::RS256]), &token).unwrap().subject, "tom");
}

/// The files were made with `openssl genpkey … | openssl pkey -pubout`.
#[test]
fn unusable_pem_files_are_refused_with_the_way_out() {
    let secp256k1 = "-----BEGIN PUBLIC KEY-----\nMFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEIlcjUlRXdKifHEMr/jLFQUzK5dflxg6o\n\
        zAu6ZSy4xy2o86t2f5/IfOj3lWydGf3IvdIDt9mLZ3EFhQcfISYMKA==\n-----END PUBLIC KEY-----\n";
    let ed448 = "-----BEGIN PUBLIC KEY-----\nMEMwBQYDK2VxAzoAhG14EUo8UMCCtF+5Y9uf0WjgS6LRaMnwdM7SD4VE+de0w2Ft\n\
        M/aD6uPZkqISGht+N2a6dgEjfNGA\n-----END PUBLIC KEY-----\n";
    let compressed = "-----BEGIN PUBLIC KEY-----\nMDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgADqlcAWQQflHZ+H7FuT7MxOTR/STjw\n\
        RaI3GFrOWjztyrw=\n-----END PUBLIC KEY-----\n";
    let rsa_1024 = "-----BEGIN PUBLIC KEY-----\nMIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCYxxqhTOpG8foYh+bdzLITqSp7\n\
        vvWtUWjKYb61m7DC4WDBeAVArgssU4lijxvLGLJM+RXbnOoaOZCb/uawCj++WIiL\njvCNNeOxt1rWIf6Lr19LirmEp36lR7YA/9ZMRtqEXBiaNSaV\
        EcTEAONIApRqjuih\nWLGAbML8uobYMZrGrwIDAQAB\n-----END PUBLIC KEY-----\n";
    let cut = RSA.pem().replace("-----END PUBLIC KEY-----", "");
    let cases = [
        (pem("PRIVATE KEY", b"x"), "the file holds a private key"),
        (pem("EC PRIVATE KEY", b"x"), "`openssl pkey -in private.pem -pubout`"),
        (format!("{}{}", RSA.pem(), pem("PRIVATE KEY", b"x")), "the file holds a private key"),
        (pem("CERTIFICATE", b"x"), "`openssl x509 -in cert.pem -pubkey -noout`"),
        (pem("RSA PUBLIC KEY", b"x"), "`openssl rsa -RSAPublicKey_in -in key.pem -pubout`"),
        (pem("SSH2 PUBLIC KEY", b"x"), "it must hold a `PUBLIC KEY`"),
        (format!("{}{}", RSA.pem(), OTHER_RSA.pem()), "several PEM blocks"),
        (cut, "its END line is missing"),
        (RSA.pem().replace("MII", "M!I"), "Base64 is damaged"),
        (pem("PUBLIC KEY", b"no key"), "holds no public key"),
        (pem("PUBLIC KEY", &RSA.der[..RSA.der.len() - 1]), "holds no public key"),
        (pem("PUBLIC KEY", &[&RSA.der[..], &[0]].concat()), "holds no public key"),
        (pem("PUBLIC KEY", &[]), "holds no public key"),
        (secp256k1.to_owned(), "unsupported type"),
        (ed448.to_owned(), "unsupported type"),
        (compressed.to_owned(), "uncompressed point"),
        (rsa_1024.to_owned(), "the RSA key has 1024 bits: use one of 2048 to 8192"),
        (P256.pem(), "the file holds a P-256 key, which RS256 can't use"),
        (String::new(), "the file holds no PEM block"),
        ("ssh-ed25519 AAAA".to_owned(), "it must begin with `-----BEGIN PUBLIC KEY-----`"),
    ];
    for (file, expected) in cases {
        let error = VerificationKeys::from_pem_file(file.as_bytes(), &[Algorithm::RS256]).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    assert!(VerificationKeys::from_pem_file(&RSA.der, &[Algorithm::RS256]).is_err());
    assert!(
        VerificationKeys::from_pem_file(P256.pem().as_bytes(), &[Algorithm::ES256, Algorithm::ES384])
            .unwrap_err()
            .contains("ES384")
    );
}

#[test]
fn every_cut_of_a_der_key_is_refused() {
    for signer in [&RSA, &P256, &P384, &ED25519] {
        for end in 0..signer.der.len() {
            let all = [Algorithm::RS256];
            assert!(VerificationKeys::from_pem_file(pem("PUBLIC KEY", &signer.der[..end]).as_bytes(), &all).is_err());
        }
    }
}

#[test]
fn a_pem_file_may_have_remarks_and_foreign_line_ends() {
    let file = format!("# key of the issuer\r\n{}\r\n\r\n", RSA.pem().replace('\n', "\r\n"));
    let keys = VerificationKeys::from_pem_file(file.as_bytes(), &[Algorithm::RS256, Algorithm::PS512]).unwrap();
    let token = RSA.token(Algorithm::PS512, &header(Algorithm::PS512), &claims(json!({})));
    assert!(identify_token(jwt_with(keys, vec![Algorithm::RS256, Algorithm::PS512]), &token).is_ok());
}

#[test]
fn debug_output_shows_no_key() {
    let shown = format!("{:?}", Authenticators::new(vec![Authenticator::Jwt(jwt())]));
    assert!(shown.contains("VerificationKeys(1 keys)"), "{shown}");
    assert!(!shown.contains(std::str::from_utf8(SECRET).unwrap()), "{shown}");
    assert!(!shown.contains(&format!("{SECRET:?}")), "{shown}");
}

#[test]
fn public_keys_are_recognized_in_place_of_shared_secrets() {
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA] {
        let signer = Signer::for_algorithm(algorithm);
        let jwk = signer.jwk(json!({}));
        let member = |name: &str| jwk.get(name).and_then(Value::as_str).map(str::to_owned);
        let part = member("n").or_else(|| member("x")).unwrap();
        let bytes = crypto::base64url_decode(&part).unwrap();
        let (pem, with_zero) = (signer.pem(), [&[0], bytes.as_slice()].concat());
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        for keys in sources(algorithm) {
            let padded = crypto::base64(&bytes);
            for secret in [part.as_bytes(), &bytes, &with_zero, padded.as_bytes(), body.as_bytes()] {
                assert!(is_public_key(secret, Some(&keys)), "{algorithm:?} {secret:?}");
            }
            assert!(!is_public_key(SECRET, Some(&keys)) && !is_public_key(&[7; 64], Some(&keys)));
        }
        let der = crypto::base64_decode(&body).unwrap();
        for secret in [pem.as_bytes(), jwk.to_string().as_bytes(), body.as_bytes(), &der] {
            assert!(is_public_key(secret, None), "{algorithm:?} {secret:?}");
        }
        assert!(!is_public_key(&bytes, None));
    }
}

#[test]
fn an_rsa_public_key_in_der_is_recognized() {
    // The `RSAPublicKey` is the last part of the `SubjectPublicKeyInfo`, after 24 bytes for a key of 2048 bits.
    let body: String = RSA.pem().lines().filter(|line| !line.starts_with('-')).collect();
    let der = crypto::base64_decode(&body).unwrap().split_off(24);
    assert!(is_public_key(&der, None));
    assert!(is_public_key(crypto::base64(&der).as_bytes(), None));
}
