//! Numbers that look random and are functions of their arguments. Invariant: no state, so any row can be computed alone.

/// A bijection of 64-bit numbers that scatters neighbours (the finaliser of splitmix64).
pub(crate) const fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A number that depends on `seed`, a purpose `salt` and an index.
pub(crate) const fn draw(seed: u64, salt: u64, index: u64) -> u64 {
    mix(mix(seed ^ mix(salt)) ^ index)
}

/// A number below `bound` (0 where `bound` is 0), close to uniform.
pub(crate) const fn below(random: u64, bound: u64) -> u64 {
    // The upper half of a 128-bit product: even for any bound, without a division.
    ((random as u128 * bound as u128) >> 64) as u64
}

/// Whether an event of this probability happens.
#[expect(clippy::cast_precision_loss, reason = "53 bits of chance are plenty")]
pub(crate) fn chance(random: u64, share: f64) -> bool {
    let unit = (random >> 11) as f64 / (1_u64 << 53) as f64;
    unit < share
}

/// One of a list that is not empty.
pub(crate) fn pick<T>(random: u64, list: &[T]) -> &T {
    let len = list.len() as u64;
    &list[usize::try_from(below(random, len)).unwrap_or(0)]
}

/// A fixed pseudo-random permutation of `0..size`, `size` a power of four: a four-round Feistel network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Permutation {
    seed: u64,
    half_bits: u32,
}

impl Permutation {
    /// The permutation of the smallest power of four that is at least `size` and 1,024.
    pub(crate) fn covering(size: u64, seed: u64) -> Self {
        let bits = u64::BITS - size.saturating_sub(1).leading_zeros();
        Self { seed, half_bits: bits.div_ceil(2).clamp(5, 31) }
    }

    /// How many numbers are permuted.
    pub(crate) const fn size(self) -> u64 {
        1 << (2 * self.half_bits)
    }

    /// Where `x` (below [`Permutation::size`]) goes.
    pub(crate) const fn apply(self, x: u64) -> u64 {
        let mask = (1 << self.half_bits) - 1;
        let (mut left, mut right) = (x >> self.half_bits & mask, x & mask);
        let mut round = 0;
        while round < 4 {
            (left, right) = (right, left ^ (draw(self.seed, round, right) & mask));
            round += 1;
        }
        left << self.half_bits | right
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_permutation_hits_every_number_once() {
        for size in [1_u64, 1_024, 1_025, 5_000] {
            let permutation = Permutation::covering(size, 7);
            assert!(permutation.size() >= size);
            let seen: BTreeSet<u64> = (0..permutation.size()).map(|x| permutation.apply(x)).collect();
            assert_eq!(seen.len() as u64, permutation.size());
            assert!(seen.iter().all(|x| *x < permutation.size()));
        }
    }

    #[test]
    fn draws_spread_over_their_range() {
        let hits = (0..10_000).filter(|i| chance(draw(1, 2, *i), 0.2)).count();
        assert!((1_800..2_200).contains(&hits), "{hits}");
        let list = ["a", "b", "c"];
        let b = (0..9_000).filter(|i| *pick(draw(3, 4, *i), &list) == "b").count();
        assert!((2_800..3_200).contains(&b), "{b}");
        assert_eq!(below(u64::MAX, 0), 0);
    }
}
