//! Checks RSA public keys: their length, their exponent, and that their modulus cannot be factored easily.

/// Checks a modulus and an exponent, both big-endian and without leading zeros.
///
/// # Errors
/// Returns a sentence that describes the defect of the key.
pub(super) fn check(modulus: &[u8], exponent: &[u8]) -> Result<(), String> {
    let bits = bit_length(modulus);
    if !(2048..=8192).contains(&bits) {
        return Err(format!("the RSA key has {bits} bits: use one of 2048 to 8192"));
    }
    let odd = exponent.last().is_some_and(|last| last % 2 == 1);
    if !odd || exponent == [1] || exponent.len() > 4 {
        return Err("the RSA key's exponent must be odd, at least 3, and below 2^32".to_owned());
    }
    if let Some(prime) = std::iter::once(2).chain(PRIMES).find(|prime| remainder(modulus, *prime) == 0) {
        return Err(format!(
            "the RSA key's modulus is divisible by {prime}, so it is not a product of two large primes"
        ));
    }
    if is_roca(modulus) {
        return Err("the RSA key was made by a faulty chip, and can be factored (ROCA, CVE-2017-15361)".to_owned());
    }
    Ok(())
}

/// The odd primes up to 167. Their product, times 2, divides the constant M from which the faulty chips made every
/// prime.
const PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109,
    113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// Returns whether the modulus has the fingerprint of ROCA.
///
/// The faulty chips made primes of the form kM + (65537^a mod M), where M is the product of the first primes: at least
/// of the primes up to 167, and of more primes for longer keys. So the modulus is also a power of 65537 modulo M.
/// Modulo each small prime, such a power has an exponent (its discrete logarithm), which is known up to a multiple of
/// the order of 65537. One exponent fits all primes if and only if any two exponents agree modulo the greatest common
/// divisor of their orders (Chinese remainder theorem). Another modulus has this property with a probability of 2^-154.
/// Source: Nemec, Sys, Svenda, Klinec, Matyas, "The Return of Coppersmith's Attack", CCS 2017, section 2.
fn is_roca(modulus: &[u8]) -> bool {
    let exponents: Option<Vec<DiscreteLogarithm>> =
        PRIMES.iter().map(|prime| DiscreteLogarithm::find(remainder(modulus, *prime), *prime)).collect();
    exponents
        .is_some_and(|all| all.iter().enumerate().all(|(i, one)| all.iter().skip(i).all(|other| one.agrees(other))))
}

/// The discrete logarithm of a number to the base 65537, modulo a small prime.
struct DiscreteLogarithm {
    exponent: u32,
    /// The order of 65537: the smallest positive exponent whose power is 1. The exponent is known up to a multiple of
    /// it.
    order: u32,
}

impl DiscreteLogarithm {
    /// Tries all powers. Returns `None` if none of them is this number, which is below the prime.
    fn find(number: u32, prime: u32) -> Option<DiscreteLogarithm> {
        let base = 65537 % prime;
        let mut powers = vec![1 % prime];
        loop {
            let next = powers.last().map_or(1, |last| last * base % prime);
            if next == 1 {
                break;
            }
            powers.push(next);
        }
        let exponent = powers.iter().position(|power| *power == number)?;
        Some(DiscreteLogarithm { exponent: u32::try_from(exponent).ok()?, order: u32::try_from(powers.len()).ok()? })
    }

    /// Returns whether there is an exponent that fits both.
    fn agrees(&self, other: &DiscreteLogarithm) -> bool {
        self.exponent.abs_diff(other.exponent).is_multiple_of(common_divisor(self.order, other.order))
    }
}

fn common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

/// Returns the remainder of a big-endian number divided by a small number.
fn remainder(number: &[u8], divisor: u32) -> u32 {
    number.iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % divisor)
}

/// Returns the number of bits of this number, which does not begin with a zero byte.
fn bit_length(number: &[u8]) -> usize {
    let spare = number.first().map_or(0, |first| first.leading_zeros() as usize);
    number.len() * 8 - spare
}
