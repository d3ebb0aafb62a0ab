//! Which encoding a file has: the one that is asked for, or a refusal that names the likely one.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE, X_USER_DEFINED};

use crate::core::failure::Failure;
use crate::steps::invisible;

/// The encoding that `encoding` names.
#[derive(Clone, Copy, Debug)]
pub struct Encoding {
    pub is: &'static encoding_rs::Encoding,
    /// `utf-16`: the byte order mark of each file tells which one.
    by_mark: bool,
}

/// # Errors
/// When there is no such encoding.
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

/// A file that is not in the encoding that was asked for.
#[derive(PartialEq, Eq, Debug)]
pub enum Conflict {
    /// It begins with the byte order mark of this encoding.
    Marked(&'static str),
    /// `encoding_rs` does not read it.
    Utf32,
    /// NUL bytes where UTF-16 has them for most alphabets.
    LooksLikeUtf16(&'static str),
    /// Asked for UTF-16, and only ASCII is there.
    LooksLikeAscii,
}

impl Encoding {
    pub fn is_utf8(self) -> bool {
        self.is == UTF_8
    }

    /// The encoding of the file that begins with `head`.
    ///
    /// # Errors
    /// When the head contradicts it.
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

    /// Whether a file is UTF-8 by its looks, although another encoding was asked for.
    pub fn is_doubtful(self, head: &[u8]) -> bool {
        let is_ascii_based = !self.is_utf8() && self.is != UTF_16LE && self.is != UTF_16BE;
        is_ascii_based && wide_characters(head).is_some_and(|count| count >= 4)
    }
}

/// Characters beyond ASCII in valid UTF-8; the last one may be cut.
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

/// The likely encoding of text that is no UTF-8, as a value of `encoding`.
pub fn guess(bytes: &[u8]) -> String {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(bytes, true);
    detector.guess(None, Utf8Detection::Deny).name().to_lowercase()
}

/// How a person sets the argument, wherever the step stands.
pub fn set(encoding: &str) -> String {
    format!("set `encoding = \"{encoding}\"` (with the workflow `pretrain`: `-S encoding={encoding}`)")
}
