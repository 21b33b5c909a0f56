//! Public keys that must be refused, and sets that contain such keys.
#![allow(clippy::cast_possible_truncation)]

use jsonwebtoken::DecodingKey;

use super::*;

/// Returns all encodings of points of small order. Their y is 0, 1, -1 or one of the two y of the points of order 8.
/// The encodings below p and, if possible, above p are included, each with both signs of x.
fn small_order_points() -> Vec<[u8; 32]> {
    const Y: [&str; 7] = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    ];
    let mut points = Vec::new();
    for y in Y {
        let point: [u8; 32] = hex::decode(y).unwrap().try_into().unwrap();
        let mut negative = point;
        negative[31] |= 0x80;
        points.extend([point, negative]);
    }
    points
}

/// Returns a token whose signature is valid for a point of small order. It is made without a private key. With S = 0
/// and the identity for R, the signature is valid if the hash of the message times the point is the identity. This is
/// true for at least one message in eight.
fn forged(point: &[u8; 32]) -> Option<String> {
    let mut signature = [0; 64];
    signature[0] = 1;
    let signature = crypto::base64url(&signature);
    (0..200).find_map(|number| {
        let (header, claims) = (header(Algorithm::EdDSA).to_string(), claims(json!({"jti": number})).to_string());
        let message = format!("{}.{}", crypto::base64url(header.as_bytes()), crypto::base64url(claims.as_bytes()));
        let key = DecodingKey::from_ed_der(point);
        let holds = jsonwebtoken::crypto::verify(&signature, message.as_bytes(), &key, Algorithm::EdDSA);
        holds.unwrap_or(false).then(|| format!("{message}.{signature}"))
    })
}

fn ed25519_jwk(key: &[u8]) -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": crypto::base64url(key), "kid": "bad"})
}

/// Returns the same key as a PEM file.
fn ed25519_pem(key: &[u8]) -> String {
    pem("PUBLIC KEY", &[&ED25519.der[..ED25519.der.len() - 32], key].concat())
}

/// Asserts that this key is refused from all sources: a PEM file, a key set in a file, and a fetched key set. In the
/// fetched key set a good key beside it is still usable.
fn assert_refused(jwk: &Value, pem: &str, algorithm: Algorithm, reason: &str) {
    let error = VerificationKeys::from_pem_file(pem.as_bytes(), &[algorithm]).unwrap_err();
    assert!(error.contains(reason), "{error}");
    let error = VerificationKeys::from_jwks_file(jwks(std::slice::from_ref(jwk)).as_bytes(), &[algorithm]).unwrap_err();
    assert!(error.starts_with("the key \"bad\": ") && error.contains(reason), "{error}");
    let good = Signer::for_algorithm(algorithm).jwk(json!({"kid": "good"}));
    let keys = VerificationKeys::from_fetched_set(jwks(&[jwk.clone(), good]).as_bytes(), &[algorithm]).unwrap();
    assert_eq!(keys.len(), 1);
    assert!(keys.unusable()[0].to_string().contains(reason), "{:?}", keys.unusable());
}

#[test]
fn forged_signatures_of_small_order_keys_are_refused() {
    let mut forgeries = 0;
    for point in small_order_points() {
        let is_above_p = point[0] >= 0xed && point[1] == 0xff;
        let reason = if is_above_p { "not a canonical encoding" } else { "small order" };
        assert_refused(&ed25519_jwk(&point), &ed25519_pem(&point), Algorithm::EdDSA, reason);
        let Some(token) = forged(&point) else { continue };
        let set = jwks(&[ed25519_jwk(&point), ED25519.jwk(json!({"kid": "good"}))]);
        let keys = VerificationKeys::from_fetched_set(set.as_bytes(), &[Algorithm::EdDSA]).unwrap();
        assert_eq!(
            error_message(jwt_with(keys, vec![Algorithm::EdDSA]), &token),
            "the token's signature does not hold"
        );
        forgeries += 1;
    }
    // The library accepts forgeries for all points of small order, at least in their canonical encodings. So the check
    // is necessary.
    assert!(forgeries >= 8, "{forgeries}");
}

