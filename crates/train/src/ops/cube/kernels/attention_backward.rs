//! The backward pass of attention. Recomputes scores from their log-sum-exps, once for the gradients of queries and
//! once for those of keys and values (Dao 2023), so that one cube writes each gradient.

use cubecl::prelude::*;

use super::attention_tile::{
    Place, SIDE, Sequences, first_tile, is_visible, load_plain, load_rotated, place, products, start_of, store_tile,
    write_rotated_back,
};

/// Gradients of queries and, for each query head of a row, the dot product of the output and its gradient,
/// `[batch * seq, queries]`. The grid equals that of the forward pass.
#[cube(launch)]
pub fn attention_backward_queries<F: Float>(
    sequences: &Sequences<F>,
    output: &Tensor<F>,
    upstream: &[F],
    log_sums: &Tensor<f32>,
    gradient: &mut Tensor<F>,
    row_dots: &mut Tensor<f32>,
    #[define(F)] _dtype: ElemType,
) {
    let tiling = comptime!(sequences.tiling);
    let (micro, columns, line) = comptime!((tiling.micro(), tiling.columns(), tiling.line()));
    let (tile, head_dim, width) = comptime!((tiling.tile, tiling.head_dim, tiling.width()));
    let (query_heads, key_heads) = comptime!((tiling.query_heads, tiling.key_heads));
    let seq = sequences.seq;
    let Place { first: first_query, head, first_row, down, across } = place(sequences);
    let query_width = comptime!(tiling.query_width());
    let query_columns = head * head_dim;
    let key_columns = (query_heads + head / comptime!(tiling.group())) * head_dim;
    let value_columns = key_columns + comptime!(key_heads * head_dim);

    let mut queries = Shared::<[f32]>::new_slice(comptime!(tiling.inputs()));
    let mut upstreams = Shared::<[f32]>::new_slice(comptime!(tiling.inputs()));
    let mut keys = Shared::<[f32]>::new_slice(comptime!(tiling.inputs()));
    let mut values = Shared::<[f32]>::new_slice(comptime!(tiling.inputs()));
    let mut slopes = Shared::<[f32]>::new_slice(comptime!(tiling.scores()));

    load_rotated::<F>(sequences, &mut queries, first_row, first_query, query_columns, sequences.scale);
    load_plain::<F>(upstream, &mut upstreams, first_row, first_query, query_columns, seq, query_width, tiling);
    sync_cube();

    let mut start = Array::<i32>::new(micro);
    let mut log_sum = Array::<f32>::new(micro);
    let mut row_dot = Array::<f32>::new(micro);
    let mut scores = Array::<f32>::new(comptime!(micro * micro));
    let mut weighted = Array::<f32>::new(comptime!(micro * micro));
    let mut result = Array::<f32>::new(comptime!(micro * columns));
    #[unroll]
    for i in 0..micro {
        let query = first_query + down + i * SIDE;
        start[i] = start_of(sequences, first_row, query);
        log_sum[i] = 0.0;
        row_dot[i] = 0.0;
        if query < seq {
            let row = first_row + query;
            log_sum[i] = log_sums[row * query_heads + head];
            for column in 0..head_dim {
                let out = f32::cast_from(output[row * query_width + query_columns + column]);
                row_dot[i] += out * upstreams[column * line + down + i * SIDE];
            }
            if across == 0 {
                row_dots[row * query_heads + head] = row_dot[i];
            }
        }
        #[unroll]
        for j in 0..columns {
            result[i * columns + j] = 0.0;
        }
    }

    let mut first_key = first_tile(sequences, first_row, first_query);
    while first_key < seq && first_key <= first_query {
        sync_cube();
        load_rotated::<F>(sequences, &mut keys, first_row, first_key, key_columns, 1.0);
        load_plain::<F>(&sequences.qkv, &mut values, first_row, first_key, value_columns, seq, width, tiling);
        sync_cube();
        products(&queries, &keys, &mut scores, down, across, tiling);
        products(&upstreams, &values, &mut weighted, down, across, tiling);
        #[unroll]
        for i in 0..micro {
            #[unroll]
            for j in 0..micro {
                let at = i * micro + j;
                let visible = is_visible(first_key + across + j * SIDE, first_query + down + i * SIDE, start[i]);
                let weight = select(visible, (scores[at] - log_sum[i]).exp(), 0.0);
                slopes[(down + i * SIDE) * line + across + j * SIDE] = weight * (weighted[at] - row_dot[i]);
            }
        }
        sync_cube();
        for key in 0..tile {
            #[unroll]
            for i in 0..micro {
                let slope = slopes[(down + i * SIDE) * line + key];
                #[unroll]
                for j in 0..columns {
                    result[i * columns + j] += slope * keys[(across + j * SIDE) * line + key];
                }
            }
        }
        first_key += tile;
    }

    sync_cube();
    store_tile(&mut queries, &result, down, across, tiling);
    sync_cube();
    write_rotated_back::<F>(sequences, gradient, &queries, first_row, first_query, query_columns, sequences.scale);
}

