//! Frequencies of rotary positions, in the operations and the precision of `transformers`.

use std::f64::consts::PI;

use super::rope::{Ends, Rope, RopeKind};

impl Rope {
    /// Angle per position of each pair of elements, `dim / 2` of them, for a text of `positions` tokens.
    pub fn inverse_frequencies(&self, positions: usize) -> Vec<f32> {
        let plain = || self.powers(self.theta).into_iter().map(|power| 1.0 / power);
        match &self.kind {
            RopeKind::Default => plain().collect(),
            RopeKind::Linear { factor } => plain().map(|frequency| frequency / *factor as f32).collect(),
            RopeKind::Dynamic { factor, context } => {
                let (dim, context) = (self.dim as f64, *context as f64);
                let positions = (positions as f64).max(context);
                let stretch = (factor * positions / context - (factor - 1.0)).powf(dim / (dim - 2.0));
                self.powers(self.theta * stretch).into_iter().map(|power| 1.0 / power).collect()
            }
            RopeKind::Llama3 { factor, low, high, original } => {
                plain().map(|frequency| llama3(frequency, *factor, *low, *high, *original as f64)).collect()
            }
            RopeKind::Yarn { .. } => self.yarn(),
            RopeKind::Long { short, long, original, .. } => {
                let factors = if positions > *original { long } else { short };
                self.divided(factors)
            }
            RopeKind::Factors(factors) => self.divided(factors),
        }
    }

    /// `theta ^ (2 i / dim)`.
    fn powers(&self, theta: f64) -> Vec<f32> {
        let theta = f64::from(theta as f32);
        let exponent = |i: usize| f64::from(2.0 * i as f32 / self.dim as f32);
        (0..self.dim / 2).map(|i| theta.powf(exponent(i)) as f32).collect()
    }

    fn divided(&self, factors: &[f32]) -> Vec<f32> {
        self.powers(self.theta).iter().zip(factors).map(|(power, factor)| 1.0 / (factor * power)).collect()
    }

    fn yarn(&self) -> Vec<f32> {
        let RopeKind::Yarn { factor, fast, slow, original, ends, .. } = self.kind else { return Vec::new() };
        let dim = self.dim as f64;
        // The dimension that turns `rotations` times over the original context.
        let dimension =
            |rotations: f64| dim * (original as f64 / (rotations * 2.0 * PI)).ln() / (2.0 * self.theta.ln());
        let (low, high) = match ends {
            Ends::Whole => (dimension(fast).floor(), dimension(slow).ceil()),
            Ends::Exact => (dimension(fast), dimension(slow)),
        };
        let (low, high) = (low.max(0.0), high.min(dim - 1.0));
        let width = if low == high { 0.001 } else { high - low };
        let blend = |(i, power): (usize, f32)| {
            let interpolated = 1.0 / (factor as f32 * power);
            let ramp = ((i as f32 - low as f32) / width as f32).clamp(0.0, 1.0);
            let kept = 1.0 - ramp;
            interpolated * (1.0 - kept) + (1.0 / power) * kept
        };
        self.powers(self.theta).into_iter().enumerate().map(blend).collect()
    }
}

fn llama3(frequency: f32, factor: f64, low: f64, high: f64, original: f64) -> f32 {
    let wavelength = (2.0 * PI) as f32 / frequency;
    if wavelength > (original / low) as f32 {
        return frequency / factor as f32;
    }
    if wavelength < (original / high) as f32 {
        return frequency;
    }
    let smooth = (original as f32 / wavelength - low as f32) / (high - low) as f32;
    (1.0 - smooth) * frequency / factor as f32 + smooth * frequency
}