#[test]
fn every_other_encoding_above_the_prime_is_refused() {
    for low in 0xed..=0xff {
        for high in [0x7f, 0xff] {
            let mut key = [0xff; 32];
            (key[0], key[31]) = (low, high);
            assert_refused(&ed25519_jwk(&key), &ed25519_pem(&key), Algorithm::EdDSA, "not a canonical encoding");
        }
    }
}

#[test]
fn points_off_their_curve_are_refused() {
    let off = |key: &[u8]| {
        let mut key = key.to_vec();
        *key.last_mut().unwrap() ^= 1;
        key
    };
    for (signer, algorithm) in [(&*P256, Algorithm::ES256), (&*P384, Algorithm::ES384)] {
        let y = crypto::base64url_decode(signer.jwk["y"].as_str().unwrap()).unwrap();
        let jwk = signer.jwk(json!({"y": crypto::base64url(&off(&y)), "kid": "bad"}));
        assert_refused(&jwk, &pem("PUBLIC KEY", &off(&signer.der)), algorithm, "not a point of its curve");
    }
    let mut key = [0; 32];
    key[0] = 2;
    assert_refused(&ed25519_jwk(&key), &ed25519_pem(&key), Algorithm::EdDSA, "not a point of its curve");
}

/// Returns an RSA key with this modulus as JWK and as PEM.
fn rsa_key(modulus: &[u8]) -> (Value, String) {
    let jwk = RSA.jwk(json!({"n": crypto::base64url(modulus), "kid": "bad"}));
    (jwk, pem("PUBLIC KEY", &rsa_der(modulus)))
}

/// Returns the `SubjectPublicKeyInfo` of an RSA key with this modulus and the exponent 65537.
fn rsa_der(modulus: &[u8]) -> Vec<u8> {
    let element = |tag: u8, parts: &[&[u8]]| {
        let contents = parts.concat();
        let length = u16::try_from(contents.len()).unwrap().to_be_bytes();
        [&[tag, 0x82, length[0], length[1]], &contents[..]].concat()
    };
    let sign: &[u8] = if modulus[0] < 0x80 { &[] } else { &[0] };
    let key = element(0x30, &[&element(2, &[sign, modulus]), &[2, 3, 1, 0, 1]]);
    let rsa = &[0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1, 5, 0];
    element(0x30, &[rsa, &element(3, &[&[0], &key])])
}

/// Returns a number of this many hashes. It looks random but is the same each time.
fn number(seed: u32, hashes: u32) -> Vec<u8> {
    (0..hashes).flat_map(|i| crypto::sha256(format!("{seed}/{i}").as_bytes())).collect()
}

fn modulus(signer: &Signer) -> Vec<u8> {
    crypto::base64url_decode(signer.jwk["n"].as_str().unwrap()).unwrap()
}

#[test]
fn moduli_with_small_factors_are_refused() {
    let mut even = modulus(&RSA);
    *even.last_mut().unwrap() ^= 1;
    let (jwk, pem) = rsa_key(&even);
    assert_refused(&jwk, &pem, Algorithm::RS256, "the RSA key's modulus is divisible by 2");
    // Every digit to the base 256 is divisible by 3.
    let (jwk, pem) = rsa_key(&[0xff; 257]);
    assert_refused(&jwk, &pem, Algorithm::RS256, "the RSA key's modulus is divisible by 3");
}

/// Returns the product of two big-endian numbers.
fn signing_job(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut signing_job = vec![0_u8; a.len() + b.len()];
    for (i, a) in a.iter().rev().enumerate() {
        let mut carry = 0_u32;
        for (j, b) in b.iter().rev().chain(std::iter::repeat_n(&0, 1)).enumerate() {
            let at = signing_job.len() - 1 - i - j;
            let sum = u32::from(signing_job[at]) + u32::from(*a) * u32::from(*b) + carry;
            (signing_job[at], carry) = (sum.to_le_bytes()[0], sum >> 8);
        }
    }
    signing_job
}

