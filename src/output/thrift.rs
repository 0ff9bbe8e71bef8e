//! Enough of Thrift's compact protocol to check a Parquet footer and page headers before Parquet's reader trusts them:
//! that reader allocates as many elements as a list claims, and recurses as deep as types are nested.

/// Why bytes are malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Malformed {
    /// They end too early.
    Ended,
    /// They are nested too deep, or have an unknown kind.
    Wrong,
}

/// Most structs, lists and maps inside one another; Parquet's own are 8 deep.
const DEPTH: u32 = 24;

/// The kind of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ThriftType(u8);

impl ThriftType {
    pub(super) const LIST: Self = Self(9);
    pub(super) const STRUCT: Self = Self(12);

    /// Whether it is a number of 16, 32 or 64 bits.
    pub(super) fn is_number(self) -> bool {
        (4..=6).contains(&self.0)
    }
}

/// A sequence of values.
pub(super) struct Thrift<'a> {
    bytes: &'a [u8],
    place: usize,
    depth: u32,
}

impl<'a> Thrift<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, place: 0, depth: 0 }
    }

    /// The number of bytes read.
    pub(super) fn place(&self) -> usize {
        self.place
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        let byte = self.bytes.get(self.place).copied().ok_or(Malformed::Ended)?;
        self.place += 1;
        Ok(byte)
    }

    fn take(&mut self, count: u64) -> Result<(), Malformed> {
        let rest = self.bytes.len() - self.place;
        let count = usize::try_from(count).ok().filter(|count| *count <= rest).ok_or(Malformed::Ended)?;
        self.place += count;
        Ok(())
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed::Wrong)
    }

    /// A number of 16, 32 or 64 bits.
    pub(super) fn number(&mut self) -> Result<i64, Malformed> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// Reads the fields of a struct, by number. `visit` takes a field's value and says so, or leaves it.
    pub(super) fn fields(
        &mut self,
        mut visit: impl FnMut(&mut Self, i64, ThriftType) -> Result<bool, Malformed>,
    ) -> Result<(), Malformed> {
        self.deeper(|this| {
            let mut number = 0_i64;
            loop {
                let head = this.byte()?;
                if head == 0 {
                    return Ok(());
                }
                number = match head >> 4 {
                    0 => this.number()?,
                    more => number.checked_add(i64::from(more)).ok_or(Malformed::Wrong)?,
                };
                let kind = ThriftType(head & 0x0F);
                if !visit(this, number, kind)? {
                    this.skip(kind)?;
                }
            }
        })
    }

    /// The number and the kind of a list's elements, each of which takes at least a byte.
    pub(super) fn list(&mut self) -> Result<(u64, ThriftType), Malformed> {
        let head = self.byte()?;
        let count = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
        if count > (self.bytes.len() - self.place) as u64 {
            return Err(Malformed::Ended);
        }
        Ok((count, ThriftType(head & 0x0F)))
    }

    fn deeper(&mut self, job: impl FnOnce(&mut Self) -> Result<(), Malformed>) -> Result<(), Malformed> {
        if self.depth == DEPTH {
            return Err(Malformed::Wrong);
        }
        self.depth += 1;
        job(self)?;
        self.depth -= 1;
        Ok(())
    }

    /// Skips the value of a field.
    pub(super) fn skip(&mut self, kind: ThriftType) -> Result<(), Malformed> {
        match kind.0 {
            // The value of a boolean is in its field's head.
            1 | 2 => Ok(()),
            3 => self.take(1),
            4..=6 => self.varint().map(drop),
            7 => self.take(8),
            8 => {
                let count = self.varint()?;
                self.take(count)
            }
            9 | 10 => self.deeper(|this| {
                let (count, kind) = this.list()?;
                (0..count).try_for_each(|_| this.skip_element(kind))
            }),
            11 => self.deeper(|this| {
                let count = this.varint()?;
                if count == 0 {
                    return Ok(());
                }
                let kinds = this.byte()?;
                (0..count).try_for_each(|_| {
                    this.skip_element(ThriftType(kinds >> 4))?;
                    this.skip_element(ThriftType(kinds & 0x0F))
                })
            }),
            12 => self.fields(|_, _, _| Ok(false)),
            13 => self.take(16),
            _ => Err(Malformed::Wrong),
        }
    }

    /// In lists, booleans take a byte.
    fn skip_element(&mut self, kind: ThriftType) -> Result<(), Malformed> {
        if matches!(kind.0, 1 | 2) { self.take(1) } else { self.skip(kind) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_no_more_elements_than_bytes_follow() {
        let mut huge = Thrift::new(&[0xFC, 0xFF, 0xFF, 0xFF, 0x7F, 0, 0]);
        assert_eq!(huge.list(), Err(Malformed::Ended));
        let mut two = Thrift::new(&[0x2C, 0, 0]);
        assert_eq!(two.list(), Ok((2, ThriftType::STRUCT)));
    }

    #[test]
    fn what_is_nested_too_deep_is_refused() {
        let nested = |levels: usize| [vec![0x1C; levels], vec![0; levels + 1]].concat();
        assert_eq!(Thrift::new(&nested(20)).skip(ThriftType::STRUCT), Ok(()));
        assert_eq!(Thrift::new(&nested(100_000)).skip(ThriftType::STRUCT), Err(Malformed::Wrong));
    }

    #[test]
    fn numbers_have_their_signs() {
        let number = |bytes: &[u8]| Thrift::new(bytes).number();
        assert_eq!((number(&[2]), number(&[1]), number(&[0x80])), (Ok(1), Ok(-1), Err(Malformed::Ended)));
    }
}
