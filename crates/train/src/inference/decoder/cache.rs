//! Keys and values of the tokens so far, laid out for one new query at a time.

use crate::cpu::simd::LANES;
use crate::ops::HeadLayout;

/// Neighbouring elements of one cache line, the size of the widest vectors.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub struct Lanes(pub [f32; LANES]);

/// Keys and values of the tokens so far, by layer.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    pub(super) layers: Vec<KeysAndValues>,
    pub(super) tokens: usize,
}

impl Cache {
    /// Number of tokens that the model has seen.
    pub fn len(&self) -> usize {
        self.tokens
    }

    pub fn is_empty(&self) -> bool {
        self.tokens == 0
    }
}

/// Cache of one layer. Keys have their rotary positions applied. Entries that no token has filled are zero.
#[derive(Clone, Debug, Default)]
pub(super) struct KeysAndValues {
    /// `[kv_heads, capacity / LANES, head_dim]`: the lanes are neighbouring tokens.
    keys: Vec<Lanes>,
    /// `[kv_heads, head_dim / LANES, capacity]`: the lanes are neighbouring elements of a head, the last ones padded.
    values: Vec<Lanes>,
    /// Number of tokens that fit, in whole lanes.
    capacity: usize,
}

/// Number of lane vectors that a head's elements take.
pub(super) fn lanes_of(head_dim: usize) -> usize {
    head_dim.div_ceil(LANES)
}

impl KeysAndValues {
    /// Grows the capacity to at least `tokens`.
    pub fn reserve(&mut self, tokens: usize, layout: HeadLayout) {
        if tokens <= self.capacity {
            return;
        }
        let capacity = tokens.max(2 * self.capacity).next_multiple_of(LANES);
        let HeadLayout { kv_heads, head_dim, .. } = layout;
        let columns = kv_heads * lanes_of(head_dim);
        let [old, new] = [self.capacity, capacity].map(|capacity| capacity / LANES * head_dim);
        self.keys = spread(&self.keys, kv_heads, old, new);
        self.values = spread(&self.values, columns, self.capacity, capacity);
        self.capacity = capacity;
    }

    /// Writes the rotated key and the value of a token, `[kv_heads, head_dim]` each.
    pub fn put(&mut self, token: usize, key: &[f32], value: &[f32], head_dim: usize) {
        for (head, key) in key.chunks_exact(head_dim).enumerate() {
            let panel = head * self.capacity / LANES + token / LANES;
            for (lanes, element) in self.keys[panel * head_dim..][..head_dim].iter_mut().zip(key) {
                lanes.0[token % LANES] = *element;
            }
        }
        for (head, value) in value.chunks_exact(head_dim).enumerate() {
            for (part, elements) in value.chunks(LANES).enumerate() {
                let column = head * lanes_of(head_dim) + part;
                self.values[column * self.capacity + token].0[..elements.len()].copy_from_slice(elements);
            }
        }
    }

    /// Keys of [`LANES`] neighbouring tokens, by element of the head.
    pub fn keys(&self, head: usize, panel: usize, head_dim: usize) -> &[Lanes] {
        &self.keys[(head * self.capacity / LANES + panel) * head_dim..][..head_dim]
    }

    /// [`LANES`] neighbouring elements of the values of a head, by token.
    pub fn values(&self, head: usize, part: usize, head_dim: usize) -> &[Lanes] {
        &self.values[(head * lanes_of(head_dim) + part) * self.capacity..][..self.capacity]
    }
}

/// Copies `count` pieces of `old` elements each, with room for `new` elements each; the rest is zero.
fn spread(pieces: &[Lanes], count: usize, old: usize, new: usize) -> Vec<Lanes> {
    let mut out = Vec::with_capacity(count * new);
    for piece in 0..count {
        out.extend_from_slice(&pieces[piece * old..][..old]);
        out.resize((piece + 1) * new, Lanes([0.0; LANES]));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Heads of 20 elements take two lane vectors, the second partly empty; the capacity grows twice.
    #[test]
    fn every_token_is_found_where_it_was_put() {
        let layout = HeadLayout { heads: 6, kv_heads: 3, head_dim: 20 };
        let (mut memory, width) = (KeysAndValues::default(), layout.key_width());
        let element = |token: usize, column: usize| (token * width + column) as f32;
        for token in 0..50 {
            memory.reserve(token + 1, layout);
            let key: Vec<f32> = (0..width).map(|column| element(token, column)).collect();
            let value: Vec<f32> = key.iter().map(|x| -x).collect();
            memory.put(token, &key, &value, layout.head_dim);
        }
        for (token, column) in (0..50).flat_map(|token| (0..width).map(move |column| (token, column))) {
            let (head, index) = (column / 20, column % 20);
            let key = memory.keys(head, token / LANES, 20)[index].0[token % LANES];
            let value = memory.values(head, index / LANES, 20)[token].0[index % LANES];
            assert_eq!((key, value), (element(token, column), -element(token, column)), "token {token}, {column}");
        }
    }
}
