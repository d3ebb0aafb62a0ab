//! Tables of FlatBuffers, in which Arrow describes its messages. Every access is checked.

/// Bytes that are no such table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

/// A table: the position of its fields.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Positions of the fields, relative to the table; 0 for one that is not set.
    fields: &'a [u8],
}

/// A list, whose elements all have the same size.
#[derive(Clone, Copy, Debug)]
pub struct Vector<'a> {
    bytes: &'a [u8],
    start: usize,
    pub count: usize,
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Malformed> {
    let end = at.checked_add(N).ok_or(Malformed)?;
    bytes.get(at..end).and_then(|found| found.try_into().ok()).ok_or(Malformed)
}

/// Follows the offset that stands at `at`.
fn follow(bytes: &[u8], at: usize) -> Result<usize, Malformed> {
    at.checked_add(u32::from_le_bytes(array(bytes, at)?) as usize).ok_or(Malformed)
}

impl<'a> Table<'a> {
    /// The table at the root of a message.
    pub fn root(bytes: &'a [u8]) -> Result<Table<'a>, Malformed> {
        Table::at(bytes, follow(bytes, 0)?)
    }

    fn at(bytes: &'a [u8], at: usize) -> Result<Table<'a>, Malformed> {
        let back = i32::from_le_bytes(array(bytes, at)?);
        let list = i64::try_from(at).map_err(|_| Malformed)? - i64::from(back);
        let list = usize::try_from(list).map_err(|_| Malformed)?;
        let length = usize::from(u16::from_le_bytes(array(bytes, list)?));
        let fields = bytes.get(list.checked_add(4).ok_or(Malformed)?..list + length.max(4)).ok_or(Malformed)?;
        Ok(Table { bytes, at, fields })
    }

    /// Position of the value of a field, if it is set.
    fn field(&self, number: usize) -> Result<Option<usize>, Malformed> {
        let Some(offset) = self.fields.get(number * 2..number * 2 + 2) else { return Ok(None) };
        let offset = usize::from(u16::from_le_bytes([offset[0], offset[1]]));
        Ok((offset != 0).then_some(self.at + offset))
    }

    pub fn u8(&self, number: usize) -> Result<u8, Malformed> {
        self.field(number)?.map_or(Ok(0), |at| array::<1>(self.bytes, at).map(|[byte]| byte))
    }

    pub fn i16(&self, number: usize) -> Result<i16, Malformed> {
        self.field(number)?.map_or(Ok(0), |at| array(self.bytes, at).map(i16::from_le_bytes))
    }

    pub fn i64(&self, number: usize) -> Result<i64, Malformed> {
        self.field(number)?.map_or(Ok(0), |at| array(self.bytes, at).map(i64::from_le_bytes))
    }

    pub fn table(&self, number: usize) -> Result<Option<Table<'a>>, Malformed> {
        let Some(at) = self.field(number)? else { return Ok(None) };
        Table::at(self.bytes, follow(self.bytes, at)?).map(Some)
    }

    pub fn text(&self, number: usize) -> Result<String, Malformed> {
        let Some(text) = self.vector(number, 1)? else { return Ok(String::new()) };
        let bytes = &self.bytes[text.start..text.start + text.count];
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    /// A list of elements of `size` bytes.
    pub fn vector(&self, number: usize, size: usize) -> Result<Option<Vector<'a>>, Malformed> {
        let Some(at) = self.field(number)? else { return Ok(None) };
        let at = follow(self.bytes, at)?;
        let count = u32::from_le_bytes(array(self.bytes, at)?) as usize;
        let start = at + 4;
        let end = count.checked_mul(size).and_then(|bytes| start.checked_add(bytes)).ok_or(Malformed)?;
        if end > self.bytes.len() {
            return Err(Malformed);
        }
        Ok(Some(Vector { bytes: self.bytes, start, count }))
    }

    /// A list of tables.
    pub fn tables(&self, number: usize) -> Result<Vec<Table<'a>>, Malformed> {
        let Some(list) = self.vector(number, 4)? else { return Ok(Vec::new()) };
        (0..list.count).map(|index| Table::at(self.bytes, follow(self.bytes, list.start + index * 4)?)).collect()
    }
}

impl Vector<'_> {
    /// The number at `offset` in an element of `size` bytes.
    pub fn i64(&self, index: usize, size: usize, offset: usize) -> Result<i64, Malformed> {
        if index >= self.count {
            return Err(Malformed);
        }
        array(self.bytes, self.start + index * size + offset).map(i64::from_le_bytes)
    }
}
