//! Blocks of quantised elements, as `ggml-quants.h` of llama.cpp lays them out. Scales are f16, little-endian.

use half::f16;

fn scale(bytes: &[u8]) -> f32 {
    f16::from_le_bytes([bytes[0], bytes[1]]).to_f32()
}

/// Scale, then 32 signed bytes.
pub fn q8_0(block: &[u8], to: &mut [f32]) {
    let d = scale(block);
    for (byte, to) in block[2..].iter().zip(to) {
        *to = d * f32::from(byte.cast_signed());
    }
}

/// Scale, then 16 bytes: their low halves are elements 0 to 15, their high halves 16 to 31; 8 stands for zero.
pub fn q4_0(block: &[u8], to: &mut [f32]) {
    let d = scale(block);
    let (low, high) = to.split_at_mut(16);
    for ((byte, low), high) in block[2..].iter().zip(low).zip(high) {
        *low = d * (f32::from(byte & 15) - 8.0);
        *high = d * (f32::from(byte >> 4) - 8.0);
    }
}

/// Scale and minimum, then halves of bytes as in [`q4_0`].
pub fn q4_1(block: &[u8], to: &mut [f32]) {
    let (d, minimum) = (scale(block), scale(&block[2..]));
    let (low, high) = to.split_at_mut(16);
    for ((byte, low), high) in block[4..].iter().zip(low).zip(high) {
        *low = d * f32::from(byte & 15) + minimum;
        *high = d * f32::from(byte >> 4) + minimum;
    }
}

/// Eight groups of 32 with scales and minima of 6 bits, packed into 12 bytes.
pub fn q4_k(block: &[u8], to: &mut [f32]) {
    let (d, d_minimum) = (scale(block), scale(&block[2..]));
    let (packed, halves) = block[4..].split_at(12);
    let group = |j: usize| {
        let (scale, minimum) = if j < 4 {
            (packed[j] & 63, packed[j + 4] & 63)
        } else {
            (packed[j + 4] & 15 | (packed[j - 4] >> 6) << 4, packed[j + 4] >> 4 | (packed[j] >> 6) << 4)
        };
        (d * f32::from(scale), d_minimum * f32::from(minimum))
    };
    for (pair, (bytes, to)) in halves.chunks_exact(32).zip(to.chunks_exact_mut(64)).enumerate() {
        let ((low_scale, low_minimum), (high_scale, high_minimum)) = (group(2 * pair), group(2 * pair + 1));
        let (low, high) = to.split_at_mut(32);
        for ((byte, low), high) in bytes.iter().zip(low).zip(high) {
            *low = low_scale * f32::from(byte & 15) - low_minimum;
            *high = high_scale * f32::from(byte >> 4) - high_minimum;
        }
    }
}

/// Sixteen groups of 16 with scales of 8 bits. An element has 4 bits in the first part and 2 in the second; 32 stands
/// for zero.
pub fn q6_k(block: &[u8], to: &mut [f32]) {
    let (lows, rest) = block.split_at(128);
    let (highs, rest) = rest.split_at(64);
    let (scales, d) = rest.split_at(16);
    let d = scale(d);
    for (half, to) in to.chunks_exact_mut(128).enumerate() {
        let (lows, highs, scales) = (&lows[64 * half..], &highs[32 * half..], &scales[8 * half..]);
        for l in 0..32 {
            let quarters = [lows[l] & 15, lows[l + 32] & 15, lows[l] >> 4, lows[l + 32] >> 4];
            for (quarter, low) in quarters.into_iter().enumerate() {
                let element = f32::from(low | (highs[l] >> (2 * quarter) & 3) << 4) - 32.0;
                to[32 * quarter + l] = d * f32::from(scales[2 * quarter + l / 16].cast_signed()) * element;
            }
        }
    }
}