fn sum(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut sum = [&[0], a].concat();
    let mut carry = 0_u32;
    for (i, b) in b.iter().rev().chain(std::iter::repeat(&0)).take(sum.len()).enumerate() {
        let at = sum.len() - 1 - i;
        carry += u32::from(sum[at]) + u32::from(*b);
        (sum[at], carry) = (carry.to_le_bytes()[0], carry >> 8);
    }
    sum
}

/// Returns a number of the same form as the primes of the faulty chips: k times the product of the first primes, plus a
/// power of 65537.
fn roca_factor(seed: u32, power: u32, primes: &[u32]) -> Vec<u8> {
    let product_of_primes = primes.iter().fold(vec![1], |so_far, prime| signing_job(&so_far, &prime.to_be_bytes()));
    let power = (0..power).fold(vec![1], |so_far, _| signing_job(&so_far, &65537_u32.to_be_bytes()));
    sum(&signing_job(&product_of_primes, &number(seed, 4)), &power)
}

fn primes(most: u32) -> Vec<u32> {
    (2..=most).filter(|number| (2..*number).all(|divisor| number % divisor != 0)).collect()
}

#[test]
fn moduli_of_faulty_chips_are_refused() {
    // The chips used the primes up to 167 for short keys, and more primes for longer keys.
    for (seed, most) in (0..20).zip([167, 167, 353, 701].into_iter().cycle()) {
        let primes = primes(most);
        let (p, q) = (roca_factor(seed, 3 + seed, &primes), roca_factor(100 + seed, 40 - seed, &primes));
        let (jwk, pem) = rsa_key(&without_zeros(signing_job(&p, &q)));
        assert_refused(&jwk, &pem, Algorithm::RS256, "ROCA");
    }
}

/// The moduli are powers of 65537 modulo each prime, but not the same power modulo all primes. A weaker test, which
/// checks each prime alone, takes them for moduli of the faulty chips.
#[test]
fn moduli_that_only_look_faulty_are_not_refused() {
    let all = primes(167);
    let mut refused = 0;
    for seed in 0..30 {
        // This modulus fits all primes except 137. Modulo 137 every remainder is a power of 65537, and one remainder in
        // 136 is the power that the other primes need.
        let other: Vec<u32> = all.iter().copied().filter(|prime| *prime != 137).collect();
        let (p, q) = (roca_factor(seed, 5 + seed, &other), roca_factor(200 + seed, 7, &all));
        let (jwk, _) = rsa_key(&without_zeros(signing_job(&p, &q)));
        match VerificationKeys::from_jwks_file(jwks(&[jwk]).as_bytes(), &[Algorithm::RS256]) {
            Ok(_) => {}
            Err(error) if error.contains("ROCA") => refused += 1,
            Err(error) => assert!(error.contains("divisible by 137"), "{error}"),
        }
    }
    assert!(refused <= 2, "{refused} of 30");
}

#[test]
fn other_moduli_are_not_taken_for_the_faulty_chips() {
    for signer in [&*RSA, &*OTHER_RSA, &Signer::rsa(), &Signer::rsa()] {
        assert!(
            VerificationKeys::from_jwks_file(jwks(&[signer.jwk(json!({}))]).as_bytes(), &[Algorithm::RS256]).is_ok()
        );
    }
    let mut good = 0;
    for seed in 0..2000 {
        let mut modulus = number(seed, 8);
        modulus[0] |= 0x80;
        match VerificationKeys::from_jwks_file(jwks(&[rsa_key(&modulus).0]).as_bytes(), &[Algorithm::RS256]) {
            Ok(_) => good += 1,
            Err(error) => assert!(error.contains("divisible by"), "{error}"),
        }
    }
    assert!(good > 100, "{good} have no small factor");
}

fn without_zeros(number: Vec<u8>) -> Vec<u8> {
    number.into_iter().skip_while(|byte| *byte == 0).collect()
}

