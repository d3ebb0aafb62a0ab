//! Amounts as people write them: `"8GiB"`, `"500MB"`, `16`.

const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

/// Reads a whole number, or a number with a byte unit.
pub fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let (number, factor) = UNITS
        .iter()
        .find_map(|(unit, factor)| text.strip_suffix(unit).map(|number| (number.trim_end(), *factor)))
        .unwrap_or((text, 1));
    match number.parse::<u64>() {
        Ok(whole) => whole.checked_mul(factor),
        Err(_) => {
            let amount = number.parse::<f64>().ok()? * factor as f64;
            // Up to 2^53, a fraction of a unit is still an exact number of bytes.
            (amount >= 0.0 && amount <= (1u64 << 53) as f64 && amount.fract() == 0.0).then_some(amount as u64)
        }
    }
}

/// Formats `8GiB` where that is exact, otherwise the plain number.
pub fn show(amount: u64) -> String {
    let exact = UNITS[..3].iter().find(|(_, factor)| amount >= *factor && amount.is_multiple_of(*factor));
    exact.map_or_else(|| amount.to_string(), |(unit, factor)| format!("{}{unit}", amount / factor))
}

/// A size for people, such as `512 B`, `14.2 KiB` or `3.1 GiB`.
pub fn about(bytes: u64) -> String {
    let unit = UNITS[..4].iter().find(|(_, factor)| bytes >= *factor);
    unit.map_or_else(|| format!("{bytes} B"), |(unit, factor)| format!("{:.1} {unit}", bytes as f64 / *factor as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_round_trip_and_nonsense_is_refused() {
        assert_eq!(parse("8GiB"), Some(8 << 30));
        assert_eq!(parse("1.5 KiB"), Some(1536));
        assert_eq!(parse("2GB"), Some(2_000_000_000));
        assert_eq!(parse("3"), Some(3));
        for nonsense in ["", "GiB", "-1", "1.5", "8 gigs", "99999999TiB", "NaN", "0.3B"] {
            assert_eq!(parse(nonsense), None, "{nonsense}");
        }
        for amount in [0, 7, 1536, 1 << 20, 64 << 30] {
            assert_eq!(parse(&show(amount)), Some(amount));
        }
        assert_eq!(show(64 << 30), "64GiB");
    }

    #[test]
    fn sizes_for_people_are_short() {
        let sizes = [0, 512, 14_541, 3 << 30, 5 << 50].map(about);
        assert_eq!(sizes, ["0 B", "512 B", "14.2 KiB", "3.0 GiB", "5120.0 TiB"]);
    }
}
