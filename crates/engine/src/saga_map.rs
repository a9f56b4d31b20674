//! A map of sagas that is gone through in the same order in every run with the same sagas: a shard
//! that breaks off tells whoever waits in the order of its map, and a simulated run must be repeatable.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use amends_core::SagaId;

/// See the module.
pub type SagaMap<T> = HashMap<SagaId, T, BuildHasherDefault<SagaHasher>>;

/// Mixes a saga's id, without a secret: ids are made by us, so nobody can choose them to collide.
#[derive(Clone, Copy, Default)]
pub struct SagaHasher(u64);

impl Hasher for SagaHasher {
    fn write_u128(&mut self, id: u128) {
        // The upper half is mostly the time, the lower one is random. A shard's number is made of the
        // product with another constant, so its sagas are not alike in this one.
        let folded = (id as u64) ^ ((id >> 64) as u64).rotate_left(32);
        let mixed = folded.wrapping_mul(0xd6e8_feb8_6659_fd93);
        self.0 = mixed ^ (mixed >> 32);
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_sagas_come_in_the_same_order() {
        let filled =
            || (0..1_000u128).map(|n| (SagaId((n << 64) | (n * 7)), n)).collect::<SagaMap<_>>();
        assert!(filled().into_keys().eq(filled().into_keys()));
    }

    #[test]
    fn ids_that_differ_a_little_are_spread() {
        let mut buckets = [0u32; 64];
        for n in 0..64_000u128 {
            let mut hasher = SagaHasher::default();
            hasher.write_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 | n);
            buckets[hasher.finish() as usize % 64] += 1;
        }
        assert!(buckets.iter().all(|&held| (500..2_000).contains(&held)), "{buckets:?}");
    }
}
