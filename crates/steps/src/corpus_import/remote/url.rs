//! The address of a file on a server: `https://HOST/PATH#sha256=HEX`.

use ureq::http::Uri;

use stepwell_base::failure::Failure;

/// Longest address that is accepted, in bytes.
const LONGEST: usize = 8192;

/// A checked address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Url {
    /// Without the fragment.
    pub text: String,
    /// SHA-256 of the file, in lower case, if the fragment says so.
    pub sha256: Option<String>,
}

impl Url {
    /// # Errors
    /// When the text is no address, or its fragment is no checksum.
    pub fn parse(source: &str) -> Result<Url, Failure> {
        let refused = |why: &str| {
            Failure::fatal(format!("source {source:?} {why}")).with_hint(
                "an address looks like `https://HOST/PATH`, with `#sha256=HEX` at its end to pin its content",
            )
        };
        if source.len() > LONGEST {
            return Err(Failure::fatal(format!("a source is an address of {} bytes", source.len()))
                .with_hint(format!("addresses have at most {LONGEST} bytes")));
        }
        let (text, fragment) = source.split_once('#').map_or((source, None), |(text, end)| (text, Some(end)));
        let uri: Uri = text.parse().map_err(|_| refused("is no address"))?;
        let host = uri.host().unwrap_or_default();
        if host.is_empty() || !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(refused("has no host"));
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(Failure::fatal("a source has a user name or password in its address")
                .with_hint("addresses are stored and shown: set `token` to a secret instead"));
        }
        let sha256 = match fragment {
            None => None,
            Some(fragment) => {
                let hex = fragment.strip_prefix("sha256=").unwrap_or_default();
                if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return Err(refused("has a fragment that is no checksum"));
                }
                Some(hex.to_ascii_lowercase())
            }
        };
        Ok(Url { text: text.to_owned(), sha256 })
    }

    /// Name of the file: the last part of the path, without the query.
    pub fn file_name(&self) -> String {
        let path = self.text.split(['?']).next().unwrap_or_default();
        let after_host = path.splitn(4, '/').nth(3).unwrap_or_default();
        let name = after_host.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        if name.is_empty() { "index".to_owned() } else { decoded(name) }
    }
}

/// Replaces `%XX`. A slash or a control character stays encoded.
pub fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.filter(|_| *first == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match byte.filter(|byte| *byte >= 0x20 && *byte != b'/' && *byte != 0x7F) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// Writes every byte of a path as `%XX` that an address cannot hold as it is.
pub fn encoded(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
