//! Checks Ed25519 public keys. The library for signatures accepts any 32 bytes as a key. It notices only during a
//! verification that the bytes encode no point. It never refuses a point of small order, for which anybody can make
//! signatures.

/// Checks that these bytes encode a point of the curve edwards25519, as specified in RFC 8032, section 5.1.3, and that
/// the point has a large order.
///
/// # Errors
/// Returns a sentence that describes the defect of the key.
pub(super) fn check(key: &[u8; 32]) -> Result<(), String> {
    let y =
        FieldElement::decode(key).ok_or("the Ed25519 key is not a canonical encoding: its y is not below 2^255-19")?;
    if !is_on_curve(y) {
        return Err("the Ed25519 key is not a point of its curve".to_owned());
    }
    if has_small_order(y) {
        return Err("the Ed25519 key is a point of small order: anyone can sign for it".to_owned());
    }
    Ok(())
}

/// Returns whether a point has this y. By the equation of the curve, x² is (y²-1)/(dy²+1), which must be a square. It
/// is a square if and only if the product of numerator and denominator is a square.
fn is_on_curve(y: FieldElement) -> bool {
    let y2 = y.square();
    let signing_job = y2.sub(ONE).mul(D.mul(y2).add(ONE));
    let euler = signing_job.power(HALF);
    euler == ONE || euler == ZERO
}

/// Returns whether eight times the point with this y is the identity, the only point with y = 1. The order of the curve
/// is 8 times a prime, so these are all points of small order.
fn has_small_order(y: FieldElement) -> bool {
    y.double().double().double() == ONE
}

/// A number below p = 2^255-19: its 64-bit digits, the lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FieldElement([u64; 4]);

const P: [u64; 4] = [0xffff_ffff_ffff_ffed, u64::MAX, u64::MAX, 0x7fff_ffff_ffff_ffff];
/// (p-1)/2: a number to this power is 1 for squares, 0 for 0, and p-1 for other numbers (Euler's criterion).
const HALF: [u64; 4] = [0xffff_ffff_ffff_fff6, u64::MAX, u64::MAX, 0x3fff_ffff_ffff_ffff];
/// p-2: a number to this power is the inverse of the number (Fermat's little theorem).
const INVERSE: [u64; 4] = [0xffff_ffff_ffff_ffeb, u64::MAX, u64::MAX, 0x7fff_ffff_ffff_ffff];
const ZERO: FieldElement = FieldElement([0; 4]);
const ONE: FieldElement = FieldElement([1, 0, 0, 0]);
/// The constant d of the curve: -121665/121666.
const D: FieldElement =
    FieldElement([0x75eb_4dca_1359_78a3, 0x0070_0a4d_4141_d8ab, 0x8cc7_4079_7779_e898, 0x5203_6cee_2b6f_fe73]);

impl FieldElement {
    /// Returns the y of an encoded point. The highest bit of the encoding is the sign of x. Returns `None` if y is not
    /// below p.
    fn decode(key: &[u8; 32]) -> Option<FieldElement> {
        let mut digits = [0; 4];
        for (digit, bytes) in digits.iter_mut().zip(key.as_chunks::<8>().0) {
            *digit = u64::from_le_bytes(*bytes);
        }
        digits[3] &= u64::MAX >> 1;
        (!is_at_least_p(digits)).then_some(FieldElement(digits))
    }

    fn add(self, other: FieldElement) -> FieldElement {
        // Both numbers are below 2^255, so there is no carry out of the highest digit.
        reduce(plus(self.0, other.0).0)
    }

    fn sub(self, other: FieldElement) -> FieldElement {
        self.add(FieldElement(minus(P, other.0)))
    }

    fn square(self) -> FieldElement {
        self.mul(self)
    }

    fn mul(self, other: FieldElement) -> FieldElement {
        let mut wide = [0; 8];
        for (i, a) in self.0.into_iter().enumerate() {
            let mut carry = 0;
            for (j, b) in other.0.into_iter().enumerate() {
                (wide[i + j], carry) = multiply_add(a, b, wide[i + j], carry);
            }
            wide[i + 4] = carry;
        }
        let [low @ .., a, b, c, d] = wide;
        fold(low, [a, b, c, d])
    }

    fn power(self, exponent: [u64; 4]) -> FieldElement {
        let bits = exponent.into_iter().rev().flat_map(|digit| (0..64).rev().map(move |bit| digit >> bit & 1 == 1));
        bits.fold(ONE, |power, is_set| if is_set { power.square().mul(self) } else { power.square() })
    }

    /// Returns the y of twice the point with this y. The doubling of x and y gives (y²+x²)/(1-dx²y²); x² is computed as
    /// in [`is_on_curve`].
    fn double(self) -> FieldElement {
        let y2 = self.square();
        let (above, below) = (y2.sub(ONE), D.mul(y2).add(ONE));
        let (numerator, denominator) = (y2.mul(below).add(above), below.sub(D.mul(y2).mul(above)));
        numerator.mul(denominator.power(INVERSE))
    }
}

