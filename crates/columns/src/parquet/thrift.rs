//! The compact protocol of Thrift, in which Parquet writes its footer and page headers.

use crate::cursor::{EndsEarly, byte, take, varint, zigzag};

/// Deepest nesting of structures; Parquet needs six.
const DEEPEST: u32 = 32;

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Malformed {
    /// More bytes might complete it.
    EndsEarly,
    /// No continuation makes it valid.
    Wrong(&'static str),
}

impl From<EndsEarly> for Malformed {
    fn from(_: EndsEarly) -> Malformed {
        Malformed::EndsEarly
    }
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Malformed::EndsEarly => f.write_str("it ends in the middle"),
            Malformed::Wrong(what) => f.write_str(what),
        }
    }
}

/// Type of a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kind(u8);

impl Kind {
    const TRUE: u8 = 1;
    const BYTE: u8 = 3;
    const BINARY: u8 = 8;
    const STRUCT: u8 = 12;

    /// The value of a boolean field, which is its type.
    pub fn is_true(self) -> bool {
        self.0 == Kind::TRUE
    }
}

/// Says whether the callback has read a field or the reader must skip it.
pub enum Field {
    Read,
    Skip,
}

pub struct Thrift<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: u32,
}

impl<'a> Thrift<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Thrift { bytes, at: 0, depth: 0 }
    }

    /// Bytes read so far.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Reads a structure; calls `each` with the number and type of every field.
    pub fn structure(
        &mut self,
        mut each: impl FnMut(&mut Self, i64, Kind) -> Result<Field, Malformed>,
    ) -> Result<(), Malformed> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Malformed::Wrong("structures are nested too deep"));
        }
        let mut id = 0;
        loop {
            let head = byte(self.bytes, &mut self.at)?;
            if head == 0 {
                break;
            }
            let step = i64::from(head >> 4);
            id = if step == 0 { zigzag(self.bytes, &mut self.at)? } else { id + step };
            let kind = Kind(head & 15);
            if let Field::Skip = each(self, id, kind)? {
                self.skip(kind)?;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    pub fn integer(&mut self, kind: Kind) -> Result<i64, Malformed> {
        match kind.0 {
            4..=6 => Ok(zigzag(self.bytes, &mut self.at)?),
            Kind::BYTE => Ok(i64::from(byte(self.bytes, &mut self.at)?.cast_signed())),
            _ => Err(Malformed::Wrong("a number is missing")),
        }
    }

    pub fn text(&mut self, kind: Kind) -> Result<String, Malformed> {
        if kind.0 != Kind::BINARY {
            return Err(Malformed::Wrong("a text is missing"));
        }
        Ok(String::from_utf8_lossy(self.binary()?).into_owned())
    }

    fn binary(&mut self) -> Result<&'a [u8], Malformed> {
        let length = varint(self.bytes, &mut self.at)?;
        let length = usize::try_from(length).map_err(|_| Malformed::EndsEarly)?;
        Ok(take(self.bytes, &mut self.at, length)?)
    }

    /// Reads a list of structures.
    pub fn structures<T>(
        &mut self,
        kind: Kind,
        mut each: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        self.list(kind, |thrift, kind| {
            if kind.0 == Kind::STRUCT { each(thrift) } else { Err(Malformed::Wrong("a structure is missing")) }
        })
    }

    pub fn texts(&mut self, kind: Kind) -> Result<Vec<String>, Malformed> {
        self.list(kind, Thrift::text)
    }

    fn list<T>(
        &mut self,
        kind: Kind,
        mut each: impl FnMut(&mut Self, Kind) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        if !matches!(kind.0, 9 | 10) {
            return Err(Malformed::Wrong("a list is missing"));
        }
        let (count, kind) = self.list_head()?;
        // Grows as elements arrive: a count alone reserves nothing.
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(each(self, kind)?);
        }
        Ok(all)
    }

    fn list_head(&mut self) -> Result<(u64, Kind), Malformed> {
        let head = byte(self.bytes, &mut self.at)?;
        let count = if head >> 4 == 15 { varint(self.bytes, &mut self.at)? } else { u64::from(head >> 4) };
        // Every element has a byte at least.
        if count > (self.bytes.len() - self.at) as u64 {
            return Err(Malformed::EndsEarly);
        }
        Ok((count, Kind(head & 15)))
    }

    fn skip(&mut self, kind: Kind) -> Result<(), Malformed> {
        match kind.0 {
            1 | 2 => Ok(()),
            _ => self.skip_element(kind),
        }
    }

    /// Skips a value that is not a field: there, a boolean has a byte of its own.
    fn skip_element(&mut self, kind: Kind) -> Result<(), Malformed> {
        match kind.0 {
            1..=3 => drop(byte(self.bytes, &mut self.at)?),
            4..=6 => drop(varint(self.bytes, &mut self.at)?),
            7 => drop(take(self.bytes, &mut self.at, 8)?),
            Kind::BINARY => drop(self.binary()?),
            9 | 10 => {
                let (count, kind) = self.list_head()?;
                self.nested(|thrift| (0..count).try_for_each(|_| thrift.skip_element(kind)))?;
            }
            11 => {
                let count = varint(self.bytes, &mut self.at)?;
                if count > 0 {
                    let kinds = byte(self.bytes, &mut self.at)?;
                    self.nested(|thrift| {
                        (0..count).try_for_each(|_| {
                            thrift.skip_element(Kind(kinds >> 4))?;
                            thrift.skip_element(Kind(kinds & 15))
                        })
                    })?;
                }
            }
            Kind::STRUCT => self.structure(|_, _, _| Ok(Field::Skip))?,
            _ => return Err(Malformed::Wrong("a type that does not exist")),
        }
        Ok(())
    }

    fn nested(&mut self, read: impl FnOnce(&mut Self) -> Result<(), Malformed>) -> Result<(), Malformed> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Malformed::Wrong("lists are nested too deep"));
        }
        read(self)?;
        self.depth -= 1;
        Ok(())
    }
}
