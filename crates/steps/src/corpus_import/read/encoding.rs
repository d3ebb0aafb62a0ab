//! Checks the encoding of a file: a mismatch is refused with the likely encoding.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE, X_USER_DEFINED};

use crate::invisible;
use stepwell_base::failure::Failure;

/// A value of `encoding`.
#[derive(Clone, Copy, Debug)]
pub struct Encoding {
    pub is: &'static encoding_rs::Encoding,
    /// True for `utf-16`: the byte order mark of each file decides.
    by_mark: bool,
}

/// Parses a value of `encoding`.
///
/// # Errors
/// When the encoding is unknown.
pub fn named(label: &str) -> Result<Encoding, Failure> {
    let plain: String = label.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    let known = match plain.as_str() {
        "utf8sig" => Some(UTF_8),
        "utf16" | "utf16le" => Some(UTF_16LE),
        "utf16be" => Some(UTF_16BE),
        "latin1" => encoding_rs::Encoding::for_label(b"latin1"),
        _ => encoding_rs::Encoding::for_label(label.as_bytes())
            .or_else(|| encoding_rs::Encoding::for_label(label.replace('_', "-").as_bytes()))
            .or_else(|| encoding_rs::Encoding::for_label(plain.as_bytes())),
    };
    match known {
        Some(is) if is != REPLACEMENT && is != X_USER_DEFINED => Ok(Encoding { is, by_mark: plain == "utf16" }),
        _ => Err(Failure::fatal(format!("unknown encoding `{}` in `encoding`", invisible::shown(label))).with_hint(
            "known are `utf-8`, `utf-16le`, `utf-16be`, `windows-1252` (also `latin1`), `windows-1251`, `shift_jis`, \
             `gb18030`, `big5`, `euc-kr` and the other names of the WHATWG standard",
        )),
    }
}

/// A contradiction between a file and `encoding`.
#[derive(PartialEq, Eq, Debug)]
pub enum Conflict {
    /// The file starts with the byte order mark of this encoding.
    Marked(&'static str),
    /// `encoding_rs` does not support it.
    Utf32,
    /// The file has NUL bytes where UTF-16 has them for most alphabets.
    LooksLikeUtf16(&'static str),
    /// `encoding` is UTF-16, but the file is ASCII.
    LooksLikeAscii,
}

impl Encoding {
    pub fn is_utf8(self) -> bool {
        self.is == UTF_8
    }

    /// Returns the encoding of the file that starts with `head`.
    ///
    /// # Errors
    /// When `head` contradicts it.
    pub fn of_file(self, head: &[u8]) -> Result<&'static encoding_rs::Encoding, Conflict> {
        if head.starts_with(b"\xFF\xFE\0\0") || head.starts_with(b"\0\0\xFE\xFF") {
            return Err(Conflict::Utf32);
        }
        let wide = self.is == UTF_16LE || self.is == UTF_16BE;
        match encoding_rs::Encoding::for_bom(head).map(|(marked, _)| marked) {
            Some(marked) if marked == self.is || self.by_mark && marked != UTF_8 => Ok(marked),
            Some(marked) => Err(Conflict::Marked(marked.name())),
            None if wide && is_ascii_text(head) => Err(Conflict::LooksLikeAscii),
            None if wide => Ok(self.is),
            None => utf16_by_its_nuls(head).map_or(Ok(self.is), |name| Err(Conflict::LooksLikeUtf16(name))),
        }
    }

    /// True if a file looks like UTF-8 although `encoding` differs.
    pub fn is_doubtful(self, head: &[u8]) -> bool {
        let is_ascii_based = !self.is_utf8() && self.is != UTF_16LE && self.is != UTF_16BE;
        is_ascii_based && wide_characters(head).is_some_and(|count| count >= 4)
    }
}

/// Counts characters beyond ASCII in valid UTF-8; the last one may be cut.
fn wide_characters(head: &[u8]) -> Option<usize> {
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&head[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    Some(valid.chars().filter(|c| !c.is_ascii()).count())
}

fn is_ascii_text(head: &[u8]) -> bool {
    head.len() >= 64 && head.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\r' | b'\t'))
}

fn utf16_by_its_nuls(head: &[u8]) -> Option<&'static str> {
    let sample = &head[..head.len().min(8192) & !1];
    let nuls = |offset: usize| sample.iter().skip(offset).step_by(2).filter(|byte| **byte == 0).count();
    let (pairs, first, second) = (sample.len() / 2, nuls(0), nuls(1));
    if pairs < 2 {
        None
    } else if first == 0 && second * 10 >= pairs * 4 {
        Some("UTF-16LE")
    } else if second == 0 && first * 10 >= pairs * 4 {
        Some("UTF-16BE")
    } else {
        None
    }
}

/// Guesses the encoding of text that is not UTF-8, as a value of `encoding`.
pub fn guess(bytes: &[u8]) -> String {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(bytes, true);
    detector.guess(None, Utf8Detection::Deny).name().to_lowercase()
}

/// Tells how to set the argument, wherever the step is defined.
pub fn set(encoding: &str) -> String {
    format!("set `encoding = \"{encoding}\"` (with the workflow `pretrain`: `-S encoding={encoding}`)")
}
