//! Runs of ASCII letters, which most of most texts are, counted eight bytes at a time.

/// A kind of ASCII letters, by the bit that is set in each byte before it is compared with the lower-case ones.
#[derive(Clone, Copy)]
#[repr(u64)]
pub(in crate::tokenize) enum Letters {
    /// `a` to `z`.
    Lower = 0,
    /// And `A` to `Z`.
    Any = 0x20,
}

impl Letters {
    /// All of them.
    pub(in crate::tokenize) fn bytes(self) -> impl Iterator<Item = u8> {
        (b'A'..=b'z').filter(move |byte| (byte | self as u8).is_ascii_lowercase())
    }

    /// How many bytes are letters before the first one that is not.
    #[inline]
    fn count(self, bytes: [u8; 8]) -> usize {
        const EACH: u64 = 0x0101_0101_0101_0101;
        let bytes = u64::from_le_bytes(bytes);
        let low = (bytes | (EACH * self as u64)) & (EACH * 0x7F);
        // The upper bit of each byte: whether it is at least `a`, and whether it is beyond `z`.
        let from_a = low + EACH * (0x80 - u64::from(b'a'));
        let beyond_z = low + EACH * (0x7F - u64::from(b'z'));
        let letters = from_a & !beyond_z & !bytes & (EACH * 0x80);
        ((letters ^ (EACH * 0x80)).trailing_zeros() / 8) as usize
    }

    /// Where the letters that begin at `place` end.
    #[inline]
    pub(in crate::tokenize) fn end(self, text: &[u8], mut place: usize) -> usize {
        while let Some(bytes) = text.get(place..).and_then(<[u8]>::first_chunk) {
            let count = self.count(*bytes);
            place += count;
            if count < 8 {
                return place;
            }
        }
        let mut bytes = [0; 8];
        let rest = text.get(place..).unwrap_or_default();
        bytes[..rest.len()].copy_from_slice(rest);
        place + self.count(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_counted_up_to_the_first_other_byte() {
        for byte in 0..=255_u8 {
            for place in 0..8 {
                let mut bytes = *b"azzaqxmb";
                bytes[place] = byte;
                assert_eq!(Letters::Lower.count(bytes), if byte.is_ascii_lowercase() { 8 } else { place }, "{byte}");
                let mut bytes = *b"aZzAqXmb";
                bytes[place] = byte;
                assert_eq!(Letters::Any.count(bytes), if byte.is_ascii_alphabetic() { 8 } else { place }, "{byte}");
            }
        }
    }

    #[test]
    fn letters_end_where_the_first_other_byte_is_at_the_latest_at_the_end() {
        for length in 0..40 {
            for after in ["", " ", " more letters", "é"] {
                let text = format!("..{}{after}", "x".repeat(length));
                assert_eq!(Letters::Any.end(text.as_bytes(), 2), 2 + length, "{text}");
            }
        }
        assert_eq!(Letters::Any.end(b"ab", 3), 3);
    }
}
