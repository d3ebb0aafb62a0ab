//! Cross-entropy and z-loss with a tied output head, in chunks of rows, so that the logits of all rows never exist at
//! once.

use super::gemm::{View, matmul, matmul_add};
use crate::cpu::simd::{LANES, exp, kernel, sum_lanes};
use crate::cpu::thread_team;
use crate::ops::{LossOptions, Objective};
use crate::precision::Precision;

/// Logits per task, unless a single row has more.
const TASK: usize = 1 << 14;

/// Rows whose logits are held at a time. The head's gradient is read and written once per chunk; with twice as many
/// rows, 8 x 512 tokens of deep60 would not fit into 4 GiB.
const CHUNK: usize = 256;

/// The tied head: `logits = x weight^T`.
#[derive(Clone, Copy)]
pub struct Head<'a> {
    /// `[rows, width]`.
    pub x: &'a [f32],
    /// `[vocab, width]`.
    pub weight: &'a [f32],
    /// Width of the residual stream.
    pub width: usize,
    /// One per row; rows with a negative target do not count.
    pub targets: &'a [i32],
    /// Number of rows before the first one, for options that have a number per row.
    pub first: usize,
    pub options: &'a LossOptions,
    pub precision: Precision,
}

/// Selects if the head's weight gets a gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadWeight {
    Trained,
    Frozen,
}

/// Contribution of a row to the loss; zeros for a row without a target.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TokenLoss {
    /// `-log softmax(logits)[target]` in nats.
    pub nll: f32,
    /// Squared log-sum-exp: the z-loss before its weight.
    pub squared_log_sum: f32,
}

impl TokenLoss {
    fn weighted(self, weight: f32) -> Self {
        TokenLoss { nll: self.nll * weight, squared_log_sum: self.squared_log_sum * weight }
    }
}

/// Gradients of an objective with respect to the head.
pub struct HeadGradients {
    pub x: Vec<f32>,
    /// Gradient of the weight, if it is trained.
    pub weight: Option<Vec<f32>>,
}

pub fn token_losses(head: Head<'_>) -> Vec<TokenLoss> {
    let mut losses = Vec::with_capacity(head.targets.len());
    for_each_chunk(head, |chunk, logits| {
        losses.extend(of_rows(chunk, logits, |logits, row, target| {
            if target < 0 {
                return TokenLoss::default();
            }
            if head.options.softcap > 0.0 {
                cap_row(logits, head.options.softcap);
            }
            exponentials_of_row(logits, target as usize).loss().weighted(head.options.weight(row, target))
        }));
    });
    losses
}

/// [`token_losses`] and the gradients of `objective`.
pub fn token_losses_with_gradients(
    head: Head<'_>,
    objective: Objective,
    trained: HeadWeight,
) -> (Vec<TokenLoss>, HeadGradients) {
    let (vocab, width) = (head.vocab(), head.width);
    let mut losses = Vec::with_capacity(head.targets.len());
    let mut gradients = HeadGradients { x: Vec::with_capacity(head.x.len()), weight: None };
    for_each_chunk(head, |chunk, logits| {
        losses.extend(of_rows(chunk, logits, |logits, row, target| {
            if target < 0 {
                logits.fill(0.0);
                return TokenLoss::default();
            }
            gradient_of_target(logits, (row, target), objective, head.options)
        }));
        let rows = chunk.targets.len();
        let dlogits = View::new(logits, rows, vocab);
        gradients.x.extend(matmul(dlogits, View::new(head.weight, vocab, width), head.precision));
        if trained == HeadWeight::Trained {
            let (dlogits, x) = (dlogits.transposed(), View::new(chunk.x, rows, width));
            match &mut gradients.weight {
                Some(sum) => matmul_add(sum, dlogits, x, head.precision),
                none => *none = Some(matmul(dlogits, x, head.precision)),
            }
        }
    });
    (losses, gradients)
}

impl Head<'_> {
    fn vocab(&self) -> usize {
        self.weight.len() / self.width
    }
}

/// Calls `visit` with each chunk of rows and its logits, in order.
fn for_each_chunk(head: Head<'_>, mut visit: impl FnMut(Head<'_>, &mut [f32])) {
    let (vocab, width) = (head.vocab(), head.width);
    let weight = View::new(head.weight, vocab, width).transposed();
    for (number, (x, targets)) in head.x.chunks(CHUNK * width).zip(head.targets.chunks(CHUNK)).enumerate() {
        let mut logits = matmul(View::new(x, targets.len(), width), weight, head.precision);
        visit(Head { x, targets, first: head.first + number * CHUNK, ..head }, &mut logits);
    }
}

/// Results of `of_row` for each row of a chunk's logits, its number and its target.
fn of_rows(
    chunk: Head<'_>,
    logits: &mut [f32],
    of_row: impl Fn(&mut [f32], usize, i32) -> TokenLoss + Sync,
) -> impl Iterator<Item = TokenLoss> {
    let vocab = chunk.vocab();
    let rows = (TASK / vocab).max(1);
    let parts = logits.chunks_mut(rows * vocab).zip(chunk.targets.chunks(rows)).enumerate();
    let losses = thread_team::map(parts, |(part, (logits, targets))| {
        let numbered = logits.chunks_mut(vocab).zip(targets).zip(chunk.first + part * rows..);
        numbered.map(|((logits, target), row)| of_row(logits, row, *target)).collect::<Vec<_>>()
    });
    losses.into_iter().flatten()
}

