//! HMAC (RFC 2104). The key schedule is computed once, and the keyed state is cloned for each message.

use std::fmt;

use hmac::digest::Digest;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

use super::{constant_time_eq, sha256};

/// HMAC-SHA1 with one key.
#[derive(Clone)]
pub struct HmacSha1(Hmac<Sha1>);

impl HmacSha1 {
    /// Sets up the key, which may have any length.
    pub fn new(key: &[u8]) -> HmacSha1 {
        HmacSha1(Hmac::new((&*key_block::<Sha1, SHORT_BLOCK_LENGTH>(key)).into()))
    }

    /// Returns the MAC of the message.
    pub fn mac(&self, message: &[u8]) -> [u8; 20] {
        self.0.clone().chain_update(message).finalize().into_bytes().into()
    }
}

impl fmt::Debug for HmacSha1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HmacSha1(…)")
    }
}

/// HMAC-SHA256 with one key.
#[derive(Clone)]
pub struct HmacSha256(Hmac<Sha256>);

impl HmacSha256 {
    /// Sets up the key, which may have any length.
    pub fn new(key: &[u8]) -> HmacSha256 {
        HmacSha256(Hmac::new((&*key_block::<Sha256, SHORT_BLOCK_LENGTH>(key)).into()))
    }

    /// Returns the MAC of the message.
    pub fn mac(&self, message: &[u8]) -> [u8; 32] {
        self.0.clone().chain_update(message).finalize().into_bytes().into()
    }
}

impl fmt::Debug for HmacSha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HmacSha256(…)")
    }
}

/// An algorithm of signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacAlgorithm {
    /// HMAC with SHA-1, which makes 20 bytes.
    HmacSha1,
    /// HMAC with SHA-256, which makes 32 bytes.
    HmacSha256,
}

impl MacAlgorithm {
    /// Returns the name for people.
    pub fn as_str(self) -> &'static str {
        match self {
            MacAlgorithm::HmacSha1 => "HMAC-SHA1",
            MacAlgorithm::HmacSha256 => "HMAC-SHA256",
        }
    }

    /// Returns the MAC of a message.
    pub fn mac(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        match self {
            MacAlgorithm::HmacSha1 => HmacSha1::new(key).mac(message).to_vec(),
            MacAlgorithm::HmacSha256 => HmacSha256::new(key).mac(message).to_vec(),
        }
    }
}

/// Digests of the block that HMAC makes of a key, for each hash that is used for signatures: SHA-1, SHA-256, SHA-384
/// and SHA-512.
///
/// HMAC pads a short key with zeros and hashes a long key. So different keys can produce the same signatures.
#[derive(Clone)]
pub struct KeyBlocks([[u8; 32]; 4]);

impl KeyBlocks {
    /// Computes the digests for this key.
    pub fn new(key: &[u8]) -> KeyBlocks {
        KeyBlocks([
            sha256(&*key_block::<Sha1, SHORT_BLOCK_LENGTH>(key)),
            sha256(&*key_block::<Sha256, SHORT_BLOCK_LENGTH>(key)),
            sha256(&*key_block::<Sha384, LONG_BLOCK_LENGTH>(key)),
            sha256(&*key_block::<Sha512, LONG_BLOCK_LENGTH>(key)),
        ])
    }

    /// Returns whether both keys produce the same signatures with at least one of the hashes.
    ///
    /// This matters even if the keys are used with a different hash: one key is then the hash or the padded form of the
    /// other key, so the owner of the other key knows both keys.
    pub fn overlaps(&self, other: &KeyBlocks) -> bool {
        self.0.iter().zip(&other.0).fold(false, |overlap, (one, other)| overlap | constant_time_eq(one, other))
    }
}

impl fmt::Debug for KeyBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyBlocks(…)")
    }
}

/// The block length of SHA-1 and SHA-256, in bytes.
const SHORT_BLOCK_LENGTH: usize = 64;

/// The block length of SHA-384 and SHA-512, in bytes.
const LONG_BLOCK_LENGTH: usize = 128;