/// Returns low + 2^256 high, modulo p. 2^256 is 38 more than a multiple of p.
fn fold(low: [u64; 4], high: [u64; 4]) -> FieldElement {
    let (mut digits, mut carry) = (low, 0);
    for (digit, high) in digits.iter_mut().zip(high) {
        (*digit, carry) = multiply_add(high, 38, *digit, carry);
    }
    // The carry is at most 38. If the addition of 38 times the carry overflows, the remaining number is so small that
    // adding 38 more does not overflow.
    let (digits, overflows) = plus(digits, [carry * 38, 0, 0, 0]);
    let (digits, _) = plus(digits, [if overflows { 38 } else { 0 }, 0, 0, 0]);
    reduce(digits)
}

/// Returns the low and the high half of `a * b + c + d`, which has at most 128 bits.
#[expect(clippy::cast_possible_truncation, reason = "the number is divided into its halves")]
fn multiply_add(a: u64, b: u64, c: u64, d: u64) -> (u64, u64) {
    let wide = u128::from(a) * u128::from(b) + u128::from(c) + u128::from(d);
    (wide as u64, (wide >> 64) as u64)
}

/// Returns the sum modulo 2^256, and whether the sum was larger.
fn plus(a: [u64; 4], b: [u64; 4]) -> ([u64; 4], bool) {
    let (mut digits, mut carry) = ([0; 4], false);
    for (digit, (a, b)) in digits.iter_mut().zip(a.into_iter().zip(b)) {
        let (sum, first) = a.overflowing_add(b);
        let (sum, second) = sum.overflowing_add(u64::from(carry));
        (*digit, carry) = (sum, first || second);
    }
    (digits, carry)
}

/// Returns the difference; `b` is at most `a`.
fn minus(a: [u64; 4], b: [u64; 4]) -> [u64; 4] {
    let (mut digits, mut borrow) = ([0; 4], false);
    for (digit, (a, b)) in digits.iter_mut().zip(a.into_iter().zip(b)) {
        let (difference, first) = a.overflowing_sub(b);
        let (difference, second) = difference.overflowing_sub(u64::from(borrow));
        (*digit, borrow) = (difference, first || second);
    }
    digits
}

/// Reduces a number below 2^256, which is less than three times p, modulo p.
fn reduce(mut digits: [u64; 4]) -> FieldElement {
    while is_at_least_p(digits) {
        digits = minus(digits, P);
    }
    FieldElement(digits)
}

fn is_at_least_p(digits: [u64; 4]) -> bool {
    digits.iter().rev().cmp(P.iter().rev()).is_ge()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    use proptest::prelude::*;

    use super::*;

    fn small(number: u64) -> FieldElement {
        FieldElement([number, 0, 0, 0])
    }

    #[test]
    fn the_constants_are_what_they_say() {
        assert_eq!(small(121_666).mul(D), ZERO.sub(small(121_665)));
        assert_eq!(plus(HALF, HALF).0, minus(P, ONE.0));
        assert_eq!(plus(INVERSE, [2, 0, 0, 0]).0, P);
    }

    #[test]
    fn the_base_point_and_generated_keys_are_good() {
        // RFC 8032, section 5.1: the y of the base point is 4/5.
        let four_fifths = small(4).mul(small(5).power(INVERSE));
        let mut base = [0x66; 32];
        base[0] = 0x58;
        assert_eq!(FieldElement::decode(&base), Some(four_fifths));
        assert_eq!(check(&base), Ok(()));
        for _ in 0..50 {
            let pair = Ed25519KeyPair::generate().unwrap();
            assert_eq!(check(pair.public_key().as_ref().try_into().unwrap()), Ok(()));
        }
    }

    #[test]
    fn half_of_all_numbers_are_no_point() {
        let (mut on, mut off) = (0, 0);
        for number in 2..2000_u64 {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&number.to_le_bytes());
            match check(&key) {
                Ok(()) => on += 1,
                Err(error) => {
                    assert_eq!(error, "the Ed25519 key is not a point of its curve");
                    off += 1;
                }
            }
        }
        assert!((900..1100).contains(&on) && (900..1100).contains(&off), "{on} and {off}");
    }

    fn element() -> impl Strategy<Value = FieldElement> {
        let edge = prop_oneof![Just(0_u64), Just(1), Just(u64::MAX), any::<u64>()];
        proptest::array::uniform4(edge).prop_map(reduce)
    }

    proptest! {
        #[test]
        fn numbers_form_a_field(a in element(), b in element(), c in element()) {
            prop_assert!(!is_at_least_p(a.mul(b).0) && !is_at_least_p(a.add(b).0) && !is_at_least_p(a.sub(b).0));
            prop_assert_eq!(a.mul(b), b.mul(a));
            prop_assert_eq!(a.mul(b).mul(c), a.mul(b.mul(c)));
            prop_assert_eq!(a.mul(b.add(c)), a.mul(b).add(a.mul(c)));
            prop_assert_eq!(a.sub(b).add(b), a);
            let inverse = if a == ZERO { ZERO } else { ONE };
            prop_assert_eq!(a.mul(a.power(INVERSE)), inverse);
            prop_assert!([ZERO, ONE].contains(&a.square().power(HALF)));
        }
    }
}
