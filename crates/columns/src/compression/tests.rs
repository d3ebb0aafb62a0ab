//! Blocks that cannot be made with the writers at hand, and bombs.

use super::Codec;

const ALL: [Codec; 5] = [Codec::Snappy, Codec::Gzip, Codec::Zstd, Codec::Lz4Block, Codec::Lz4Frame];

/// A literal of six bytes, and a copy of 57 bytes from three before.
fn snappy() -> (Vec<u8>, Vec<u8>) {
    let mut block = vec![63, 5 << 2];
    block.extend(b"abcdef");
    block.extend([56 << 2 | 2, 3, 0]);
    (block, [b"abcdef".to_vec(), b"def".repeat(19)].concat())
}

/// The same in LZ4, and one literal more.
fn lz4() -> (Vec<u8>, Vec<u8>) {
    let mut block = vec![6 << 4 | 15];
    block.extend(b"abcdef");
    block.extend([3, 0, 57 - 4 - 15, 1 << 4, b'!']);
    (block, [b"abcdef".to_vec(), b"def".repeat(19), b"!".to_vec()].concat())
}

#[test]
fn copies_may_overlap_what_they_append() {
    let (block, text) = snappy();
    assert_eq!(Codec::Snappy.decompress(block, text.len()).unwrap(), text);
    let (block, text) = lz4();
    assert_eq!(Codec::Lz4Block.decompress(block, text.len()).unwrap(), text);
}

#[test]
fn nothing_is_written_behind_the_announced_length() {
    let bomb = vec![0; 4 << 20];
    let gzip = {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&bomb).unwrap();
        encoder.finish().unwrap()
    };
    let zstd = zstd::encode_all(bomb.as_slice(), 3).unwrap();
    // A literal, and a copy of one byte with a length of two megabytes.
    let mut lz4 = vec![1 << 4 | 15, b'a', 1, 0];
    lz4.extend(vec![u8::MAX; 8192]);
    lz4.push(0);
    let mut snappy = vec![100, 0, b'a'];
    snappy.extend([63 << 2 | 2, 1, 0].repeat(3));
    for (codec, block) in [(Codec::Gzip, gzip), (Codec::Zstd, zstd), (Codec::Lz4Block, lz4), (Codec::Snappy, snappy)] {
        let mut out = Vec::new();
        let ended = codec.append(&block, 100, &mut out);
        assert!(out.len() <= 101, "{codec:?}: {} bytes", out.len());
        let error = ended.and_then(|()| codec.decompress(block, 100)).unwrap_err();
        assert!(error.contains("more than the 100 bytes that its header announces"), "{codec:?}: {error}");
    }
}

#[test]
fn a_block_that_ends_early_or_reaches_back_too_far_is_refused() {
    for codec in ALL {
        assert!(codec.decompress(Vec::new(), 5).is_err(), "{codec:?}");
        assert!(codec.decompress(vec![0xFF; 40], 5).is_err(), "{codec:?}");
    }
    let (block, text) = snappy();
    for end in 0..block.len() {
        assert!(Codec::Snappy.decompress(block[..end].to_vec(), text.len()).is_err(), "{end}");
    }
    let (block, text) = lz4();
    for end in 0..block.len() {
        assert!(Codec::Lz4Block.decompress(block[..end].to_vec(), text.len()).is_err(), "{end}");
    }
    let back = vec![4, 0, b'a', 2 << 2 | 2, 2, 0];
    assert!(Codec::Snappy.decompress(back, 4).unwrap_err().contains("a copy from 2 bytes before, with 1 bytes there"));
}
