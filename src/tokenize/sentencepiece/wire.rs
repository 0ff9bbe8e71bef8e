//! Protobuf's wire format, as far as a model file needs it: reads the fields of a message, one by one. It copies
//! nothing, and checks every length against the message.

/// A field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 2.
    Bytes(&'a [u8]),
    /// Wire type 5.
    Fixed32(u32),
    /// Wire types 1 and 3, which no field of a model has.
    Other,
}

/// What is wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::tokenize) enum WireError {
    #[error("a field is longer than its message")]
    Cut,
    #[error("a number has more than ten bytes")]
    LongVarint,
    #[error("a field has the number {0}")]
    Number(u64),
    #[error("a field has the wire type {0}")]
    WireType(u64),
    #[error("a group ends that has not begun, or does not end, or more than {MAX_GROUPS} are nested")]
    Group,
}

/// Most nested groups. Protobuf's readers allow a hundred.
const MAX_GROUPS: usize = 100;

/// Largest field number.
const MAX_NUMBER: u64 = (1 << 29) - 1;

/// The rest of a message.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next field's number and value.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Value<'a>)>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (number, wire_type) = self.tag()?;
        if wire_type != 3 {
            return Ok(Some((number, self.value(wire_type)?)));
        }
        let mut open = vec![number];
        while let Some(&innermost) = open.last() {
            match self.tag()? {
                (number, 3) if open.len() < MAX_GROUPS => open.push(number),
                (number, 4) if number == innermost => drop(open.pop()),
                (_, 3 | 4) => return Err(WireError::Group),
                (_, wire_type) => drop(self.value(wire_type)?),
            }
        }
        Ok(Some((number, Value::Other)))
    }

    fn tag(&mut self) -> Result<(u64, u64), WireError> {
        let tag = self.varint()?;
        let number = tag >> 3;
        if number == 0 || number > MAX_NUMBER { Err(WireError::Number(number)) } else { Ok((number, tag & 7)) }
    }

    fn value(&mut self, wire_type: u64) -> Result<Value<'a>, WireError> {
        match wire_type {
            0 => self.varint().map(Value::Varint),
            1 => self.take(8).map(|_| Value::Other),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| WireError::Cut)?;
                self.take(length).map(Value::Bytes)
            }
            4 => Err(WireError::Group),
            5 => {
                let (bytes, _) = self.take(4)?.as_chunks::<4>();
                bytes.first().map(|bytes| Value::Fixed32(u32::from_le_bytes(*bytes))).ok_or(WireError::Cut)
            }
            other => Err(WireError::WireType(other)),
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(WireError::Cut)?;
        self.rest = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, WireError> {
        let mut number = 0;
        for place in 0..10 {
            let (&byte, rest) = self.rest.split_first().ok_or(WireError::Cut)?;
            self.rest = rest;
            number |= u64::from(byte & 0x7F) << (7 * place); // of the tenth byte all but one bit fall off, as in protobuf's readers
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(WireError::LongVarint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(message: &[u8]) -> Result<Vec<(u64, Value<'_>)>, WireError> {
        let mut fields = Fields::new(message);
        let mut found = Vec::new();
        while let Some(field) = fields.next()? {
            found.push(field);
        }
        Ok(found)
    }

    #[test]
    fn fields_are_read_by_their_wire_types() {
        let message = b"\x08\x96\x01\x12\x02hi\x1d\x01\0\0\0\x21\0\0\0\0\0\0\0\0\x2b\x08\x01\x2c";
        let expected = [
            (1, Value::Varint(150)),
            (2, Value::Bytes(b"hi")),
            (3, Value::Fixed32(1)),
            (4, Value::Other),
            (5, Value::Other),
        ];
        assert_eq!(all(message).unwrap(), expected);
        assert_eq!(all(b"").unwrap(), []);
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        let deep = [0x0B; 101];
        for (message, error) in [
            (&b"\x0a\x05abc"[..], WireError::Cut),
            (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", WireError::Cut),
            (b"\x08", WireError::Cut),
            (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", WireError::LongVarint),
            (b"\x02\0", WireError::Number(0)),
            (b"\x0f", WireError::WireType(7)),
            (b"\x0c", WireError::Group),
            (b"\x0b\x14", WireError::Group),
            (b"\x0b\x08\x01", WireError::Cut),
            (&deep, WireError::Group),
        ] {
            assert_eq!(all(message), Err(error), "{message:?}");
        }
    }
}
