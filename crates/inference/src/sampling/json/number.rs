//! Numbers of JSON, byte by byte.

/// Where a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    Minus,
    /// A zero, which no digit may follow.
    Zero,
    Digits,
    Point,
    Fraction,
    Exponent,
    Sign,
    ExponentDigits,
}

impl Number {
    /// The first byte.
    pub fn start(byte: u8) -> Option<Self> {
        match byte {
            b'-' => Some(Number::Minus),
            b'0' => Some(Number::Zero),
            b'1'..=b'9' => Some(Number::Digits),
            _ => None,
        }
    }

    /// The place after the next byte, or `None` if it is no part of the number.
    pub fn next(self, byte: u8) -> Option<Self> {
        let next = match (self, byte) {
            (Number::Minus, b'0') => Number::Zero,
            (Number::Minus, b'1'..=b'9') | (Number::Digits, b'0'..=b'9') => Number::Digits,
            (Number::Zero | Number::Digits, b'.') => Number::Point,
            (Number::Point | Number::Fraction, b'0'..=b'9') => Number::Fraction,
            (Number::Zero | Number::Digits | Number::Fraction, b'e' | b'E') => Number::Exponent,
            (Number::Exponent, b'+' | b'-') => Number::Sign,
            (Number::Exponent | Number::Sign | Number::ExponentDigits, b'0'..=b'9') => Number::ExponentDigits,
            _ => return None,
        };
        Some(next)
    }

    /// True if the number may end here.
    pub fn is_complete(self) -> bool {
        matches!(self, Number::Zero | Number::Digits | Number::Fraction | Number::ExponentDigits)
    }

    /// True if the number has neither a fraction nor an exponent.
    pub fn is_whole(self) -> bool {
        matches!(self, Number::Minus | Number::Zero | Number::Digits)
    }
}