#[test]
fn one_bad_key_does_not_disable_the_others() {
    let good = || RSA.jwk(json!({"kid": "good"}));
    let bad = [
        (RSA.jwk(json!({"n": "(none)", "kid": "x"})), "the key \"x\": its `n` must be base64url without padding"),
        (RSA.jwk(json!({"n": "wcHBwQ==", "kid": "x"})), "the key \"x\": its `n` must be base64url without padding"),
        (P256.jwk(json!({"y": "(none)", "kid": "x"})), "the key \"x\": its `y` must be base64url without padding"),
        (
            RSA.jwk(json!({"n": crypto::base64url(&[0xc1; 128]), "kid": "x"})),
            "the key \"x\": the RSA key has 1024 bits",
        ),
        (RSA.jwk(json!({"d": "AA", "kid": "x"})), "the key \"x\": it is private or a shared secret"),
        (json!({"kty": "oct", "k": "c2VjcmV0", "kid": "x"}), "the key \"x\": it is private or a shared secret"),
        (json!({"kty": "oct", "k": "c2VjcmV0"}), "key 2 of the set: it is private or a shared secret"),
        (RSA.jwk(json!({"kid": 7})), "key 2 of the set: its `kid` must be a string"),
        (json!(null), "key 2 of the set: it must be an object"),
        (json!([]), "key 2 of the set: it must be an object"),
        (json!("key"), "key 2 of the set: it must be an object"),
    ];
    let algorithms = [Algorithm::RS256, Algorithm::ES256];
    let token = |kid: &str| {
        let header = merge(header(Algorithm::RS256), json!({"kid": kid}));
        RSA.token(Algorithm::RS256, &header, &claims(json!({})))
    };
    for (bad, reason) in bad {
        for set in [[good(), bad.clone()], [bad.clone(), good()]] {
            let keys = || VerificationKeys::from_fetched_set(jwks(&set).as_bytes(), &algorithms).unwrap();
            let place = if set[0] == bad { reason.replace("key 2", "key 1") } else { reason.to_owned() };
            let unusable: Vec<String> = keys().unusable().iter().map(ToString::to_string).collect();
            assert!(unusable.len() == 1 && unusable[0].starts_with(&place), "{unusable:?}");
            assert_eq!(
                identify_token(jwt_with(keys(), algorithms.to_vec()), &token("good")).unwrap().subject,
                "tom",
                "{bad}"
            );
            if bad["kid"] == "x" {
                let refusal = identify_token(jwt_with(keys(), algorithms.to_vec()), &token("x")).unwrap_err();
                assert_eq!(refusal.public_message(), "the token's key (kid) can't be used");
                assert!(refusal.log_message().contains(reason), "{}", refusal.log_message());
            }
        }
        let error = VerificationKeys::from_fetched_set(jwks(&[bad]).as_bytes(), &algorithms).unwrap_err();
        assert!(error.starts_with("the key set has no key that can be used: "), "{error}");
    }
    let none = VerificationKeys::from_fetched_set(jwks(&[]).as_bytes(), &algorithms).unwrap();
    assert!(none.is_empty(), "an issuer can withdraw all keys");
}

#[test]
fn a_set_full_of_bad_keys_is_listed_in_part() {
    let set: Vec<Value> = std::iter::repeat_n(Value::Null, 5000).chain([RSA.jwk(json!({}))]).collect();
    let keys = VerificationKeys::from_fetched_set(jwks(&set).as_bytes(), &[Algorithm::RS256]).unwrap();
    assert_eq!((keys.len(), keys.unusable().len()), (1, 32));
}