/// Statistics of a row of logits after the row was replaced by `e^(logit - maximum)`.
struct Row {
    /// Sum of the row's exponentials.
    total: f64,
    /// Log-sum-exp of the logits.
    log_sum: f64,
    picked: f32,
}

impl Row {
    fn loss(&self) -> TokenLoss {
        let nll = (self.log_sum - f64::from(self.picked)) as f32;
        TokenLoss { nll, squared_log_sum: (self.log_sum * self.log_sum) as f32 }
    }
}

fn exponentials_of_row(logits: &mut [f32], target: usize) -> Row {
    let picked = logits[target];
    let maximum = row_maximum(logits);
    let total = exponentials(logits, maximum);
    Row { total, log_sum: total.ln() + f64::from(maximum), picked }
}

/// [`gradient_of_row`] with the options of the loss.
fn gradient_of_target(
    logits: &mut [f32],
    (row, target): (usize, i32),
    objective: Objective,
    options: &LossOptions,
) -> TokenLoss {
    let index = target as usize;
    if options.is_plain() {
        return gradient_of_row(logits, index, objective);
    }
    let weight = options.weight(row, target);
    let capped = (options.softcap > 0.0).then(|| {
        cap_row(logits, options.softcap);
        logits.to_vec()
    });
    let loss = gradient_of_row(logits, index, objective).weighted(weight);
    if weight != 1.0 {
        scale_row(logits, weight);
    }
    if let Some(capped) = capped {
        through_cap(logits, &capped, options.softcap);
    }
    loss
}

/// Turns logits into `(softmax * (1 + 2 z_loss log Z) - one_hot(target)) / divisor` and returns the row's loss.
fn gradient_of_row(logits: &mut [f32], target: usize, objective: Objective) -> TokenLoss {
    let row = exponentials_of_row(logits, target);
    let scale = 1.0 / objective.divisor;
    let of_softmax = 1.0 + 2.0 * f64::from(objective.z_loss) * row.log_sum;
    scale_row(logits, (f64::from(scale) * of_softmax / row.total) as f32);
    logits[target] -= scale;
    row.loss()
}

kernel! {
    fn row_maximum<'a>(row: &'a [f32]) -> f32 {
        let mut lanes = [f32::NEG_INFINITY; LANES];
        let (blocks, rest) = row.as_chunks::<LANES>();
        for block in blocks {
            for lane in 0..LANES {
                lanes[lane] = if block[lane] > lanes[lane] { block[lane] } else { lanes[lane] };
            }
        }
        let mut maximum = f32::NEG_INFINITY;
        for value in lanes.iter().chain(rest) {
            maximum = if *value > maximum { *value } else { maximum };
        }
        maximum
    }
}

kernel! {
    /// Replaces each value by `e^(value - maximum)` and returns the sum. Short f32 sums are added in f64: over a whole
    /// vocabulary, f32 alone would lose digits.
    fn exponentials<'a>(row: &'a mut [f32], maximum: f32) -> f64 {
        let mut total = 0.0f64;
        for part in row.chunks_mut(64 * LANES) {
            let mut lanes = [0.0f32; LANES];
            let (blocks, rest) = part.as_chunks_mut::<LANES>();
            for block in blocks {
                for lane in 0..LANES {
                    block[lane] = exp(block[lane] - maximum);
                    lanes[lane] += block[lane];
                }
            }
            for (lane, value) in rest.iter_mut().enumerate() {
                *value = exp(*value - maximum);
                lanes[lane] += *value;
            }
            total += f64::from(sum_lanes(lanes));
        }
        total
    }
}

kernel! {
    /// Replaces each logit by `cap tanh(logit / cap)`, with `tanh |y| = (1 - e^(-2 |y|)) / (1 + e^(-2 |y|))`.
    pub fn cap_row<'a>(row: &'a mut [f32], cap: f32) -> () {
        for value in row.iter_mut() {
            let decayed = exp(-2.0 * (*value / cap).abs());
            let bounded = cap * (1.0 - decayed) / (1.0 + decayed);
            *value = if *value < 0.0 { -bounded } else { bounded };
        }
    }
}

kernel! {
    /// Multiplies gradients by the derivative `1 - tanh^2` at the capped logits.
    fn through_cap<'a>(gradients: &'a mut [f32], capped: &'a [f32], cap: f32) -> () {
        for (gradient, capped) in gradients.iter_mut().zip(capped) {
            let tanh = *capped / cap;
            *gradient *= 1.0 - tanh * tanh;
        }
    }
}

kernel! {
    fn scale_row<'a>(row: &'a mut [f32], factor: f32) -> () {
        for value in row.iter_mut() {
            *value *= factor;
        }
    }
}
