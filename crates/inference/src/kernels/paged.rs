//! Where the cache keeps keys and values: blocks of 32 neighbouring tokens in the layout of panels.

#![expect(unsafe_code, reason = "writes blocks of a pool that threads share")]

use super::dtype::Dtype;
use super::matrix::{PANEL, bf16_place};

/// Tokens of a block of the cache.
pub const BLOCK_TOKENS: usize = PANEL;

/// Stored form of keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheForm {
    Single,
    /// bf16, rounded to the nearest even.
    Half,
}

impl CacheForm {
    /// Rounded only where weights are: then its error is the smaller one.
    pub fn beside(weights: Dtype) -> Self {
        match weights {
            Dtype::F32 => CacheForm::Single,
            Dtype::Bf16 | Dtype::Q8_0 => CacheForm::Half,
        }
    }

    /// Bytes of an element.
    pub fn bytes(self) -> usize {
        match self {
            CacheForm::Single => size_of::<f32>(),
            CacheForm::Half => size_of::<half::bf16>(),
        }
    }
}

/// Heads of a layer: `heads / kv_heads` query heads share the keys and values of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLayout {
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
}

impl HeadLayout {
    /// Query heads that share keys and values.
    pub fn group(self) -> usize {
        self.heads / self.kv_heads
    }

    pub fn query_width(self) -> usize {
        self.heads * self.head_dim
    }

    pub fn key_width(self) -> usize {
        self.kv_heads * self.head_dim
    }

    /// Width of a value in whole panels.
    pub(super) fn padded(self) -> usize {
        self.head_dim.next_multiple_of(PANEL)
    }

    /// Elements of one layer in a block of the cache: per head the keys `[head_dim, 32 tokens]`, then the values
    /// `[head_dim / 32, 32 tokens, 32 elements]`.
    pub fn layer_len(self) -> usize {
        self.kv_heads * self.head_len()
    }

    fn head_len(self) -> usize {
        (self.head_dim + self.padded()) * BLOCK_TOKENS
    }
}

/// One layer of the blocks that hold a sequence, in the order of its positions.
#[derive(Clone, Copy)]
pub struct KeysAndValues<'a> {
    /// Start of the pool.
    pub pool: *mut u8,
    pub form: CacheForm,
    /// Lanes of the machine's vectors: pairs of bf16 depend on them.
    pub lanes: usize,
    /// Elements of a block, of all layers.
    pub block_len: usize,
    /// Elements before the layer.
    pub layer: usize,
    pub blocks: &'a [u32],
}

// SAFETY: the pool outlives the value, and `store` and `attend` state which elements they use.
unsafe impl Send for KeysAndValues<'_> {}
// SAFETY: as above.
unsafe impl Sync for KeysAndValues<'_> {}

impl KeysAndValues<'_> {
    /// Keys of a head in a block, a panel of `head_dim` inputs and 32 tokens.
    ///
    /// # Panics
    /// If the sequence has no such block.
    pub(super) fn keys(&self, block: usize, head: usize, layout: HeadLayout) -> *mut u8 {
        let start = self.blocks[block] as usize * self.block_len + self.layer;
        self.pool.wrapping_add((start + head * layout.head_len()) * self.form.bytes())
    }

    /// 32 elements of the values of a head in a block, a panel of 32 tokens and 32 elements.
    ///
    /// # Panics
    /// If the sequence has no such block.
    pub(super) fn values(&self, block: usize, head: usize, layout: HeadLayout, panel: usize) -> *mut u8 {
        let before = (layout.head_dim + panel * PANEL) * BLOCK_TOKENS;
        self.keys(block, head, layout).wrapping_add(before * self.form.bytes())
    }
}

/// Writes the rotated keys and the values of a token, `[kv_heads, head_dim]` each.
///
/// # Safety
/// The blocks lie in a live pool, and no other thread uses the elements of this position.
pub unsafe fn store(memory: KeysAndValues<'_>, position: usize, keys: &[f32], values: &[f32], layout: HeadLayout) {
    let (block, slot) = (position / BLOCK_TOKENS, position % BLOCK_TOKENS);
    let heads = keys.chunks_exact(layout.head_dim).zip(values.chunks_exact(layout.head_dim));
    for (head, (key, value)) in heads.enumerate() {
        let place = memory.keys(block, head, layout);
        let panels = value.chunks(PANEL).enumerate();
        let panels = panels.map(|(panel, value)| (memory.values(block, head, layout, panel), value));
        // SAFETY: the caller's promise; a head has keys and whole panels of values in a block, aligned to their elements.
        unsafe {
            match memory.form {
                CacheForm::Single => {
                    for (index, key) in key.iter().enumerate() {
                        place.cast::<f32>().add(index * PANEL + slot).write(*key);
                    }
                    for (place, value) in panels {
                        let place = place.cast::<f32>().add(slot * PANEL);
                        std::ptr::copy_nonoverlapping(value.as_ptr(), place, value.len());
                    }
                }
                CacheForm::Half => {
                    let column = bf16_place(slot, memory.lanes);
                    for (index, key) in key.iter().enumerate() {
                        place.cast::<u16>().add(index * PANEL + column).write(rounded(*key));
                    }
                    for (place, value) in panels {
                        let place = place.cast::<u16>().add(slot * PANEL);
                        for (column, value) in value.iter().enumerate() {
                            place.add(bf16_place(column, memory.lanes)).write(rounded(*value));
                        }
                    }
                }
            }
        }
    }
}

fn rounded(value: f32) -> u16 {
    half::bf16::from_f32(value).to_bits()
}
