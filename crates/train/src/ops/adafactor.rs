//! Adafactor over flat slices: the second moment of a matrix is the product of a column and a row.
//!
//! Sums are in f64 and in chunks of a fixed number of rows, so the bits of the result do not depend on the number of
//! threads.

use crate::cpu::thread_team;
use crate::ops::sum_squares;

/// Rows per task, so that a task has about this many elements.
const TASK: usize = 1 << 14;

/// Factors of an Adafactor step that are equal for all elements of a parameter (Shazeer and Stern 2018, algorithm 4).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdafactorStep {
    pub learning_rate: f64,
    /// Decay of the second moment in this step, `1 - step^decay_rate`.
    pub beta2: f64,
    /// Added to the squares of gradients.
    pub epsilon: f64,
    /// Limit of the root mean square of the update.
    pub clip_threshold: f64,
    /// Lower bound of the parameter's scale; `None` leaves the learning rate as it is.
    pub smallest_scale: Option<f64>,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Factor applied to the gradient first: the clipping factor.
    pub gradient_scale: f32,
}

impl AdafactorStep {
    /// Learning rate for this parameter.
    fn rate(&self, param: &[f32]) -> f64 {
        let scale = |smallest: f64| root_mean_square(param).max(smallest);
        self.learning_rate * self.smallest_scale.map_or(1.0, scale)
    }

    fn moved(&self, moment: f32, square: f64) -> f32 {
        (self.beta2 * f64::from(moment) + (1.0 - self.beta2) * square) as f32
    }
}

/// One step of a matrix with `columns` columns. `row` has one number per row and `column` one per column: means of the
/// squared gradients.
///
/// # Panics
/// If the lengths do not fit each other.
pub fn adafactor_matrix(param: &mut [f32], grad: &[f32], row: &mut [f32], column: &mut [f32], step: AdafactorStep) {
    let (rows, columns) = (row.len(), column.len());
    assert!(param.len() == rows * columns && grad.len() == param.len(), "a matrix of rows and columns");
    let task = (TASK / columns).max(1);
    let square = |g: &f32| f64::from(g * step.gradient_scale).powi(2) + step.epsilon;
    let sums = thread_team::map(grad.chunks(task * columns), |part| {
        let mut of_columns = vec![0.0f64; columns];
        let of_rows: Vec<f64> = part
            .chunks(columns)
            .map(|line| {
                let squares = line.iter().map(square);
                squares.zip(&mut of_columns).fold(0.0, |sum, (square, column)| {
                    *column += square;
                    sum + square
                })
            })
            .collect();
        (of_rows, of_columns)
    });
    for (moment, sum) in row.iter_mut().zip(sums.iter().flat_map(|(rows, _)| rows)) {
        *moment = step.moved(*moment, sum / columns as f64);
    }
    for (index, moment) in column.iter_mut().enumerate() {
        let sum: f64 = sums.iter().map(|(_, columns)| columns[index]).sum();
        *moment = step.moved(*moment, sum / rows as f64);
    }
    let mean = row.iter().map(|moment| f64::from(*moment)).sum::<f64>() / rows as f64;
    let by_row: Vec<f64> = row.iter().map(|moment| (mean / f64::from(*moment)).sqrt()).collect();
    let by_column: Vec<f64> = column.iter().map(|moment| 1.0 / f64::from(*moment).sqrt()).collect();
    let updates = thread_team::map(grad.chunks(task * columns).zip(by_row.chunks(task)), |(part, by_row)| {
        let mut updates = Vec::with_capacity(part.len());
        for (line, by_row) in part.chunks(columns).zip(by_row) {
            let factored = line.iter().zip(&by_column);
            updates.extend(factored.map(|(g, by)| (f64::from(g * step.gradient_scale) * by_row * by) as f32));
        }
        updates
    });
    apply(param, &updates.concat(), step);
}

/// One step of a parameter that is no matrix, with one moment per element.
///
/// # Panics
/// If the slices have different lengths.
pub fn adafactor_vector(param: &mut [f32], grad: &[f32], moments: &mut [f32], step: AdafactorStep) {
    assert!(param.len() == grad.len() && moments.len() == grad.len(), "one gradient and one moment per element");
    let updates: Vec<f32> = grad
        .iter()
        .zip(moments)
        .map(|(g, moment)| {
            let g = f64::from(g * step.gradient_scale);
            *moment = step.moved(*moment, g * g + step.epsilon);
            (g / f64::from(*moment).sqrt()) as f32
        })
        .collect();
    apply(param, &updates, step);
}

fn apply(param: &mut [f32], updates: &[f32], step: AdafactorStep) {
    let rate = step.rate(param);
    let clip = (root_mean_square(updates) / step.clip_threshold).max(1.0);
    let (kept, size) = (1.0 - rate * step.weight_decay, rate / clip);
    thread_team::each(param.chunks_mut(TASK).zip(updates.chunks(TASK)), |(param, updates)| {
        for (p, update) in param.iter_mut().zip(updates) {
            *p = (f64::from(*p) * kept - size * f64::from(*update)) as f32;
        }
    });
}

fn root_mean_square(values: &[f32]) -> f64 {
    (sum_squares(values) / values.len() as f64).sqrt()
}
