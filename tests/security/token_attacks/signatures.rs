//! Signatures that are none.

use chat_signer::crypto::base64url_decode;
use serde_json::json;

use crate::token_attacks::draft::{Twist, all, claim, part, signature};
use crate::token_attacks::issuer::{ALL, Issuer, RSAS};
use crate::token_attacks::row::{Row, refused, served};

const BROKEN: &str = "the token's signature does not hold";

pub(crate) fn rows() -> Vec<Row> {
    [of_any_kind(), spelled(), rsa(), ecdsa(), eddsa()].into_iter().flatten().collect()
}

fn of_any_kind() -> Vec<Row> {
    let resigned = |issuer: Issuer| {
        let other = all([claim("sub", json!("alice"))])(issuer.draft()).token();
        part(2, move |_| other.rsplit('.').next().unwrap().to_owned())
    };
    let mut rows = vec![
        refused("an empty signature", ALL, BROKEN, signature(|_| Vec::new())),
        refused("half a signature", ALL, BROKEN, signature(|good| good[..good.len() / 2].to_vec())),
        refused("a signature without its last byte", ALL, BROKEN, signature(|good| good[..good.len() - 1].to_vec())),
        refused("a signature without its first byte", ALL, BROKEN, signature(|good| good[1..].to_vec())),
        refused("a signature and a byte", ALL, BROKEN, signature(|good| [&good[..], &[0]].concat())),
        refused("a byte and a signature", ALL, BROKEN, signature(|good| [&[0], &good[..]].concat())),
        refused("a signature twice", ALL, BROKEN, signature(|good| good.repeat(2))),
        refused("a signature backwards", ALL, BROKEN, signature(|good| good.into_iter().rev().collect())),
        refused("another first bit", ALL, BROKEN, signature(|good| flipped(good, 0))),
        refused(
            "another last bit",
            ALL,
            BROKEN,
            signature(|good| {
                let last = good.len() - 1;
                flipped(good, last)
            }),
        ),
        refused("zeros", ALL, BROKEN, signature(|good| vec![0; good.len()])),
        refused("ones", ALL, BROKEN, signature(|good| vec![0xff; good.len()])),
        refused("the signature's hex", ALL, BROKEN, signature(|good| chat_signer::crypto::hex(&good).into_bytes())),
    ];
    for issuer in ALL {
        let name = format!("the signature of another token, by {issuer:?}");
        rows.push(refused(name, &[*issuer], BROKEN, resigned(*issuer)));
    }
    rows
}

fn flipped(mut good: Vec<u8>, place: usize) -> Vec<u8> {
    good[place] ^= 1;
    good
}

/// Other spellings of a good signature.
fn spelled() -> Vec<Row> {
    let uneven: Vec<_> = ALL.iter().copied().filter(|issuer| *issuer != Issuer::Ec384).collect();
    vec![
        refused("a padded signature", ALL, BROKEN, part(2, |text| text.to_owned() + "=")),
        refused("bits that stand for nothing", &uneven, BROKEN, part(2, crate::token_attacks::form::non_canonical)),
        refused("no Base64", ALL, BROKEN, part(2, |_| "!!!".to_owned())),
        refused(
            "white space in a signature",
            ALL,
            BROKEN,
            part(2, |text| text.replacen(&text[..9], &format!("{} ", &text[..9]), 1)),
        ),
        refused("an escaped new line", ALL, BROKEN, part(2, |text| text.to_owned() + "%0A")),
        refused("a character in Base64's place", ALL, BROKEN, part(2, |text| text.to_owned() + "\\n")),
    ]
}

/// A number as many bytes as `like`, the lowest last.
fn rsa() -> Vec<Row> {
    let mut rows = vec![refused("RSA: the number one", RSAS, BROKEN, signature(|good| last_byte(good.len(), 1)))];
    for issuer in RSAS {
        let modulus = base64url_decode(issuer.key().jwk["n"].as_str().unwrap()).unwrap();
        let less_one = flipped(modulus.clone(), modulus.len() - 1);
        for (name, number) in [("the modulus", modulus), ("the modulus less one", less_one)] {
            let name = format!("RSA: {name} of {issuer:?}");
            rows.push(refused(name, &[*issuer], BROKEN, signature(move |_| number.clone())));
        }
    }
    rows
}

fn last_byte(length: usize, byte: u8) -> Vec<u8> {
    let mut bytes = vec![0; length];
    bytes[length - 1] = byte;
    bytes
}

/// The order of P-256's group (FIPS 186-4, section D.1.2.3).
const P256_ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";

