//! The digest of rows, which depends on neither their order nor the shards.

use arrow::datatypes::ToByteSlice as _;
use sha2::{Digest as _, Sha256};

use crate::denoise::Address;

/// The origin of an example.
#[derive(Debug, Clone, Copy)]
pub struct Provenance<'a> {
    /// Name of the denoiser.
    pub denoiser: &'a str,
    /// Name of the source.
    pub source: &'a str,
    /// Line, epoch and segment.
    pub address: Address,
}

/// Adds an example to the hash of its row, in the canonical encoding of `docs/reference/manifest.md`.
pub(super) fn hash_example(
    hash: &mut Sha256,
    from: Provenance<'_>,
    prefix_length: Option<u32>,
    input_ids: &[i32],
    labels: &[i32],
) {
    for text in [from.source, from.denoiser] {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    hash.update(from.address.line.to_le_bytes());
    hash.update(u64::from(from.address.segment).to_le_bytes());
    hash.update(u64::from(from.address.epoch).to_le_bytes());
    if let Some(prefix_length) = prefix_length {
        hash.update(u64::from(prefix_length).to_le_bytes());
    }
    for ids in [input_ids, labels] {
        hash.update((ids.len() as u64).to_le_bytes());
        if cfg!(target_endian = "little") {
            hash.update(ids.to_byte_slice());
        } else {
            for id in ids {
                hash.update(id.to_le_bytes());
            }
        }
    }
}

/// A digest of a set of rows that does not depend on their order or on shards: the sum of the rows' SHA-256, modulo 2^256.
///
/// A row is hashed in a canonical encoding (`docs/reference/manifest.md`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowsDigest(pub(super) [u64; 4]);

impl RowsDigest {
    /// Adds the rows of another digest.
    pub fn add(&mut self, other: &Self) {
        let mut carry = false;
        for (limb, other) in self.0.iter_mut().zip(other.0) {
            let (sum, first) = limb.overflowing_add(other);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            *limb = sum;
            carry = first || second;
        }
    }

    pub(super) fn from_bytes(bytes: [u8; 32]) -> Self {
        let mut limbs = [0; 4];
        for (limb, bytes) in limbs.iter_mut().zip(bytes.as_chunks().0) {
            *limb = u64::from_le_bytes(*bytes);
        }
        Self(limbs)
    }

    /// The digest as 64 hex digits, least significant byte first.
    #[must_use]
    pub fn hex(&self) -> String {
        self.0.iter().map(|limb| crate::digest::hex(&limb.to_le_bytes())).collect()
    }

    /// The digest that [`RowsDigest::hex`] wrote; `None` if the text is not one.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let bytes = crate::digest::from_hex(text)?;
        Some(Self::from_bytes(bytes.try_into().ok()?))
    }
}

/// The digest of one row, example by example.
#[derive(Default)]
pub struct RowHash(Sha256);

impl RowHash {
    /// Adds the next example of the row; `prefix_length` is for a causal one.
    pub fn add(&mut self, from: Provenance<'_>, prefix_length: Option<u32>, input_ids: &[i32], labels: &[i32]) {
        hash_example(&mut self.0, from, prefix_length, input_ids, labels);
    }

    /// The digest of the row alone.
    #[must_use]
    pub fn finish(self) -> RowsDigest {
        RowsDigest::from_bytes(self.0.finalize().into())
    }
}
