//! The backward pass of attention. Scores are computed again from the logarithms of their sums, once for the gradients
//! of queries and once for those of keys and values (Dao 2023), so that each gradient is written by one cube.

use cubecl::prelude::*;

use super::attention::{SIDE, Tiling, first_tile, is_visible, load_plain, load_rotated, products, start_of};

/// Gradients of queries, and for each query head of a row the product of output and its gradient, `[batch * seq,
/// queries]`. Grid as that of the forward pass.
#[cube(launch)]
pub fn attention_backward_queries<F: Float>(
    qkv: &Tensor<F>,
    cos: &Tensor<f32>,
    sin: &Tensor<f32>,
    starts: &Tensor<i32>,
    output: &Tensor<F>,
    upstream: &Tensor<F>,
    log_sums: &Tensor<f32>,
    gradient: &mut Tensor<F>,
    projections: &mut Tensor<f32>,
    seq: usize,
    scale: f32,
    #[comptime] tiling: Tiling,
    #[define(F)] _dtype: ElemType,
) {
    let micro = comptime!(tiling.micro());
    let columns = comptime!(tiling.columns());
    let line = comptime!(tiling.line());
    let (tile, head_dim) = comptime!((tiling.tile, tiling.head_dim));

    let first_query = CUBE_POS_X as usize * tile;
    let head = CUBE_POS_Y as usize;
    let first_row = CUBE_POS_Z as usize * seq;
    let (query_heads, key_heads) = comptime!((tiling.query_heads, tiling.key_heads));
    let key_head = query_heads + head / comptime!(tiling.group());
    let width = comptime!(tiling.width());
    let across = UNIT_POS as usize % SIDE;
    let down = UNIT_POS as usize / SIDE;

    let mut queries = Shared::<[f32]>::new_slice(comptime!(tiling.inputs()));
    let mut upstreams = Shared::<[f32]>::new_slice(comptime!(tiling.inputs()));
    let mut keys = Shared::<[f32]>::new_slice(comptime!(tiling.inputs()));
    let mut values = Shared::<[f32]>::new_slice(comptime!(tiling.inputs()));
    let mut slopes = Shared::<[f32]>::new_slice(comptime!(tiling.scores()));

    let query_columns = head * head_dim;
    let query_width = comptime!(tiling.query_width());
    load_rotated::<F>(qkv, cos, sin, &mut queries, first_row, first_query, query_columns, width, seq, scale, tiling);
    load_plain::<F>(upstream, &mut upstreams, first_row, first_query, query_columns, query_width, seq, tiling);
    sync_cube();

    let mut start = Array::<i32>::new(micro);
    let mut log_sum = Array::<f32>::new(micro);
    let mut projection = Array::<f32>::new(micro);
    let mut scores = Array::<f32>::new(comptime!(micro * micro));
    let mut weighted = Array::<f32>::new(comptime!(micro * micro));
    let mut result = Array::<f32>::new(comptime!(micro * columns));
    #[unroll]
    for i in 0..micro {
        let query = first_query + down + i * SIDE;
        start[i] = start_of(starts, first_row, query, seq);
        log_sum[i] = 0.0;
        projection[i] = 0.0;
        if query < seq {
            let row = first_row + query;
            log_sum[i] = log_sums[row * query_heads + head];
            for column in 0..head_dim {
                let out = f32::cast_from(output[row * query_width + query_columns + column]);
                projection[i] += out * upstreams[column * line + down + i * SIDE];
            }
            if across == 0 {
                projections[row * query_heads + head] = projection[i];
            }
        }
        #[unroll]
        for j in 0..columns {
            result[i * columns + j] = 0.0;
        }
    }

    let mut first_key = first_tile(starts, first_row, first_query, seq, tile);
    while first_key < seq && first_key <= first_query {
        sync_cube();
        load_rotated::<F>(qkv, cos, sin, &mut keys, first_row, first_key, key_head * head_dim, width, seq, 1.0, tiling);
        let value_columns = (key_head + key_heads) * head_dim;
        load_plain::<F>(qkv, &mut values, first_row, first_key, value_columns, width, seq, tiling);
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
                slopes[(down + i * SIDE) * line + across + j * SIDE] = weight * (weighted[at] - projection[i]);
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
    write_turned_back::<F>(
        gradient,
        &queries,
        cos,
        sin,
        first_row,
        first_query,
        query_columns,
        width,
        seq,
        scale,
        tiling,
    );
}

/// Gradients of keys and values, summed over the query heads that share them. Grid: tiles of a sequence, key heads,
/// sequences.
#[cube(launch)]
pub fn attention_backward_keys<F: Float>(
    qkv: &Tensor<F>,
    cos: &Tensor<f32>,
    sin: &Tensor<f32>,
    starts: &Tensor<i32>,
    upstream: &Tensor<F>,
    log_sums: &Tensor<f32>,
    projections: &Tensor<f32>,
    gradient: &mut Tensor<F>,
    seq: usize,
    scale: f32,
    #[comptime] tiling: Tiling,
    #[define(F)] _dtype: ElemType,
) {
    let micro = comptime!(tiling.micro());
    let columns = comptime!(tiling.columns());
    let line = comptime!(tiling.line());
    let (tile, head_dim) = comptime!((tiling.tile, tiling.head_dim));

    let first_key = CUBE_POS_X as usize * tile;
    let key_head = CUBE_POS_Y as usize;
    let first_row = CUBE_POS_Z as usize * seq;
    let (query_heads, key_heads) = comptime!((tiling.query_heads, tiling.key_heads));
    let (group, width, query_width) = comptime!((tiling.group(), tiling.width(), tiling.query_width()));
    let across = UNIT_POS as usize % SIDE;
    let down = UNIT_POS as usize / SIDE;

    let mut keys = Shared::<[f32]>::new_slice(comptime!(tiling.inputs()));
    let mut values = Shared::<[f32]>::new_slice(comptime!(tiling.inputs()));
    let mut queries = Shared::<[f32]>::new_slice(comptime!(tiling.inputs()));
    let mut upstreams = Shared::<[f32]>::new_slice(comptime!(tiling.inputs()));
    let mut weights = Shared::<[f32]>::new_slice(comptime!(tiling.scores()));
    let mut slopes = Shared::<[f32]>::new_slice(comptime!(tiling.scores()));

    let key_columns = (query_heads + key_head) * head_dim;
    let value_columns = key_columns + key_heads * head_dim;
    load_rotated::<F>(qkv, cos, sin, &mut keys, first_row, first_key, key_columns, width, seq, 1.0, tiling);
    load_plain::<F>(qkv, &mut values, first_row, first_key, value_columns, width, seq, tiling);

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
            // Documents that begin after these keys have nothing to do with them.
            if first_tile(starts, first_row, first_query, seq, tile) <= first_key {
                sync_cube();
                load_rotated::<F>(
                    qkv,
                    cos,
                    sin,
                    &mut queries,
                    first_row,
                    first_query,
                    query_columns,
                    width,
                    seq,
                    scale,
                    tiling,
                );
                load_plain::<F>(
                    upstream,
                    &mut upstreams,
                    first_row,
                    first_query,
                    query_columns,
                    query_width,
                    seq,
                    tiling,
                );
                sync_cube();
                products(&keys, &queries, &mut scores, down, across, tiling);
                products(&values, &upstreams, &mut weighted, down, across, tiling);
                #[unroll]
                for j in 0..micro {
                    let query = first_query + across + j * SIDE;
                    let start = start_of(starts, first_row, query, seq);
                    let mut log_sum = f32::new(0.0);
                    let mut projection = f32::new(0.0);
                    if query < seq {
                        log_sum = log_sums[(first_row + query) * query_heads + head];
                        projection = projections[(first_row + query) * query_heads + head];
                    }
                    #[unroll]
                    for i in 0..micro {
                        let at = i * micro + j;
                        let visible = is_visible(first_key + down + i * SIDE, query, start);
                        let weight = select(visible, (scores[at] - log_sum).exp(), 0.0);
                        let place = (down + i * SIDE) * line + across + j * SIDE;
                        weights[place] = weight;
                        slopes[place] = weight * (weighted[at] - projection);
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
    write_turned_back::<F>(gradient, &keys, cos, sin, first_row, first_key, key_columns, width, seq, 1.0, tiling);
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

/// Puts a unit's part of a tile where other units can read it.
#[cube]
fn store_tile(tile: &mut [f32], result: &Array<f32>, down: usize, across: usize, #[comptime] tiling: Tiling) {
    let columns = comptime!(tiling.columns());
    #[unroll]
    for i in 0..comptime!(tiling.micro()) {
        #[unroll]
        for j in 0..columns {
            tile[(across + j * SIDE) * comptime!(tiling.line()) + down + i * SIDE] = result[i * columns + j];
        }
    }
}

/// Writes gradients of turned elements as those of what was turned: the transpose of a rotation turns back.
#[cube]
fn write_turned_back<F: Float>(
    gradient: &mut Tensor<F>,
    tile: &[f32],
    cos: &Tensor<f32>,
    sin: &Tensor<f32>,
    first_row: usize,
    first: usize,
    columns: usize,
    width: usize,
    seq: usize,
    factor: f32,
    #[comptime] tiling: Tiling,
) {
    let (head_dim, line) = comptime!((tiling.head_dim, tiling.line()));
    let half = comptime!(head_dim / 2);
    let mut element = UNIT_POS as usize;
    while element < comptime!(tiling.tile * head_dim) {
        let (row, column) = (element / head_dim, element % head_dim);
        let position = first + row;
        if position < seq {
            let in_first = column < half;
            let pair = position * half + select(in_first, column, column - half);
            let partner = select(in_first, column + half, column - half);
            let sine = select(in_first, sin[pair], -sin[pair]);
            let turned = tile[column * line + row] * cos[pair] + tile[partner * line + row] * sine;
            gradient[(first_row + position) * width + columns + column] = F::cast_from(turned * factor);
        }
        element += SIDE * SIDE;
    }
}
