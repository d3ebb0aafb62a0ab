//! Replaces personal data that has a recognisable form: e-mail addresses, public IPv4 addresses, telephone numbers,
//! numbers of payment cards and bank accounts. Names and postal addresses have none and stay.

use std::net::Ipv4Addr;

/// A form of personal data.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pii {
    Email,
    /// Public IPv4 addresses; private and local ones stay.
    IpAddress,
    /// Numbers with `+` and 8 to 15 digits, and groups of 3, 3 and 4 digits.
    Phone,
    /// 13 to 19 digits whose check digit is right (ISO/IEC 7812).
    CardNumber,
    /// International bank account numbers whose check digits are right (ISO 13616).
    Iban,
}

impl Pii {
    pub const ALL: [Pii; 5] = [Pii::Email, Pii::IpAddress, Pii::Phone, Pii::CardNumber, Pii::Iban];

    pub fn as_str(self) -> &'static str {
        match self {
            Pii::Email => "email",
            Pii::IpAddress => "ip_address",
            Pii::Phone => "phone",
            Pii::CardNumber => "card_number",
            Pii::Iban => "iban",
        }
    }

    /// Text that takes its place.
    fn placeholder(self) -> &'static str {
        match self {
            Pii::Email => "[email]",
            Pii::IpAddress => "[ip]",
            Pii::Phone => "[phone]",
            Pii::CardNumber => "[card]",
            Pii::Iban => "[iban]",
        }
    }

    /// Length of such data at the start of `text`.
    fn length(self, text: &str) -> Option<usize> {
        match self {
            Pii::Email => email(text),
            Pii::IpAddress => ip_address(text),
            Pii::Phone => phone(text),
            Pii::CardNumber => card(text),
            Pii::Iban => iban(text),
        }
    }
}

/// Number of replacements by form, in the order of [`Pii::ALL`].
pub type Replaced = [u64; Pii::ALL.len()];

/// Replaces the wanted forms. Returns `None` if there are none.
pub fn replace(text: &str, wanted: &[Pii]) -> Option<(String, Replaced)> {
    if wanted.is_empty() {
        return None;
    }
    let mut out = String::new();
    let mut replaced = Replaced::default();
    let (mut copied, mut at) = (0, 0);
    let mut inside_word = false;
    while let Some(c) = text[at..].chars().next() {
        let may_start = !inside_word && (c.is_ascii_alphanumeric() || matches!(c, '+' | '('));
        let found = if may_start { first(&text[at..], wanted) } else { None };
        if let Some((kind, length)) = found {
            out.push_str(&text[copied..at]);
            out.push_str(kind.placeholder());
            replaced[kind as usize] += 1;
            at += length;
            copied = at;
            inside_word = false;
        } else {
            inside_word = c.is_alphanumeric() || matches!(c, '.' | '_' | '%' | '-' | '+') && inside_word;
            at += c.len_utf8();
        }
    }
    if copied == 0 {
        return None;
    }
    out.push_str(&text[copied..]);
    Some((out, replaced))
}

/// The first form, in the order of [`Pii::ALL`], that the text starts with. Cards and accounts come before telephone
/// numbers, which they may look like.
fn first(text: &str, wanted: &[Pii]) -> Option<(Pii, usize)> {
    const TRIED: [Pii; 5] = [Pii::Email, Pii::IpAddress, Pii::CardNumber, Pii::Iban, Pii::Phone];
    TRIED.into_iter().filter(|kind| wanted.contains(kind)).find_map(|kind| Some((kind, kind.length(text)?)))
}

/// Local part and domain as they are in use, without quoted local parts (RFC 5322 allows more).
fn email(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let local = run(bytes, |b| b.is_ascii_alphanumeric() || b"._%+-".contains(&b));
    if local == 0 || local > 64 || bytes.get(local) != Some(&b'@') {
        return None;
    }
    let domain = run(&bytes[local + 1..], |b| b.is_ascii_alphanumeric() || b".-".contains(&b));
    let domain = text[local + 1..local + 1 + domain].trim_end_matches(['.', '-']);
    let (host, top) = domain.rsplit_once('.')?;
    let valid = !host.is_empty()
        && host.split('.').all(|label| !label.is_empty())
        && top.len() >= 2
        && top.bytes().all(|b| b.is_ascii_alphabetic());
    valid.then_some(local + 1 + domain.len())
}

