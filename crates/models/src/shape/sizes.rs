//! Sizes of a decoder-only transformer with RMSNorm, rotary positions and a gated feed-forward network.

use crate::error::Problem;

use super::place::{Part, Place};
use super::rope::Rope;

/// Largest sizes that are read. The largest known models of these architectures have a quarter of them or less.
pub mod limits {
    pub const VOCAB: usize = 1 << 20;
    pub const HIDDEN: usize = 1 << 16;
    pub const LAYERS: usize = 1 << 10;
    pub const HEADS: usize = 1 << 10;
    pub const HEAD_DIM: usize = 1 << 10;
    pub const FFN: usize = 1 << 18;
    pub const CONTEXT: usize = 1 << 27;
}

/// Sizes and variants of a model.
#[derive(Clone, PartialEq, Debug)]
pub struct Shape {
    /// Rows of the embedding; the tokenizer may have fewer tokens.
    pub vocab: usize,
    pub hidden: usize,
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; each serves `heads / kv_heads` query heads in a row.
    pub kv_heads: usize,
    pub head_dim: usize,
    /// Width of the feed-forward network.
    pub ffn: usize,
    /// Positions that the model was made for.
    pub context: usize,
    /// Added to the mean square of RMSNorm.
    pub norm_eps: f32,
    pub rope: Rope,
    pub qkv_bias: bool,
    pub output_bias: bool,
    pub mlp_bias: bool,
    /// Query and key heads pass an RMSNorm of width `head_dim` before rotation, as in Qwen3.
    pub qk_norm: bool,
    /// The head is the embedding.
    pub tied: bool,
    /// For each layer: keys that a query sees, including its own; `None` sees all before it.
    pub windows: Vec<Option<usize>>,
}

impl Shape {
    /// Checks that the sizes fit each other.
    ///
    /// # Errors
    /// `Field` with the name of the size in `config.json`.
    pub fn check(&self) -> Result<(), Problem> {
        let fail = |field: &str, why: String| Err(Problem::field(field, why));
        if self.heads == 0 || self.kv_heads == 0 || !self.heads.is_multiple_of(self.kv_heads) {
            return fail(
                "num_key_value_heads",
                format!("is {}, which does not divide {} heads", self.kv_heads, self.heads),
            );
        }
        if self.head_dim == 0 || !self.head_dim.is_multiple_of(2) || self.head_dim > limits::HEAD_DIM {
            return fail(
                "head_dim",
                format!("is {}; an even number up to {} can be rotated", self.head_dim, limits::HEAD_DIM),
            );
        }
        if !(self.norm_eps.is_finite() && self.norm_eps >= 0.0) {
            return fail("rms_norm_eps", "is not a small positive number".into());
        }
        debug_assert_eq!(self.windows.len(), self.layers);
        debug_assert_eq!(self.rope.dim, self.head_dim);
        Ok(())
    }

    /// Width of all query heads together.
    pub fn query_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Width of all key heads together, also of all value heads.
    pub fn key_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    /// Rows and columns of a tensor, or `None` when the model has none there. A vector is one row.
    pub fn size(&self, place: Place) -> Option<(usize, usize)> {
        let layer = |part: Part| {
            let biased = |flag: bool, width: usize| flag.then_some((1, width));
            match part {
                Part::InputNorm | Part::FfnNorm => Some((1, self.hidden)),
                Part::Query => Some((self.query_width(), self.hidden)),
                Part::Key | Part::Value => Some((self.key_width(), self.hidden)),
                Part::QueryBias => biased(self.qkv_bias, self.query_width()),
                Part::KeyBias | Part::ValueBias => biased(self.qkv_bias, self.key_width()),
                Part::QueryNorm | Part::KeyNorm => self.qk_norm.then_some((1, self.head_dim)),
                Part::Output => Some((self.hidden, self.query_width())),
                Part::OutputBias => biased(self.output_bias, self.hidden),
                Part::Gate | Part::Up => Some((self.ffn, self.hidden)),
                Part::GateBias | Part::UpBias => biased(self.mlp_bias, self.ffn),
                Part::Down => Some((self.hidden, self.ffn)),
                Part::DownBias => biased(self.mlp_bias, self.hidden),
            }
        };
        match place {
            Place::Embedding | Place::Head => Some((self.vocab, self.hidden)),
            Place::FinalNorm => Some((1, self.hidden)),
            Place::Layer(index, part) => (index < self.layers).then(|| layer(part)).flatten(),
        }
    }

    /// All tensors that the model stores; a tied head is not one of them.
    pub fn places(&self) -> impl Iterator<Item = Place> + '_ {
        let head = (!self.tied).then_some(Place::Head);
        let outer = [Place::Embedding, Place::FinalNorm].into_iter().chain(head);
        let layers =
            (0..self.layers).flat_map(|layer| Part::ALL.into_iter().map(move |part| Place::Layer(layer, part)));
        outer.chain(layers).filter(|place| self.size(*place).is_some())
    }

    /// Number of weights.
    pub fn parameters(&self) -> u64 {
        let elements = |(rows, columns): (usize, usize)| rows as u64 * columns as u64;
        self.places().filter_map(|place| self.size(place)).map(elements).sum()
    }
}
