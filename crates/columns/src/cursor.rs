//! Numbers from bytes, without reading past their end.

/// The bytes ended in the middle of something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EndsEarly;

impl From<EndsEarly> for String {
    fn from(_: EndsEarly) -> String {
        "it ends in the middle".to_owned()
    }
}

/// Bytes from `at` on.
pub fn take<'a>(bytes: &'a [u8], at: &mut usize, count: usize) -> Result<&'a [u8], EndsEarly> {
    let end = at.checked_add(count).ok_or(EndsEarly)?;
    let taken = bytes.get(*at..end).ok_or(EndsEarly)?;
    *at = end;
    Ok(taken)
}

pub fn byte(bytes: &[u8], at: &mut usize) -> Result<u8, EndsEarly> {
    take(bytes, at, 1).map(|taken| taken[0])
}

pub fn u32_le(bytes: &[u8], at: &mut usize) -> Result<u32, EndsEarly> {
    take(bytes, at, 4).map(|taken| u32::from_le_bytes([taken[0], taken[1], taken[2], taken[3]]))
}

/// A number in groups of seven bits, the lowest first (LEB128). Bits beyond 64 are dropped.
pub fn varint(bytes: &[u8], at: &mut usize) -> Result<u64, EndsEarly> {
    let mut number = 0;
    for shift in (0..70).step_by(7) {
        let byte = byte(bytes, at)?;
        number |= u64::from(byte & 0x7F).checked_shl(shift).unwrap_or(0);
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(EndsEarly)
}

/// A signed number as a varint: 0, -1, 1, -2, ...
pub fn zigzag(bytes: &[u8], at: &mut usize) -> Result<i64, EndsEarly> {
    let number = varint(bytes, at)?;
    Ok((number >> 1) as i64 ^ -((number & 1) as i64))
}
