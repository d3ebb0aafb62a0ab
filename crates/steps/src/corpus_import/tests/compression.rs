//! Tests members, frames, padding, windows and corruption.

use std::io::Write;

use serde_json::json;

use super::{failure_in, gz, texts_in, zst};

#[test]
fn zeros_behind_the_last_gzip_member_are_padding_and_other_bytes_are_not() {
    let members = [gz(b"one "), gz(b"two")].concat();
    for zeros in [1, 1024, 300_000] {
        assert_eq!(texts_in("a.txt.gz", &[members.clone(), vec![0; zeros]].concat(), &json!({})), ["one two"]);
    }
    for behind in [b"x".to_vec(), b"\0\0x".to_vec(), [vec![0], gz(b"more")].concat()] {
        let failure = failure_in("a.txt.gz", &[members.clone(), behind].concat(), &json!({}));
        assert!(failure.message.contains("bytes behind the last member"), "{failure}");
        let at = format!("near byte {}", members.len());
        assert!(
            failure.message.starts_with("FILE is corrupt") && failure.message.contains("near byte"),
            "{failure} {at}"
        );
    }
}

/// The window exceeds the library's default; the content can be small.
#[test]
fn a_long_zstd_window_is_read() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.long_distance_matching(true).unwrap();
    encoder.window_log(31).unwrap();
    encoder.write_all(b"one ").unwrap();
    encoder.flush().unwrap();
    encoder.write_all(b"two").unwrap();
    let long = encoder.finish().unwrap();
    assert_eq!(texts_in("a.txt.zst", &long, &json!({})), ["one two"]);
}

#[test]
fn frames_and_skippable_frames_are_read_one_after_the_other() {
    let skippable = [&[0x50, 0x2A, 0x4D, 0x18, 5, 0, 0, 0][..], b"seek!"].concat();
    for parts in [
        vec![skippable.clone(), zst(b"one "), zst(b"two")],
        vec![zst(b"one "), skippable.clone(), zst(b""), zst(b"two")],
        vec![zst(b"one "), zst(b"two"), skippable.clone()],
    ] {
        assert_eq!(texts_in("a.txt.zst", &parts.concat(), &json!({})), ["one two"]);
    }
    let failure = failure_in("a.txt.zst", &[zst(b"one"), b"more".to_vec()].concat(), &json!({}));
    assert!(failure.message.contains("is corrupt"), "{failure}");
}

#[test]
fn a_file_of_no_bytes_is_empty_under_any_name() {
    for name in ["a.txt", "a.txt.gz", "a.jsonl.zst", "a.json", "a.json.gz", "a.ndjson"] {
        let failure = failure_in(name, b"", &json!({}));
        assert!(failure.message.starts_with("the corpus is empty"), "{name}: {failure}");
    }
    for other in [&[0; 100][..], b"plain"] {
        let failure = failure_in("a.txt.gz", other, &json!({}));
        assert!(failure.message.contains("is corrupt") && failure.message.contains("does not start"), "{failure}");
    }
}

#[test]
fn truncation_is_told_with_its_place() {
    let text: Vec<u8> = (0..200_000u32).map(|n| b' ' + (n.wrapping_mul(2_654_435_761) >> 25) as u8 % 90).collect();
    for (name, whole) in [("a.txt.gz", gz(&text)), ("a.txt.zst", zst(&text))] {
        let half = whole.len() / 2;
        let failure = failure_in(name, &whole[..half], &json!({}));
        assert!(failure.message.contains(&format!("in the middle, at byte {half} of the file")), "{failure}");
    }
}