/// Gradients of keys and values, summed over the query heads that share them. The grid's heads are key heads.
#[cube(launch)]
pub fn attention_backward_keys<F: Float>(
    sequences: &Sequences<F>,
    upstream: &[F],
    log_sums: &Tensor<f32>,
    row_dots: &Tensor<f32>,
    gradient: &mut Tensor<F>,
    #[define(F)] _dtype: ElemType,
) {
    let tiling = comptime!(sequences.tiling);
    let (micro, columns, line) = comptime!((tiling.micro(), tiling.columns(), tiling.line()));
    let (tile, head_dim, width) = comptime!((tiling.tile, tiling.head_dim, tiling.width()));
    let (query_heads, key_heads) = comptime!((tiling.query_heads, tiling.key_heads));
    let seq = sequences.seq;
    let Place { first: first_key, head: key_head, first_row, down, across } = place(sequences);
    let (group, query_width) = comptime!((tiling.group(), tiling.query_width()));
    let key_columns = (query_heads + key_head) * head_dim;
    let value_columns = key_columns + comptime!(key_heads * head_dim);

    let mut keys = Shared::<[f32]>::new_slice(comptime!(tiling.inputs()));
    let mut values = Shared::<[f32]>::new_slice(comptime!(tiling.inputs()));
    let mut queries = Shared::<[f32]>::new_slice(comptime!(tiling.inputs()));
    let mut upstreams = Shared::<[f32]>::new_slice(comptime!(tiling.inputs()));
    let mut weights = Shared::<[f32]>::new_slice(comptime!(tiling.scores()));
    let mut slopes = Shared::<[f32]>::new_slice(comptime!(tiling.scores()));

    load_rotated::<F>(sequences, &mut keys, first_row, first_key, key_columns, 1.0);
    load_plain::<F>(&sequences.qkv, &mut values, first_row, first_key, value_columns, seq, width, tiling);

    let mut scores = Array::<f32>::new(comptime!(micro * micro));
    let mut weighted = Array::<f32>::new(comptime!(micro * micro));
    let mut of_keys = Array::<f32>::new(comptime!(micro * columns));
    let mut of_values = Array::<f32>::new(comptime!(micro * columns));
    #[unroll]
    for at in 0..comptime!(micro * columns) {
        of_keys[at] = 0.0;
        of_values[at] = 0.0;
    }

    for member in 0..group {
        let head = key_head * group + member;
        let query_columns = head * head_dim;
        let mut first_query = first_key;
        while first_query < seq {
            // Documents that start after these keys do not attend to them.
            if first_tile(sequences, first_row, first_query) <= first_key {
                sync_cube();
                load_rotated::<F>(sequences, &mut queries, first_row, first_query, query_columns, sequences.scale);
                load_plain::<F>(
                    upstream,
                    &mut upstreams,
                    first_row,
                    first_query,
                    query_columns,
                    seq,
                    query_width,
                    tiling,
                );
                sync_cube();
                products(&keys, &queries, &mut scores, down, across, tiling);
                products(&values, &upstreams, &mut weighted, down, across, tiling);
                #[unroll]
                for j in 0..micro {
                    let query = first_query + across + j * SIDE;
                    let start = start_of(sequences, first_row, query);
                    let mut log_sum = f32::new(0.0);
                    let mut row_dot = f32::new(0.0);
                    if query < seq {
                        log_sum = log_sums[(first_row + query) * query_heads + head];
                        row_dot = row_dots[(first_row + query) * query_heads + head];
                    }
                    #[unroll]
                    for i in 0..micro {
                        let at = i * micro + j;
                        let visible = is_visible(first_key + down + i * SIDE, query, start);
                        let weight = select(visible, (scores[at] - log_sum).exp(), 0.0);
                        let place = (down + i * SIDE) * line + across + j * SIDE;
                        weights[place] = weight;
                        slopes[place] = weight * (weighted[at] - row_dot);
                    }
                }
                sync_cube();
                for query in 0..tile {
                    #[unroll]
                    for i in 0..micro {
                        let weight = weights[(down + i * SIDE) * line + query];
                        let slope = slopes[(down + i * SIDE) * line + query];
                        #[unroll]
                        for j in 0..columns {
                            let place = (across + j * SIDE) * line + query;
                            of_values[i * columns + j] += weight * upstreams[place];
                            of_keys[i * columns + j] += slope * queries[place];
                        }
                    }
                }
            }
            first_query += tile;
        }
    }

    sync_cube();
    store_tile(&mut keys, &of_keys, down, across, tiling);
    sync_cube();
    write_rotated_back::<F>(sequences, gradient, &keys, first_row, first_key, key_columns, 1.0);
    #[unroll]
    for i in 0..micro {
        let key = first_key + down + i * SIDE;
        #[unroll]
        for j in 0..columns {
            let column = across + j * SIDE;
            if key < seq && column < head_dim {
                gradient[(first_row + key) * width + value_columns + column] = F::cast_from(of_values[i * columns + j]);
            }
        }
    }
}
