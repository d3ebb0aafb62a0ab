//! Rotary positions: keys `rope.*`, and the tensors with a factor for each frequency.

use crate::error::{Problem, shown};
use crate::shape::{Ends, Rope, RopeKind, Shape};

use super::metadata::Metadata;

const FREQUENCIES: &str = "rope_freqs.weight";
const LONG: &str = "rope_factors_long.weight";
const SHORT: &str = "rope_factors_short.weight";
/// Tensors that belong to no layer.
pub const FACTORS: [&str; 3] = [FREQUENCIES, LONG, SHORT];

/// # Errors
/// `RopeType`, `Field`.
pub fn read(metadata: &Metadata<'_>, prefix: &str, head_dim: usize, context: usize) -> Result<Rope, Problem> {
    let key = |name: &str| format!("{prefix}.rope.{name}");
    let theta = metadata.number(&key("freq_base"))?.unwrap_or(10_000.0);
    if metadata.count(&key("dimension_count"), 0, usize::MAX)?.is_some_and(|dim| dim != head_dim) {
        return Err(Problem::field(
            key("dimension_count"),
            "differs from the size of a head; heads are rotated as a whole only",
        ));
    }
    let factor = || {
        let key = key("scaling.factor");
        metadata.number(&key)?.ok_or_else(|| Problem::field(key, "is missing"))
    };
    let original = metadata.count(&key("scaling.original_context_length"), 1, context.max(1))?.unwrap_or(context);
    let kind = match metadata.text(&key("scaling.type"))? {
        None | Some("none") => RopeKind::Default,
        Some("linear") => RopeKind::Linear { factor: factor()? },
        Some("yarn") => {
            let factor = factor()?;
            let attention = if factor <= 1.0 { 1.0 } else { 0.1 * factor.ln() + 1.0 };
            RopeKind::Yarn { factor, attention, fast: 32.0, slow: 1.0, original, ends: Ends::Whole }
        }
        // Its factors are tensors.
        Some("longrope") => {
            let attention = metadata.number(&key("scaling.attn_factor"))?.unwrap_or(1.0);
            RopeKind::Long { short: Vec::new(), long: Vec::new(), attention, original }
        }
        Some(other) => return Err(Problem::RopeType(shown(other))),
    };
    if matches!(kind, RopeKind::Yarn { .. }) && theta <= 1.0 {
        return Err(Problem::field(key("freq_base"), "must be larger than 1"));
    }
    Ok(Rope { theta, dim: head_dim, kind })
}

/// Adds the factors of tensors to the positions of a shape.
///
/// # Errors
/// `MissingTensor`, and `Damaged` for factors that do not fit.
pub fn with_factors(shape: &mut Shape, values: impl Fn(&str) -> Option<Vec<f32>>) -> Result<(), Problem> {
    let half = shape.head_dim / 2;
    let checked = |name: &str| match values(name) {
        Some(values) if values.len() == half && values.iter().all(|value| value.is_finite() && *value > 0.0) => {
            Ok(Some(values))
        }
        Some(_) => Err(Problem::Damaged(format!("tensor `{name}` must be {half} positive numbers"))),
        None => Ok(None),
    };
    let (frequencies, long_factors, short_factors) = (checked(FREQUENCIES)?, checked(LONG)?, checked(SHORT)?);
    let left_over = |name: &str| Problem::UnknownTensor { first: name.to_owned(), more: 0 };
    match (&mut shape.rope.kind, frequencies) {
        (RopeKind::Long { short, long, .. }, None) => {
            *long = long_factors.ok_or_else(|| Problem::MissingTensor(LONG.into()))?;
            *short = short_factors.ok_or_else(|| Problem::MissingTensor(SHORT.into()))?;
            return Ok(());
        }
        (kind @ RopeKind::Default, Some(factors)) => *kind = RopeKind::Factors(factors),
        (_, Some(_)) => return Err(left_over(FREQUENCIES)),
        (_, None) => {}
    }
    if long_factors.is_some() || short_factors.is_some() {
        return Err(left_over(LONG));
    }
    Ok(())
}
