//! Secrets: made from the randomness of the system, shown once, and stored as digests.

use std::fmt;

/// Start of every token, so that scanners for leaked secrets find it.
const PREFIX: &str = "swt_";
/// Bytes of a token and of a session: 256 bits.
const BYTES: usize = 32;
/// Letters of a code: 40 bits, which live for minutes and for a few wrong guesses.
const CODE_LENGTH: usize = 8;
/// No letters that look like digits or like each other.
const CODE_LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// A secret that somebody sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// A secret that was just made, with the hash that is stored.
pub struct NewSecret {
    pub text: String,
    pub hash: String,
}

impl Secret {
    /// Takes what somebody typed or pasted.
    pub fn typed(text: &str) -> Secret {
        let text = text.trim();
        if text.starts_with(PREFIX) {
            return Secret(text.to_owned());
        }
        let letters = text.chars().filter(|c| !matches!(c, '-' | ' ')).map(|c| c.to_ascii_uppercase());
        Secret(letters.collect())
    }

    pub fn exact(text: &str) -> Secret {
        Secret(text.to_owned())
    }

    /// The digest under which the database knows it.
    pub fn hash(&self) -> String {
        blake3::hash(self.0.as_bytes()).to_hex().to_string()
    }

    pub fn is_token(&self) -> bool {
        self.0.starts_with(PREFIX)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl NewSecret {
    /// # Errors
    /// When the system gives no randomness.
    pub fn token() -> Result<NewSecret, getrandom::Error> {
        Ok(NewSecret::of(format!("{PREFIX}{}", hexadecimal(&random::<BYTES>()?))))
    }

    /// # Errors
    /// When the system gives no randomness.
    pub fn session() -> Result<NewSecret, getrandom::Error> {
        Ok(NewSecret::of(hexadecimal(&random::<BYTES>()?)))
    }

    /// A code for a person to type, such as `K7PM-2XQD`.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn code() -> Result<NewSecret, getrandom::Error> {
        let letters = random::<CODE_LENGTH>()?.map(|byte| char::from(CODE_LETTERS[usize::from(byte % 32)]));
        let (left, right) = letters.split_at(CODE_LENGTH / 2);
        let hash = Secret(letters.iter().collect()).hash();
        Ok(NewSecret { text: format!("{}-{}", String::from_iter(left), String::from_iter(right)), hash })
    }

    fn of(text: String) -> NewSecret {
        let hash = Secret(text.clone()).hash();
        NewSecret { text, hash }
    }
}

fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_256_bits_and_no_two_are_equal() {
        let (one, two) = (NewSecret::token().unwrap(), NewSecret::token().unwrap());
        assert_eq!((one.text.len(), one.hash.len()), (4 + 64, 64));
        assert_ne!(one.text, two.text);
        assert_eq!(Secret::typed(&format!(" {}\n", one.text)).hash(), one.hash);
    }

    #[test]
    fn a_code_may_be_typed_in_any_case_and_without_its_dash() {
        let code = NewSecret::code().unwrap();
        let plain = code.text.replace('-', " ").to_lowercase();
        assert_eq!((code.text.len(), Secret::typed(&plain).hash()), (9, code.hash));
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Secret::exact("swt_1")), "Secret(..)");
    }
}
