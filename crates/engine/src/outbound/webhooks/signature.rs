//! Signatures of messages: HMAC-SHA256 over `id.timestamp.body`, as Standard Webhooks 1.0 has it.

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

use super::base64;

const PREFIX: &str = "whsec_";
/// Bytes of a key that the specification allows.
const LEAST: usize = 24;
const MOST: usize = 64;

/// One key of a receiver.
pub(super) struct Key(hmac::Key);

impl Key {
    /// # Errors
    /// A text about what is wrong, which does not show the secret.
    pub(super) fn parse(secret: &str) -> Result<Key, String> {
        let encoded = secret.trim().strip_prefix(PREFIX).ok_or_else(|| format!("does not start with `{PREFIX}`"))?;
        let bytes = base64::decode(encoded).ok_or_else(|| format!("has no base64 after `{PREFIX}`"))?;
        match bytes.len() {
            LEAST..=MOST => Ok(Key(hmac::Key::new(hmac::HMAC_SHA256, &bytes))),
            length => Err(format!("has {length} bytes, not {LEAST} to {MOST}")),
        }
    }
}

/// The value of the header `webhook-signature`: one signature for each key.
pub(super) fn sign(keys: &[Key], id: &str, timestamp: i64, body: &str) -> String {
    let content = format!("{id}.{timestamp}.{body}");
    let signature = |Key(key): &Key| format!("v1,{}", base64::encode(hmac::sign(key, content.as_bytes()).as_ref()));
    keys.iter().map(signature).collect::<Vec<_>>().join(" ")
}

/// A new secret for a receiver, of 256 random bits; `None` if the system has none.
pub fn new_secret() -> Option<String> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(format!("{PREFIX}{}", base64::encode(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's reference libraries.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn the_example_of_the_specification() {
        let key = Key::parse(SECRET).ok().unwrap();
        let signature = sign(&[key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}");
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_that_is_replaced_signs_twice() {
        let keys: Vec<Key> =
            [SECRET, &new_secret().unwrap()].iter().map(|text| Key::parse(text).ok().unwrap()).collect();
        let both = sign(&keys, "a", 1, "b");
        assert_eq!(both.split(' ').count(), 2);
        assert_eq!(both.split(' ').next().unwrap(), sign(&keys[..1], "a", 1, "b"));
    }

    #[test]
    fn what_is_no_secret_is_refused_without_showing_it() {
        for wrong in ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "whsec_!!!!", "whsec_AAAA"] {
            let why = Key::parse(wrong).err().unwrap();
            assert!(!why.contains("AAAA") && !why.contains("MfKQ"), "{why}");
        }
    }
}
