//! Causal attention within documents, one tile of queries against successive tiles of keys (Dao et al. 2022): scores
//! exist only in registers and shared memory.

use cubecl::prelude::*;

use super::attention_tile::{
    Place, SIDE, Sequences, first_tile, is_visible, load_plain, load_rotated, place, products, start_of,
};
use super::sums::HIDDEN;

/// Computes the output `[batch * seq, queries * head_dim]` and, for the backward pass, the log-sum-exp of each row
/// `[batch * seq, queries]`. The grid's heads are query heads.
#[cube(launch)]
pub fn attention_forward<F: Float>(
    sequences: &Sequences<F>,
    output: &mut Tensor<F>,
    log_sums: &mut Tensor<f32>,
    #[define(F)] _dtype: ElemType,
) {
    let tiling = comptime!(sequences.tiling);
    let (micro, columns, line) = comptime!((tiling.micro(), tiling.columns(), tiling.line()));
    let (tile, head_dim, width) = comptime!((tiling.tile, tiling.head_dim, tiling.width()));
    let (query_heads, key_heads) = comptime!((tiling.query_heads, tiling.key_heads));
    let seq = sequences.seq;
    let Place { first: first_query, head, first_row, down, across } = place(sequences);
    let query_columns = head * head_dim;
    let key_columns = (query_heads + head / comptime!(tiling.group())) * head_dim;
    let value_columns = key_columns + comptime!(key_heads * head_dim);

    let mut queries = Shared::<[f32]>::new_slice(comptime!(tiling.inputs()));
    let mut inputs = Shared::<[f32]>::new_slice(comptime!(tiling.inputs()));
    let mut weights = Shared::<[f32]>::new_slice(comptime!(tiling.scores()));
    let mut maxima = Shared::<[f32]>::new_slice(comptime!(tiling.tile * (SIDE + 1)));

    load_rotated::<F>(sequences, &mut queries, first_row, first_query, query_columns, sequences.scale);

    let mut start = Array::<i32>::new(micro);
    let mut maximum = Array::<f32>::new(micro);
    let mut sum = Array::<f32>::new(micro);
    let mut scores = Array::<f32>::new(comptime!(micro * micro));
    let mut result = Array::<f32>::new(comptime!(micro * columns));
    #[unroll]
    for i in 0..micro {
        start[i] = start_of(sequences, first_row, first_query + down + i * SIDE);
        maximum[i] = f32::new(HIDDEN);
        sum[i] = 0.0;
        #[unroll]
        for j in 0..columns {
            result[i * columns + j] = 0.0;
        }
    }

    let mut first_key = first_tile(sequences, first_row, first_query);
    while first_key < seq && first_key <= first_query {
        sync_cube();
        load_rotated::<F>(sequences, &mut inputs, first_row, first_key, key_columns, 1.0);
        sync_cube();
        products(&queries, &inputs, &mut scores, down, across, tiling);
        #[unroll]
        for i in 0..micro {
            let row = first_query + down + i * SIDE;
            let mut largest = f32::new(HIDDEN);
            #[unroll]
            for j in 0..micro {
                let visible = is_visible(first_key + across + j * SIDE, row, start[i]);
                let score = select(visible, scores[i * micro + j], f32::new(HIDDEN));
                scores[i * micro + j] = score;
                largest = max(largest, score);
            }
            maxima[(down + i * SIDE) * (SIDE + 1) + across] = largest;
        }
        sync_cube();
        load_plain::<F>(&sequences.qkv, &mut inputs, first_row, first_key, value_columns, seq, width, tiling);
        #[unroll]
        for i in 0..micro {
            let mut largest = maximum[i];
            for unit in 0..SIDE {
                largest = max(largest, maxima[(down + i * SIDE) * (SIDE + 1) + unit]);
            }
            let correction = (maximum[i] - largest).exp();
            maximum[i] = largest;
            sum[i] *= correction;
            #[unroll]
            for j in 0..columns {
                result[i * columns + j] *= correction;
            }
            #[unroll]
            for j in 0..micro {
                let score = scores[i * micro + j];
                // A masked score has weight 0, even if no key was visible so far.
                let weight = select(score <= f32::new(HIDDEN), 0.0, (score - largest).exp());
                weights[(down + i * SIDE) * line + across + j * SIDE] = weight;
            }
        }
        sync_cube();
        for key in 0..tile {
            #[unroll]
            for i in 0..micro {
                let weight = weights[(down + i * SIDE) * line + key];
                sum[i] += weight;
                #[unroll]
                for j in 0..columns {
                    result[i * columns + j] += weight * inputs[(across + j * SIDE) * line + key];
                }
            }
        }
        first_key += tile;
    }

    #[unroll]
    for i in 0..micro {
        let query = first_query + down + i * SIDE;
        if query < seq {
            let row = first_row + query;
            #[unroll]
            for j in 0..columns {
                let column = across + j * SIDE;
                if column < head_dim {
                    let at = (row * query_heads + head) * head_dim + column;
                    output[at] = F::cast_from(result[i * columns + j] / sum[i]);
                }
            }
            if across == 0 {
                log_sums[row * query_heads + head] = maximum[i] + sum[i].ln();
            }
        }
    }
}