#[test]
fn keys_that_share_a_kid_are_chosen_by_type_and_algorithm() {
    let set = jwks(&[
        RSA.jwk(json!({"kid": "one", "alg": "RS256"})),
        RSA.jwk(json!({"kid": "one", "alg": "RS256"})),
        OTHER_RSA.jwk(json!({"kid": "one", "alg": "PS256"})),
        P256.jwk(json!({"kid": "one"})),
        ED25519.jwk(json!({"kid": "one"})),
        OTHER_RSA.jwk(json!({"kid": "two"})),
        RSA.jwk(json!({"kid": "two"})),
    ]);
    let algorithms = [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA];
    let (ok, wrong) = ("tom", "the token's signature does not hold");
    let unfit = "the token's key (kid) is not for its algorithm (alg)";
    let cases = [
        (&*RSA, Algorithm::RS256, "one", ok),
        (&*OTHER_RSA, Algorithm::PS256, "one", ok),
        (&*P256, Algorithm::ES256, "one", ok),
        (&*ED25519, Algorithm::EdDSA, "one", ok),
        (&*RSA, Algorithm::RS256, "two", ok),
        (&*OTHER_RSA, Algorithm::RS256, "two", ok),
        (&*OTHER_RSA, Algorithm::RS256, "one", wrong),
        (&*RSA, Algorithm::PS256, "one", wrong),
        (&*P256, Algorithm::ES256, "two", unfit),
    ];
    for read in [VerificationKeys::from_jwks_file, VerificationKeys::from_fetched_set] {
        for (signer, algorithm, kid, expected) in cases {
            let keys = read(set.as_bytes(), &algorithms).unwrap();
            assert_eq!((keys.len(), keys.unusable().len()), (6, 0), "the same key counts once");
            let token = signer.token(algorithm, &merge(header(algorithm), json!({"kid": kid})), &claims(json!({})));
            let result = identify_token(jwt_with(keys, algorithms.to_vec()), &token);
            let said = result.map_or_else(|refusal| refusal.public_message(), |caller| caller.subject);
            assert_eq!(said, expected, "{algorithm:?} with kid {kid}");
        }
    }
}

#[test]
fn of_many_keys_with_one_kid_none_is_tried() {
    for (count, expected) in [(4, "tom"), (5, "too many keys of the issuer have the token's key id (kid)")] {
        let mut set: Vec<Value> = (1..count).map(|_| Signer::ed25519().jwk(json!({"kid": "one"}))).collect();
        set.push(ED25519.jwk(json!({"kid": "one"})));
        let keys = VerificationKeys::from_fetched_set(jwks(&set).as_bytes(), &[Algorithm::EdDSA]).unwrap();
        let header = merge(header(Algorithm::EdDSA), json!({"kid": "one"}));
        let token = ED25519.token(Algorithm::EdDSA, &header, &claims(json!({})));
        let result = identify_token(jwt_with(keys, vec![Algorithm::EdDSA]), &token);
        assert_eq!(result.map_or_else(|refusal| refusal.public_message(), |caller| caller.subject), expected);
    }
}

#[test]
fn a_key_that_is_no_proper_json_is_skipped_like_any_other() {
    let good = RSA.jwk(json!({"kid": "good"}));
    let token = {
        let header = merge(header(Algorithm::RS256), json!({"kid": "good"}));
        RSA.token(Algorithm::RS256, &header, &claims(json!({})))
    };
    for bad in [
        r#"{"kty": "RSA", "kty": "RSA", "kid": "x"}"#,
        r#"{"kty": "EC", "v": 1e999}"#,
        r#"{"kty": "RSA", "kid": "\ud800"}"#,
        r#"{"kty": "RSA", "x": {"a": 1, "a": 2}}"#,
    ] {
        for set in [format!(r#"{{"keys": [{good}, {bad}]}}"#), format!(r#"{{"keys": [{bad}, {good}]}}"#)] {
            let keys = VerificationKeys::from_fetched_set(set.as_bytes(), &[Algorithm::RS256]).unwrap();
            let unusable: Vec<String> = keys.unusable().iter().map(ToString::to_string).collect();
            assert!(
                unusable.len() == 1 && unusable[0].contains("it must be an object, each member once"),
                "{unusable:?}"
            );
            assert_eq!(identify_token(jwt_with(keys, vec![Algorithm::RS256]), &token).unwrap().subject, "tom", "{bad}");
        }
    }
}