/// Returns the key as one block, as RFC 2104 defines it: a key that is longer than a block is hashed, then the key is
/// padded with zeros. The library's constructor for keys of any length returns a `Result`, so this function does the
/// work.
fn key_block<D: Digest, const LENGTH: usize>(key: &[u8]) -> Zeroizing<[u8; LENGTH]> {
    let mut block = Zeroizing::new([0; LENGTH]);
    if key.len() > LENGTH {
        block.iter_mut().zip(D::digest(key)).for_each(|(to, from)| *to = from);
    } else {
        block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sha1(key: &[u8], message: &[u8]) -> String {
        hex::encode(HmacSha1::new(key).mac(message))
    }

    fn sha256(key: &[u8], message: &[u8]) -> String {
        hex::encode(HmacSha256::new(key).mac(message))
    }

    #[test]
    fn rfc_2202_vectors_for_sha1() {
        let counting: Vec<u8> = (1..=25).collect();
        let cases: [(&[u8], &[u8], &str); 7] = [
            (&[0x0b; 20], b"Hi There", "b617318655057264e28bc0b6fb378c8ef146be00"),
            (b"Jefe", b"what do ya want for nothing?", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
            (&[0xaa; 20], &[0xdd; 50], "125d7342b9ac11cd91a39af48aa17b4f63f175d3"),
            (&counting, &[0xcd; 50], "4c9007f4026250c6bc8414f9bf50c86c2d7235da"),
            (&[0x0c; 20], b"Test With Truncation", "4c1a03424b55e07fe7f27be1d58bb9324a9a5a04"),
            (
                &[0xaa; 80],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "aa4ae5e15272d00e95705637ce8a3b55ed402112",
            ),
            (
                &[0xaa; 80],
                b"Test Using Larger Than Block-Size Key and Larger Than One Block-Size Data",
                "e8e99d0f45237d786d6bbaa7965c7808bbff1a91",
            ),
        ];
        for (key, message, mac) in cases {
            assert_eq!(sha1(key, message), mac);
        }
    }

    #[test]
    fn rfc_4231_vectors_for_sha256() {
        let counting: Vec<u8> = (1..=25).collect();
        let cases: [(&[u8], &[u8], &str); 6] = [
            (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (&[0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
            (&counting, &[0xcd; 50], "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            (
                &[0xaa; 131],
                b"This is a test using a larger than block-size key and a larger than block-size data. \
                  The key needs to be hashed before being used by the HMAC algorithm.",
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            ),
        ];
        for (key, message, mac) in cases {
            assert_eq!(sha256(key, message), mac);
        }
    }

    #[test]
    fn keys_at_the_block_length_are_taken_as_they_are() {
        assert_ne!(sha256(&[1; 64], b"m"), sha256(&Sha256::digest([1; 64]), b"m"));
        assert_eq!(sha256(&[1; 65], b"m"), sha256(&Sha256::digest([1; 65]), b"m"));
        assert_eq!(sha1(b"", b"m"), sha1(&[0; 64], b"m"));
    }

    #[test]
    fn overlapping_keys_are_found() {
        let overlap = |one: &[u8], other: &[u8]| KeyBlocks::new(one).overlaps(&KeyBlocks::new(other));
        let (key, long, longer) = ([7; 32], [7; 100], [7; 200]);
        assert!(overlap(&key, &key));
        assert!(overlap(&key, &[&key[..], &[0]].concat()) && overlap(&[&key[..], &[0; 32]].concat(), &key));
        // The second key is longer than a block of SHA-256. The keys still overlap with the hashes that have longer
        // blocks.
        assert!(overlap(&key, &[&key[..], &[0; 80]].concat()));
        assert!(overlap(&long, &Sha1::digest(long)) && overlap(&Sha256::digest(long), &long));
        assert!(overlap(&longer, &Sha384::digest(longer)) && overlap(&Sha512::digest(longer), &longer));
        assert!(overlap(&long, &[&Sha256::digest(long)[..], &[0; 3]].concat()));
        assert!(!overlap(&key, &[7; 33]) && !overlap(&key, &[&[0], &key[..]].concat()));
        // A key that is not longer than a block is not hashed.
        assert!(!overlap(&[7; 64], &Sha256::digest([7; 64])) && !overlap(&[7; 128], &Sha512::digest([7; 128])));
        assert_eq!(format!("{:?}", KeyBlocks::new(&key)), "KeyBlocks(…)");
    }

    #[test]
    fn one_key_serves_many_messages() {
        let key = HmacSha1::new(b"key");
        assert_eq!(key.mac(b"one"), key.clone().mac(b"one"));
        assert_ne!(key.mac(b"one"), key.mac(b"two"));
        assert_eq!(format!("{key:?}, {:?}", HmacSha256::new(b"key")), "HmacSha1(…), HmacSha256(…)");
    }
}
