//! Parquet files by hand: what no writer makes.

/// Thrift's compact protocol: the fields of a struct, in order.
#[derive(Default, Clone)]
pub(crate) struct Fields {
    bytes: Vec<u8>,
    last: u8,
}

pub(crate) fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(u8::try_from(value & 0x7F).unwrap() | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}

impl Fields {
    fn field(mut self, number: u8, kind: u8, value: &[u8]) -> Self {
        self.bytes.push((number - self.last) << 4 | kind);
        self.last = number;
        self.bytes.extend_from_slice(value);
        self
    }

    pub(crate) fn int32(self, number: u8, value: i64) -> Self {
        self.field(number, 5, &varint((value << 1 ^ value >> 63).cast_unsigned()))
    }

    pub(crate) fn int64(self, number: u8, value: i64) -> Self {
        self.field(number, 6, &varint((value << 1 ^ value >> 63).cast_unsigned()))
    }

    pub(crate) fn text(self, number: u8, value: &str) -> Self {
        self.field(number, 8, &[&varint(value.len() as u64), value.as_bytes()].concat())
    }

    pub(crate) fn inner(self, number: u8, value: Self) -> Self {
        self.field(number, 12, &value.end())
    }

    /// A list whose head says that it has `count` elements.
    pub(crate) fn list(self, number: u8, kind: u8, count: u64, elements: &[Vec<u8>]) -> Self {
        self.field(number, 9, &[&[0xF0 | kind][..], &varint(count), &elements.concat()].concat())
    }

    pub(crate) fn structs(self, number: u8, elements: Vec<Self>) -> Self {
        let elements: Vec<Vec<u8>> = elements.into_iter().map(Self::end).collect();
        self.list(number, 12, elements.len() as u64, &elements)
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.bytes.push(0);
        self.bytes
    }
}

/// A column chunk: what the footer says of it, and its pages.
#[derive(Clone)]
pub(crate) struct Chunk {
    pub(crate) name: &'static str,
    pub(crate) is_text: bool,
    /// Values that the footer says.
    pub(crate) said: i64,
    pub(crate) pages: Vec<u8>,
}

/// A run of one repetition level, definition level or place in a dictionary.
pub(crate) fn run(count: u64, value: u8) -> Vec<u8> {
    [varint(count << 1), vec![value]].concat()
}

fn section(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_le_bytes(), bytes].concat()
}

/// A dictionary page of one value.
pub(crate) fn dictionary(value: &[u8]) -> Vec<u8> {
    let size = i64::try_from(value.len()).unwrap();
    let head = Fields::default().int32(1, 2).int32(2, size).int32(3, size);
    [head.inner(7, Fields::default().int32(1, 1).int32(2, 0)).end(), value.to_vec()].concat()
}

/// A data page whose values are all the first of the dictionary; of lists, if there are levels for them.
pub(crate) fn page(values: u64, levels: Option<&[u8]>, said: Option<i64>) -> Vec<u8> {
    let mut body = Vec::new();
    if let Some(levels) = levels {
        body.extend(section(levels));
        body.extend(section(&run(values, 1)));
    }
    body.extend([&[1][..], &run(values, 0)].concat());
    let size = i64::try_from(body.len()).unwrap();
    let of_data = Fields::default().int32(1, i64::try_from(values).unwrap()).int32(2, 8).int32(3, 3).int32(4, 3);
    let head = Fields::default().int32(1, 0).int32(2, said.unwrap_or(size)).int32(3, size).inner(5, of_data);
    [head.end(), body].concat()
}

/// The element of a schema that a column of our shards is, and those inside it.
pub(crate) fn schema(chunk: &Chunk) -> Vec<Fields> {
    if chunk.is_text {
        let text = Fields::default().int32(1, 6).int32(3, 0).text(4, chunk.name).int32(6, 0);
        return vec![text.inner(10, Fields::default().inner(1, Fields::default()))];
    }
    let list = Fields::default().int32(3, 0).text(4, chunk.name).int32(5, 1).int32(6, 3);
    vec![
        list.inner(10, Fields::default().inner(3, Fields::default())),
        Fields::default().int32(3, 2).text(4, "list").int32(5, 1),
        Fields::default().int32(1, 1).int32(3, 0).text(4, "element"),
    ]
}

/// A file of one row group that says that it has `rows` rows.
pub(crate) fn shard(rows: i64, chunks: &[Chunk]) -> Vec<u8> {
    let mut file = b"PAR1".to_vec();
    let mut columns = Vec::new();
    for chunk in chunks {
        let (start, size) = (i64::try_from(file.len()).unwrap(), i64::try_from(chunk.pages.len()).unwrap());
        file.extend(&chunk.pages);
        let path: &[&str] = if chunk.is_text { &[chunk.name] } else { &[chunk.name, "list", "element"] };
        let path: Vec<Vec<u8>> =
            path.iter().map(|part| [&varint(part.len() as u64), part.as_bytes()].concat()).collect();
        let metadata = Fields::default()
            .int32(1, if chunk.is_text { 6 } else { 1 })
            .list(2, 5, 1, &[varint(16)])
            .list(3, 8, path.len() as u64, &path)
            .int32(4, 0)
            .int64(5, chunk.said)
            .int64(6, size)
            .int64(7, size)
            .int64(9, start)
            .int64(11, start);
        columns.push(Fields::default().int64(2, start).inner(3, metadata));
    }
    let row_group = Fields::default().structs(1, columns).int64(2, 1).int64(3, rows);
    let root = Fields::default().text(4, "schema").int32(5, i64::try_from(chunks.len()).unwrap());
    let elements = std::iter::once(root).chain(chunks.iter().flat_map(schema)).collect();
    let footer = Fields::default().int32(1, 1).structs(2, elements).int64(3, rows).structs(4, vec![row_group]);
    closed(&file, &footer.end())
}

/// A file with its footer.
pub(crate) fn closed(file: &[u8], footer: &[u8]) -> Vec<u8> {
    let size = u32::try_from(footer.len()).unwrap().to_le_bytes();
    [file, footer, &size, b"PAR1"].concat()
}
