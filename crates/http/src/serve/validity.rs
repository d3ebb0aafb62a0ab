//! The time in which a certificate is valid, from its DER form (RFC 5280, section 4.1). A server may present any certificate;
//! clients refuse one whose time is over, and their messages do not say it to the person who can renew it.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};

/// Time before the end of a certificate from which its end is told.
const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// `[0]`, explicit.
const VERSION: u8 = 0xa0;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Validity {
    from: Timestamp,
    to: Timestamp,
}

impl Validity {
    /// `None` for what is no certificate.
    pub fn of(certificate: &[u8]) -> Option<Validity> {
        let mut certificate = Der(Der(certificate).take(SEQUENCE)?);
        let mut content = Der(certificate.take(SEQUENCE)?);
        if content.next_tag() == Some(VERSION) {
            content.take(VERSION)?;
        }
        content.take(INTEGER)?;
        // The algorithm of the signature, and the issuer.
        content.take(SEQUENCE)?;
        content.take(SEQUENCE)?;
        let mut validity = Der(content.take(SEQUENCE)?);
        Some(Validity { from: validity.time()?, to: validity.time()? })
    }

    /// A problem of the certificate at `now`, or one that comes soon.
    pub fn doubt(&self, path: &Path, now: Timestamp) -> Option<String> {
        let told = |at: Timestamp| at.strftime("%Y-%m-%d %H:%M:%SZ");
        let path = path.display();
        if now > self.to {
            return Some(format!("the certificate `{path}` has expired on {}: clients refuse it", told(self.to)));
        }
        if now < self.from {
            return Some(format!("the certificate `{path}` is valid from {} only: clients refuse it", told(self.from)));
        }
        let is_soon = self.to.duration_since(now) < SOON;
        is_soon.then(|| {
            format!("the certificate `{path}` expires on {}; `serve` reads a new one when it starts", told(self.to))
        })
    }
}

/// The rest of a list of elements.
struct Der<'d>(&'d [u8]);

impl<'d> Der<'d> {
    fn next_tag(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The content of the next element, which must have this tag.
    fn take(&mut self, tag: u8) -> Option<&'d [u8]> {
        let (head, rest) = self.0.split_first_chunk::<2>()?;
        if head[0] != tag {
            return None;
        }
        let (length, rest) = match head[1] {
            short @ 0..0x80 => (usize::from(short), rest),
            // The length is in the next one to four bytes.
            long => {
                let (length, rest) = rest.split_at_checked(usize::from(long & 0x7f)).filter(|(of, _)| of.len() <= 4)?;
                (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
            }
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(content)
    }

    fn time(&mut self) -> Option<Timestamp> {
        let (text, century) = match self.next_tag()? {
            UTC_TIME => {
                let text = std::str::from_utf8(self.take(UTC_TIME)?).ok()?;
                (text, if text.get(..2)? < "50" { "20" } else { "19" })
            }
            _ => (std::str::from_utf8(self.take(GENERALIZED_TIME)?).ok()?, ""),
        };
        let digits = format!("{century}{}", text.strip_suffix('Z')?);
        let part = |from: usize, to: usize| digits.get(from..to);
        let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
        let (hour, minute, second) = (part(8, 10)?, part(10, 12)?, part(12, 14)?);
        format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z").parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = content.len();
        let mut bytes = match length {
            0..0x80 => vec![tag, length as u8],
            _ => vec![tag, 0x82, (length >> 8) as u8, length as u8],
        };
        bytes.extend_from_slice(content);
        bytes
    }

    /// A certificate without what follows its validity.
    fn certificate(from: &[u8], to: &[u8], version: &[u8]) -> Vec<u8> {
        let issuer = element(SEQUENCE, &[7; 300]);
        let validity = element(SEQUENCE, &[from, to].concat());
        let content = [version, &element(INTEGER, &[1; 20]), &element(SEQUENCE, &[]), &issuer, &validity].concat();
        element(SEQUENCE, &element(SEQUENCE, &content))
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn both_forms_of_times_are_read_and_anything_else_is_not() {
        let (from, to) = (element(UTC_TIME, b"990203040506Z"), element(UTC_TIME, b"260203040506Z"));
        let version = element(VERSION, &element(INTEGER, &[2]));
        let whole = certificate(&from, &to, &version);
        let expected = Validity { from: at("1999-02-03T04:05:06Z"), to: at("2026-02-03T04:05:06Z") };
        assert_eq!(Validity::of(&whole), Some(expected));
        assert_eq!(Validity::of(&certificate(&from, &to, &[])), Some(expected));
        let far = element(GENERALIZED_TIME, b"21260203040506Z");
        assert_eq!(Validity::of(&certificate(&from, &far, &version)).unwrap().to, at("2126-02-03T04:05:06Z"));
        for end in 0..whole.len() {
            let _ = Validity::of(&whole[..end]);
        }
        for wrong in [&b"260203040506"[..], b"Z", b"", b"2602030405", b"26\xff203040506Z", b"269903040506Z"] {
            assert_eq!(Validity::of(&certificate(&from, &element(UTC_TIME, wrong), &version)), None, "{wrong:?}");
        }
        assert_eq!(Validity::of(&[SEQUENCE, 0xff, 1, 2, 3]), None);
    }

    #[test]
    fn an_end_is_told_before_and_after_it() {
        let validity = Validity { from: at("2026-01-01T00:00:00Z"), to: at("2026-03-01T00:00:00Z") };
        let doubt = |now: &str| validity.doubt(Path::new("a.pem"), at(now)).unwrap_or_default();
        assert!(doubt("2025-12-31T00:00:00Z").contains("is valid from 2026-01-01 00:00:00Z only"));
        assert_eq!(doubt("2026-01-02T00:00:00Z"), "");
        assert!(doubt("2026-02-20T00:00:00Z").contains("expires on 2026-03-01"));
        assert!(doubt("2026-03-02T00:00:00Z").contains("has expired on 2026-03-01 00:00:00Z: clients refuse it"));
    }
}
