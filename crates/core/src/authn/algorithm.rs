//! The signature algorithms that tokens may use (RFC 7518, section 3; EdDSA: RFC 8037).

pub use jsonwebtoken::Algorithm;
use jsonwebtoken::AlgorithmFamily;

/// All algorithms, as tokens and the configuration spell them.
pub const ALGORITHMS: [(&str, Algorithm); 12] = [
    ("HS256", Algorithm::HS256),
    ("HS384", Algorithm::HS384),
    ("HS512", Algorithm::HS512),
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

/// Returns the algorithm with exactly this spelling. There is no `none`.
pub fn parse_algorithm(word: &str) -> Option<Algorithm> {
    ALGORITHMS.iter().find(|(known, _)| *known == word).map(|(_, algorithm)| *algorithm)
}

/// Returns whether the algorithm signs and verifies with the same secret.
pub fn is_symmetric(algorithm: Algorithm) -> bool {
    algorithm.family() == AlgorithmFamily::Hmac
}

/// Joins the names of the algorithms for a message: `RS256 or ES256`.
pub(super) fn join_names(algorithms: &[Algorithm]) -> String {
    let words: Vec<_> = algorithms.iter().map(|algorithm| format!("{algorithm:?}")).collect();
    words.join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_what_the_library_calls_it() {
        for (word, algorithm) in ALGORITHMS {
            assert_eq!(format!("{algorithm:?}"), word);
            assert_eq!(super::parse_algorithm(word), Some(algorithm));
            assert_eq!(is_symmetric(algorithm), word.starts_with("HS"));
        }
        for word in ["none", "None", "", "hs256", "HS256 ", "ES512", "ES256K"] {
            assert_eq!(parse_algorithm(word), None, "{word:?}");
        }
    }
}
