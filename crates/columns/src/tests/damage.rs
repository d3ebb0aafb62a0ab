//! No damage is read as text, and none takes more memory than the limits allow.

use proptest::prelude::*;

use super::{folder, read, read_bytes};
use crate::{Cell, ColumnError, Limits};

const NAMES: [&str; 9] = [
    "snappy.parquet",
    "plain.parquet",
    "gzip_dictionary.parquet",
    "zstd_two.parquet",
    "lz4.parquet",
    "delta.parquet",
    "file.arrow",
    "stream_lz4.arrow",
    "file_zstd.arrow",
];

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap()
}

#[test]
fn a_truncated_file_is_refused_at_every_length() {
    for name in NAMES {
        let (bytes, whole) = (bytes(name), read(name, "text").unwrap());
        for length in (0..bytes.len()).step_by(97).chain(bytes.len() - 16..bytes.len()) {
            match read_bytes(name, &bytes[..length], Limits::default()) {
                Err(error) => assert!(error.to_string().contains("byte"), "{name} {length}: {error}"),
                // A stream may end after any message.
                Ok(cells) => assert!(name.starts_with("stream") && whole.starts_with(&cells), "{name} {length}"),
            }
        }
    }
}

#[test]
fn a_bad_footer_names_its_place() {
    let sound = bytes("snappy.parquet");
    let end = sound.len();
    let mut long = sound.clone();
    long[end - 8..end - 4].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut encrypted = sound.clone();
    encrypted[end - 1] = b'E';
    let mut wrong = sound.clone();
    let start = end - 8 - u32::from_le_bytes(sound[end - 8..end - 4].try_into().unwrap()) as usize;
    wrong[start..start + 40].fill(0xFF);
    for (bytes, message) in [
        (long, format!("at byte {}: bad footer: its length is 4294967295 bytes", end - 8)),
        (encrypted, format!("at byte {}: the footer is encrypted", end - 4)),
        (wrong, format!("at byte {}: bad footer: a type that does not exist", start + 1)),
        (sound[..end - 1].to_vec(), format!("it does not end with `PAR1` at byte {}", end - 5)),
        (b"PAR".to_vec(), "it does not start with `PAR1`".to_owned()),
    ] {
        let error = read_bytes("a.parquet", &bytes, Limits::default()).unwrap_err();
        assert!(error.to_string().contains(&message), "{error}");
    }
}

#[test]
fn a_checksum_of_a_page_is_checked() {
    let mut bytes = bytes("plain.parquet");
    let at = bytes.windows(6).position(|window| window == b" smile").unwrap();
    bytes[at + 1] = b'S';
    let error = read_bytes("plain.parquet", &bytes, Limits::default()).unwrap_err();
    assert!(error.to_string().contains("bad page: its checksum differs"), "{error}");
}

/// A page that announces too much is refused before it is decompressed, one that has more than it announces while it is.
#[test]
fn a_decompression_bomb_is_refused() {
    let limits = Limits { block_bytes: 600, ..Limits::default() };
    for name in ["snappy.parquet", "zstd_two.parquet", "gzip_dictionary.parquet", "lz4.parquet"] {
        let error = read_bytes(name, &bytes(name), limits).unwrap_err();
        assert!(matches!(error, ColumnError::TooLarge { limit: 600, .. }), "{name}: {error}");
    }
    for name in ["file_zstd.arrow", "stream_lz4.arrow"] {
        let limits = Limits { block_bytes: 900, ..Limits::default() };
        let error = read_bytes(name, &bytes(name), limits).unwrap_err();
        assert!(matches!(error, ColumnError::TooLarge { limit: 900, .. }), "{name}: {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Any change is an error or changes rows; it never panics and never reads more than there is.
    #[test]
    fn changed_bytes_never_panic(
        name in 0..NAMES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        at_the_end: bool,
    ) {
        let mut bytes = bytes(NAMES[name]);
        // Footers and heads of pages are a small part of the bytes.
        let from = if at_the_end { bytes.len() - bytes.len() / 8 } else { 0 };
        for (index, byte) in changes {
            let at = from + index.index(bytes.len() - from);
            bytes[at] = byte;
        }
        let limits = Limits { block_bytes: 1 << 20, metadata_bytes: 1 << 20 };
        if let Ok(cells) = read_bytes(NAMES[name], &bytes, limits) {
            prop_assert!(cells.iter().all(|cell| !matches!(cell, Cell::Text(text) if text.len() > 1 << 20)));
        }
    }
}
