//! Fields of protocol buffers: <https://protobuf.dev/programming-guides/encoding>.

/// A message that is being written.
#[derive(Default)]
pub(crate) struct Message(Vec<u8>);

/// A field of a message that was read. Other types than these do not occur in our files.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Field<'d> {
    Integer(u64),
    Double(f64),
    Float(f32),
    Bytes(&'d [u8]),
}

const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED_32: u64 = 5;

impl Message {
    pub(crate) fn integer(mut self, number: u64, value: u64) -> Message {
        self.key(number, VARINT);
        self.varint(value);
        self
    }

    pub(crate) fn double(mut self, number: u64, value: f64) -> Message {
        self.key(number, FIXED_64);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(crate) fn float(mut self, number: u64, value: f32) -> Message {
        self.key(number, FIXED_32);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(crate) fn bytes(mut self, number: u64, value: &[u8]) -> Message {
        self.key(number, LENGTH);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    pub(crate) fn text(self, number: u64, value: &str) -> Message {
        self.bytes(number, value.as_bytes())
    }

    pub(crate) fn message(self, number: u64, value: Message) -> Message {
        self.bytes(number, &value.0)
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }

    fn key(&mut self, number: u64, kind: u64) {
        self.varint(number << 3 | kind);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// The fields of a message in order; ends early at damage.
pub(crate) fn fields(mut data: &[u8]) -> impl Iterator<Item = (u64, Field<'_>)> {
    std::iter::from_fn(move || {
        let key = take_varint(&mut data)?;
        let field = match key & 7 {
            VARINT => Field::Integer(take_varint(&mut data)?),
            FIXED_64 => Field::Double(f64::from_le_bytes(*take(&mut data)?)),
            FIXED_32 => Field::Float(f32::from_le_bytes(*take(&mut data)?)),
            LENGTH => {
                let length = usize::try_from(take_varint(&mut data)?).ok()?;
                let (bytes, rest) = data.split_at_checked(length)?;
                data = rest;
                Field::Bytes(bytes)
            }
            _ => return None,
        };
        Some((key >> 3, field))
    })
}

fn take<'d, const N: usize>(data: &mut &'d [u8]) -> Option<&'d [u8; N]> {
    let (bytes, rest) = data.split_first_chunk()?;
    *data = rest;
    Some(bytes)
}

fn take_varint(data: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = data.split_first()?;
        *data = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