fn ip_address(text: &str) -> Option<usize> {
    let length = run(text.as_bytes(), |b| b.is_ascii_digit() || b == b'.');
    let length = text[..length].trim_end_matches('.').len();
    let address: Ipv4Addr = text[..length].parse().ok()?;
    let local = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_unspecified()
        || address.is_broadcast()
        || address.is_documentation();
    (!local && ends(text, length)).then_some(length)
}

/// Digits of a number that is written with single separators, and its length.
fn number(text: &str, separators: &[u8]) -> (Vec<u8>, usize) {
    let bytes = text.as_bytes();
    let (mut digits, mut at, mut end) = (Vec::new(), 0, 0);
    while let Some(byte) = bytes.get(at) {
        if byte.is_ascii_digit() {
            digits.push(byte - b'0');
            end = at + 1;
        } else if !separators.contains(byte) || at > 0 && !bytes[at - 1].is_ascii_digit() {
            break;
        }
        at += 1;
    }
    (digits, end)
}

fn card(text: &str) -> Option<usize> {
    if !text.starts_with(|c: char| ('3'..='6').contains(&c)) {
        return None;
    }
    let (digits, length) = number(text, b" -");
    let valid = (13..=19).contains(&digits.len()) && luhn(&digits) && ends(text, length);
    valid.then_some(length)
}

/// Check of ISO/IEC 7812: from the right, every second digit is doubled; the sum of all digits ends in 0.
fn luhn(digits: &[u8]) -> bool {
    let doubled = |digit: u8| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| u32::from(if at % 2 == 1 { doubled(*digit) } else { *digit }))
        .sum();
    sum.is_multiple_of(10)
}

/// Two letters, two check digits and 11 to 30 letters or digits, in one piece or in groups of four.
fn iban(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let starts =
        bytes.len() > 4 && bytes[..2].iter().all(u8::is_ascii_uppercase) && bytes[2..4].iter().all(u8::is_ascii_digit);
    if !starts {
        return None;
    }
    let (mut characters, mut at, mut valid) = (Vec::new(), 0, None);
    while let Some(byte) = bytes.get(at) {
        if byte.is_ascii_digit() || byte.is_ascii_uppercase() {
            characters.push(*byte);
            let complete = (15..=34).contains(&characters.len()) && ends(text, at + 1);
            if complete && remainder_97(&characters) == 1 {
                valid = Some(at + 1);
            }
        } else if *byte != b' ' || !characters.len().is_multiple_of(4) || characters.len() >= 34 {
            break;
        }
        at += 1;
    }
    valid
}

/// Check of ISO 13616: the first four characters go to the end, letters count as 10 to 35, all modulo 97.
fn remainder_97(characters: &[u8]) -> u32 {
    characters[4..].iter().chain(&characters[..4]).fold(0, |remainder, byte| {
        if byte.is_ascii_digit() {
            (remainder * 10 + u32::from(byte - b'0')) % 97
        } else {
            (remainder * 100 + u32::from(byte - b'A') + 10) % 97
        }
    })
}

fn phone(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    if bytes[0] == b'+' {
        let (mut digits, mut at, mut end) = (0, 1, 0);
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'0'..=b'9' => {
                    digits += 1;
                    end = at + 1;
                }
                b' ' | b'-' | b'.' | b'(' | b')' | b'/' if at - end < 3 => {}
                _ => break,
            }
            at += 1;
        }
        return ((8..=15).contains(&digits) && ends(text, end)).then_some(end);
    }
    let area = run(bytes, |b| b == b'(');
    let mut at = area;
    for (group, digits) in [3, 3, 4].into_iter().enumerate() {
        if run(bytes.get(at..)?, |b| b.is_ascii_digit()) != digits {
            return None;
        }
        at += digits;
        if group == 0 && area == 1 {
            if bytes.get(at) != Some(&b')') {
                return None;
            }
            at += 1;
            at += usize::from(bytes.get(at) == Some(&b' '));
        } else if group < 2 {
            if !matches!(bytes.get(at), Some(b'-' | b'.' | b' ')) {
                return None;
            }
            at += 1;
        }
    }
    (area <= 1 && ends(text, at)).then_some(at)
}

fn run(bytes: &[u8], belongs: impl Fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|byte| belongs(**byte)).count()
}

/// True if no letter or digit follows.
fn ends(text: &str, length: usize) -> bool {
    text[length..].chars().next().is_none_or(|c| !c.is_alphanumeric())
}
