//! Rotary positions in `config.json`: `rope_theta` with `rope_scaling` until `transformers` 4, `rope_parameters` since 5.

use crate::error::{Problem, shown};
use crate::shape::{Ends, Rope, RopeKind, limits};
use crate::source::Fields;

const KNOWN: [&str; 16] = [
    "rope_type",
    "type",
    "rope_theta",
    "factor",
    "original_max_position_embeddings",
    "attention_factor",
    "beta_fast",
    "beta_slow",
    "short_factor",
    "long_factor",
    "low_freq_factor",
    "high_freq_factor",
    "mscale",
    "mscale_all_dim",
    "truncate",
    "partial_rotary_factor",
];

/// Base where nothing is said.
const THETA: f64 = 10_000.0;
/// Smallest positive factor, so that nothing is divided by zero.
const LEAST: f64 = 1e-6;

/// # Errors
/// `RopeType` for an unknown type, `Field` for what its type lacks or does not know.
pub fn read(config: &Fields<'_>, head_dim: usize, context: usize) -> Result<Rope, Problem> {
    let old = config.object("rope_scaling")?;
    let new = config.object("rope_parameters")?;
    if old.is_some() && new.is_some() && config.get("rope_scaling") != config.get("rope_parameters") {
        return Err(config.problem("rope_scaling", "differs from `rope_parameters`"));
    }
    let outer = config.number("rope_theta", LEAST)?;
    let Some(parameters) = new.or(old) else {
        return Ok(Rope { theta: outer.unwrap_or(THETA), dim: head_dim, kind: RopeKind::Default });
    };
    if let Some(unknown) = parameters.names().find(|name| !KNOWN.contains(name)) {
        return Err(parameters.problem(&shown(unknown), "is not known"));
    }
    if parameters.number("partial_rotary_factor", 0.0)?.is_some_and(|factor| factor != 1.0) {
        return Err(parameters.problem("partial_rotary_factor", "is not 1; heads are rotated as a whole only"));
    }
    let theta = parameters.number("rope_theta", LEAST)?.or(outer).unwrap_or(THETA);
    let name = match parameters.text("rope_type")? {
        Some(name) => name,
        None => parameters.text("type")?.unwrap_or("default"),
    };
    let rope = Rope { theta, dim: head_dim, kind: kind(name, config, &parameters, head_dim, context)? };
    check(&rope, &parameters)?;
    Ok(rope)
}

fn kind(
    name: &str,
    config: &Fields<'_>,
    parameters: &Fields<'_>,
    head_dim: usize,
    context: usize,
) -> Result<RopeKind, Problem> {
    let needed = |name: &str| parameters.number(name, LEAST)?.ok_or_else(|| parameters.problem(name, "is missing"));
    let original = || -> Result<usize, Problem> {
        let field = "original_max_position_embeddings";
        let outer = config.count(field, 1..=limits::CONTEXT)?;
        let inner = parameters.count(field, 1..=limits::CONTEXT)?;
        Ok(outer.or(inner).unwrap_or(context))
    };
    Ok(match name {
        "default" => RopeKind::Default,
        "linear" => RopeKind::Linear { factor: needed("factor")? },
        "dynamic" => RopeKind::Dynamic { factor: needed("factor")?, context },
        "llama3" => RopeKind::Llama3 {
            factor: needed("factor")?,
            low: needed("low_freq_factor")?,
            high: needed("high_freq_factor")?,
            original: original()?,
        },
        "yarn" => yarn(parameters, original()?, context)?,
        "longrope" => {
            let original = original()?;
            let factor = parameters.number("factor", LEAST)?.unwrap_or(context as f64 / original as f64);
            let stretched = || (1.0 + factor.ln() / (original as f64).ln()).sqrt();
            let inferred = if factor <= 1.0 { 1.0 } else { stretched() };
            RopeKind::Long {
                short: parameters.factors("short_factor", head_dim / 2)?,
                long: parameters.factors("long_factor", head_dim / 2)?,
                attention: parameters.number("attention_factor", LEAST)?.unwrap_or(inferred),
                original,
            }
        }
        other => return Err(Problem::RopeType(shown(other))),
    })
}

fn yarn(parameters: &Fields<'_>, original: usize, context: usize) -> Result<RopeKind, Problem> {
    let factor = parameters.number("factor", LEAST)?.unwrap_or(context as f64 / original as f64);
    let scale = |weight: f64| if factor <= 1.0 { 1.0 } else { 0.1 * weight * factor.ln() + 1.0 };
    // Python takes zero for absent.
    let optional = |name: &str| parameters.number(name, 0.0).map(|number| number.filter(|number| *number != 0.0));
    let inferred = match (optional("mscale")?, optional("mscale_all_dim")?) {
        (Some(mscale), Some(all)) => scale(mscale) / scale(all),
        _ => scale(1.0),
    };
    Ok(RopeKind::Yarn {
        factor,
        attention: parameters.number("attention_factor", LEAST)?.unwrap_or(inferred),
        fast: optional("beta_fast")?.unwrap_or(32.0),
        slow: optional("beta_slow")?.unwrap_or(1.0),
        original,
        ends: if parameters.flag("truncate")?.unwrap_or(true) { Ends::Whole } else { Ends::Exact },
    })
}

/// Refuses parameters whose formula has no finite value.
fn check(rope: &Rope, parameters: &Fields<'_>) -> Result<(), Problem> {
    match rope.kind {
        RopeKind::Dynamic { .. } if rope.dim <= 2 => {
            return Err(parameters.problem("rope_type", "`dynamic` needs heads of more than two elements"));
        }
        RopeKind::Llama3 { low, high, .. } if low >= high => {
            return Err(parameters.problem("high_freq_factor", "must be larger than `low_freq_factor`"));
        }
        RopeKind::Yarn { .. } if rope.theta <= 1.0 => {
            return Err(parameters.problem("rope_theta", "must be larger than 1"));
        }
        _ => {}
    }
    let finite = |positions| rope.inverse_frequencies(positions).iter().all(|frequency| frequency.is_finite());
    if finite(1) && finite(limits::CONTEXT) && rope.attention_factor().is_finite() {
        return Ok(());
    }
    Err(parameters.problem("rope_type", "has parameters that give no finite frequencies"))
}
