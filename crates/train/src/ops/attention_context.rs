//! Attention's inputs besides the projections: head layout, rotary tables and document starts.

use std::sync::Arc;
#[cfg(feature = "cube")]
use std::sync::OnceLock;

#[cfg(feature = "cube")]
use super::cube::Uploaded;
use crate::precision::Precision;

/// Columns of a fused projection row: `heads` queries, then `kv_heads` keys, then as many values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLayout {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of one head.
    pub head_dim: usize,
}

impl HeadLayout {
    /// Columns of all queries; equals the output width.
    pub fn query_width(self) -> usize {
        self.heads * self.head_dim
    }

    /// Columns of all keys; equal to those of all values.
    pub fn key_width(self) -> usize {
        self.kv_heads * self.head_dim
    }

    /// Total columns of a row.
    pub fn width(self) -> usize {
        self.query_width() + 2 * self.key_width()
    }

    /// Number of query heads that share one key head.
    pub fn group(self) -> usize {
        self.heads / self.kv_heads
    }
}

/// Cosines and sines of rotary positions (Su et al. 2021), `[positions, head_dim / 2]` each.
///
/// The angle of pair `j` at position `p` is `p * theta^(-2j / head_dim)`, rounded to f32 as Hugging Face does. Pair `j`
/// consists of elements `j` and `j + head_dim / 2`.
#[derive(Clone, Debug, PartialEq)]
pub struct RopeTable {
    /// Pairs per position.
    pub half: usize,
    /// Row-major cosines.
    pub cos: Vec<f32>,
    /// Row-major sines.
    pub sin: Vec<f32>,
}

impl RopeTable {
    /// Computes tables for `positions` positions.
    pub fn new(positions: usize, head_dim: usize, theta: f32) -> Self {
        let half = head_dim / 2;
        let frequencies: Vec<f32> = (0..half)
            .map(|pair| {
                let exponent = (2 * pair) as f32 / head_dim as f32;
                let power = f64::from(theta).powf(f64::from(exponent)) as f32;
                1.0 / power
            })
            .collect();
        let angles = (0..positions).flat_map(|position| frequencies.iter().map(move |f| position as f32 * f));
        let (cos, sin) = angles.map(|angle| (f64::from(angle).cos() as f32, f64::from(angle).sin() as f32)).unzip();
        RopeTable { half, cos, sin }
    }

    /// Cosines and sines of one position, `[half]` each.
    pub fn at(&self, position: usize) -> (&[f32], &[f32]) {
        let range = position * self.half..(position + 1) * self.half;
        (&self.cos[range.clone()], &self.sin[range])
    }
}

/// Context of one forward pass over `[batch, seq]` tokens.
#[derive(Clone, Debug)]
pub struct AttentionContext {
    /// Rows.
    pub batch: usize,
    /// Tokens per row.
    pub seq: usize,
    /// Column layout of the fused projection.
    pub layout: HeadLayout,
    /// For each token, the first position in its row that it may attend to; `starts[i] <= i`.
    pub starts: Arc<[u32]>,
    /// Rotary tables with at least `seq` positions.
    pub rope: Arc<RopeTable>,
    /// Precision of both products: scores and weighted values.
    pub precision: Precision,
    /// Tables and starts on the device, uploaded by the first block that needs them.
    #[cfg(feature = "cube")]
    pub(crate) uploaded: OnceLock<Uploaded>,
}

impl AttentionContext {
    /// # Panics
    /// If `starts` does not hold one position per token, at or before that token, or if the rotary table is shorter
    /// than the sequence.
    pub fn new(
        batch: usize,
        seq: usize,
        layout: HeadLayout,
        starts: impl Into<Arc<[u32]>>,
        rope: Arc<RopeTable>,
    ) -> Self {
        let starts = starts.into();
        assert_eq!(starts.len(), batch * seq, "one document start per token");
        assert!(
            starts.iter().enumerate().all(|(token, start)| *start as usize <= token % seq),
            "a document starts at or before each of its tokens"
        );
        assert!(rope.half * seq <= rope.cos.len(), "the sequence is longer than the context");
        AttentionContext {
            batch,
            seq,
            layout,
            starts,
            rope,
            precision: Precision::default(),
            #[cfg(feature = "cube")]
            uploaded: OnceLock::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotary_tables_match_the_formula_in_f64() {
        let table = RopeTable::new(512, 64, 10_000.0);
        for position in [0usize, 1, 17, 511] {
            let (cos, sin) = table.at(position);
            for pair in 0..32 {
                let angle = position as f64 * 10_000f64.powf(-2.0 * pair as f64 / 64.0);
                assert!((f64::from(cos[pair]) - angle.cos()).abs() < 1e-4, "cos at {position}, {pair}");
                assert!((f64::from(sin[pair]) - angle.sin()).abs() < 1e-4, "sin at {position}, {pair}");
            }
        }
    }
}
