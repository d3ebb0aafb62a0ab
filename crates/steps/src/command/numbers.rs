//! Detects numbers in JSON that would lose precision.

/// Finds the first integer in valid JSON text that does not fit in 64 bits and would be rounded silently.
pub(super) fn too_large_integer(json: &str) -> Option<&str> {
    let bytes = json.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                at += 1;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += 1 + usize::from(bytes[at] == b'\\');
                }
                at += 1;
            }
            b'-' | b'0'..=b'9' => {
                let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
                let length = bytes[at..].iter().take_while(|byte| is_part(byte)).count();
                let number = &json[at..at + length];
                let is_integer = !number.contains(['.', 'e', 'E']);
                if is_integer && number.parse::<i64>().is_err() && number.parse::<u64>().is_err() {
                    return Some(number);
                }
                at += length;
            }
            _ => at += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_that_would_be_rounded_are_found() {
        for kept in ["18446744073709551615", "-9223372036854775808", "1e300", "0.12345678901234567890123", "-0"] {
            assert_eq!(too_large_integer(&format!("{{\"a\": [{kept}, {kept}]}}")), None, "{kept}");
        }
        for text in ["{\"99999999999999999999\": \"\\\"99999999999999999999\"}", "[\"é\", {}]", "{}"] {
            assert_eq!(too_large_integer(text), None, "{text}");
        }
        for large in ["18446744073709551616", "-9223372036854775809", "123456789012345678901234567890"] {
            assert_eq!(too_large_integer(&format!("{{\"a\\\\\": [1, {{\"b\": {large}}}]}}")), Some(large));
        }
    }
}