fn ecdsa() -> Vec<Row> {
    let order = || hex::decode(P256_ORDER).unwrap();
    let (zero, one, n) = (vec![0; 32], last_byte(32, 1), order());
    let made = |r: &[u8], s: &[u8]| {
        let both = [r, s].concat();
        signature(move |_| both.clone())
    };
    let der_zeros = || signature(|_| vec![0x30, 0x06, 0x02, 0x01, 0x00, 0x02, 0x01, 0x00]);
    let ec = &[Issuer::Ec];
    vec![
        refused("psychic: r = s = 0", ec, BROKEN, made(&zero, &zero)),
        refused("psychic: r = s = 0, in DER", &[Issuer::Ec, Issuer::Ec384], BROKEN, der_zeros()),
        refused("psychic: r = 0", ec, BROKEN, made(&zero, &one)),
        refused("psychic: s = 0", ec, BROKEN, made(&one, &zero)),
        refused("psychic: r = s = n", ec, BROKEN, made(&n, &n)),
        refused("psychic: r = n", ec, BROKEN, made(&n, &one)),
        refused("psychic: s = n", ec, BROKEN, made(&one, &n)),
        refused("psychic: r = s = 1", ec, BROKEN, made(&one, &one)),
        refused("r and s swapped", ec, BROKEN, signature(|good| [&good[32..], &good[..32]].concat())),
        refused("a good signature in DER", ec, BROKEN, signature(|good| der(&good))),
        refused(
            "r and s of another curve's length",
            ec,
            BROKEN,
            signature(|good| [&[0; 16], &good[..32], &[0; 16], &good[32..]].concat()),
        ),
        refused("s + n", ec, BROKEN, signature(|good| [&good[..32], &[1], &good[32..]].concat())),
        // ECDSA's signatures have a twin that anyone can make. It says the same of the same token.
        served("n - s in place of s", ec, signature(move |good| [&good[..32], &minus(&order(), &good[32..])].concat())),
    ]
}

/// The two halves as DER has them: integers without a sign.
fn der(raw: &[u8]) -> Vec<u8> {
    let integer = |half: &[u8]| {
        let start = half.iter().position(|byte| *byte != 0).unwrap();
        let sign = if half[start] >= 0x80 { &[0][..] } else { &[] };
        let digits = [sign, &half[start..]].concat();
        [&[0x02, u8::try_from(digits.len()).unwrap()][..], &digits].concat()
    };
    let both = [integer(&raw[..32]), integer(&raw[32..])].concat();
    [&[0x30, u8::try_from(both.len()).unwrap()][..], &both].concat()
}

/// `a - b`, both big-endian and of the same length.
fn minus(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut borrow = 0;
    let mut digits: Vec<u8> = Vec::new();
    for (a, b) in a.iter().zip(b).rev() {
        let digit = i16::from(*a) - i16::from(*b) - borrow;
        borrow = i16::from(digit < 0);
        digits.push(digit.rem_euclid(256).try_into().unwrap());
    }
    digits.into_iter().rev().collect()
}

/// The order of Ed25519's group, little-endian (RFC 8032, section 5.1).
const ED25519_ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

fn eddsa() -> Vec<Row> {
    let ed = &[Issuer::Ed];
    let order = hex::decode(ED25519_ORDER).unwrap();
    let (zero, identity) = (vec![0; 32], [&[1][..], &[0; 31]].concat());
    // A point of order 8, from RFC 8032's curve, and the identity in a spelling that isn't canonical.
    let small = hex::decode("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05").unwrap();
    let disguised = hex::decode("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f").unwrap();
    let made = |r: &[u8], s: &[u8]| -> Twist {
        let both = [r, s].concat();
        signature(move |_| both.clone())
    };
    let beyond = order.clone();
    vec![
        refused("EdDSA: R is the identity, S = 0", ed, BROKEN, made(&identity, &zero)),
        refused("EdDSA: R is the identity in disguise, S = 0", ed, BROKEN, made(&disguised, &zero)),
        refused("EdDSA: R has a small order, S = 0", ed, BROKEN, made(&small, &zero)),
        refused("EdDSA: S = L", ed, BROKEN, made(&identity, &order)),
        refused("EdDSA: S + L", ed, BROKEN, signature(move |good| [&good[..32], &plus(&good[32..], &beyond)].concat())),
        refused(
            "EdDSA: S's highest bit",
            ed,
            BROKEN,
            signature(|mut good| {
                good[63] |= 0x80;
                good
            }),
        ),
        refused(
            "EdDSA: R's sign",
            ed,
            BROKEN,
            signature(|mut good| {
                good[31] ^= 0x80;
                good
            }),
        ),
        refused("EdDSA: R and S swapped", ed, BROKEN, signature(|good| [&good[32..], &good[..32]].concat())),
    ]
}

/// `a + b`, both little-endian and of the same length; their sum has that length, too.
fn plus(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut carry = 0;
    let digits = a.iter().zip(b).map(|(a, b)| {
        let digit = u16::from(*a) + u16::from(*b) + carry;
        carry = digit >> 8;
        digit.to_le_bytes()[0]
    });
    digits.collect()
}
