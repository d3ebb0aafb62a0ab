//! Instruction sets: those of this machine, and the one that the user requests.

use std::env;
use std::ffi::OsString;

/// Environment variable that names an instruction set which the processor reports. With the prefix [`FORCE`], the set
/// may be one that the processor has but does not report, as in some virtual machines; if the processor lacks it, an
/// illegal instruction kills the program.
pub const VARIABLE: &str = "STEPWELL_ISA";

/// Prefix of a set that the user vouches for.
const FORCE: &str = "force:";

/// The requested instruction set cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IsaError {
    #[error("`{VARIABLE}` is `{name}`; use one of: {}, or unset it", names().join(", "))]
    Unknown { name: String },
    #[error(
        "`{VARIABLE}` is `{name}`, but this processor reports no such instructions; unset it, or use `{FORCE}{name}` if \
         the processor has them all the same"
    )]
    NotReported { name: String },
    #[error("`{VARIABLE}` is `{name}`, but the system does not let this process use these registers; unset it")]
    NotGranted { name: String },
}

/// An instruction set for vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// [`Set::Avx512Bf16`] plus products of bf16 tiles.
    #[cfg(target_arch = "x86_64")]
    Amx,
    /// [`Set::Avx512`] plus products of bf16 pairs.
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
    /// 32 registers of 16 lanes.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// 16 registers of 8 lanes, with fused multiply-add.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Baseline of this architecture; NEON on aarch64.
    Base,
}

impl Set {
    /// Reports whether the operating system lets this process use the registers.
    fn is_granted(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self != Set::Amx || super::amx::is_granted();
        #[cfg(not(target_arch = "x86_64"))]
        true
    }
}

/// All sets of this architecture by name, lowest first.
const SETS: &[(&str, Set)] = &[
    ("portable", Set::Base),
    #[cfg(target_arch = "x86_64")]
    ("avx2", Set::Avx2),
    #[cfg(target_arch = "x86_64")]
    ("avx512", Set::Avx512),
    #[cfg(target_arch = "x86_64")]
    ("avx512bf16", Set::Avx512Bf16),
    #[cfg(target_arch = "x86_64")]
    ("amx", Set::Amx),
];

fn names() -> Vec<&'static str> {
    SETS.iter().map(|(name, _)| *name).collect()
}

/// The requested set, if this machine reports it or the user vouches for it; `None` if the variable is unset or empty.
///
/// # Errors
/// [`IsaError::Unknown`] for an unknown name, [`IsaError::NotReported`] if the processor does not report the set, and
/// [`IsaError::NotGranted`] if the system does not allow its registers.
pub fn requested() -> Result<Option<Set>, IsaError> {
    named(env::var_os(VARIABLE), |set| detected().any(|here| here == set), Set::is_granted)
}

/// Names of the sets below this machine's best one.
#[cfg(test)]
pub fn lower() -> Vec<&'static str> {
    let is_lower = |set: Set| detected().skip(1).any(|here| here == set);
    SETS.iter().filter(|(_, set)| is_lower(*set)).map(|(name, _)| *name).collect()
}

fn named(
    value: Option<OsString>,
    is_reported: impl Fn(Set) -> bool,
    is_granted: impl Fn(Set) -> bool,
) -> Result<Option<Set>, IsaError> {
    let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(None) };
    let text = value.to_string_lossy().into_owned();
    let (name, forced) = text.strip_prefix(FORCE).map_or((text.as_str(), false), |name| (name, true));
    let Some(set) = SETS.iter().find(|(of_set, _)| name == *of_set).map(|(_, set)| *set) else {
        return Err(IsaError::Unknown { name: text });
    };
    if !is_granted(set) {
        return Err(IsaError::NotGranted { name: text });
    }
    if !forced && !is_reported(set) {
        return Err(IsaError::NotReported { name: text });
    }
    Ok(Some(set))
}

/// Lists the sets that the processor reports and the system grants, best first.
pub(super) fn detected() -> impl Iterator<Item = Set> {
    #[cfg(target_arch = "x86_64")]
    let sets = [
        (Set::Amx, has_avx512_bf16() && super::amx::is_granted()),
        (Set::Avx512Bf16, has_avx512_bf16()),
        (Set::Avx512, has_avx512()),
        (Set::Avx2, has_avx2()),
        (Set::Base, true),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    let sets = [(Set::Base, true)];
    sets.into_iter().filter(|(_, here)| *here).map(|(set, _)| set)
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && has_avx2()
}

#[cfg(target_arch = "x86_64")]
fn has_avx512_bf16() -> bool {
    has_avx512() && is_x86_feature_detected!("avx512bf16")
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_found_by_its_name_and_other_names_are_refused() {
        let of = |text: &str| named(Some(text.into()), |_| true, |_| true);
        assert_eq!((named(None, |_| true, |_| true), of("")), (Ok(None), Ok(None)));
        for (name, set) in SETS {
            assert_eq!(of(name), Ok(Some(*set)));
            assert_eq!(of(&format!("force:{name}")), Ok(Some(*set)));
        }
        for name in ["sse9", "force:", "force:sse9", "force: avx2", "AVX2"] {
            let message = of(name).unwrap_err().to_string();
            assert!(message.starts_with(&format!("`STEPWELL_ISA` is `{name}`; use one of: portable")), "{message}");
        }
    }

    #[test]
    fn what_the_processor_does_not_report_must_be_forced() {
        let of = |text: &str| named(Some(text.into()), |set| set == Set::Base, |_| true);
        assert_eq!(of("portable"), Ok(Some(Set::Base)));
        for (name, set) in SETS.iter().filter(|(_, set)| *set != Set::Base) {
            let error = of(name).unwrap_err();
            assert_eq!(error, IsaError::NotReported { name: (*name).to_owned() });
            assert!(error.to_string().contains(&format!("use `force:{name}`")), "{error}");
            assert_eq!(of(&format!("force:{name}")), Ok(Some(*set)));
        }
    }

    /// `force:` does not change what the system allows.
    #[test]
    fn registers_that_the_system_refuses_cannot_be_forced() {
        for (name, set) in SETS {
            for name in [(*name).to_owned(), format!("force:{name}")] {
                let found = named(Some(name.clone().into()), |_| true, |asked| asked != *set);
                assert_eq!(found, Err(IsaError::NotGranted { name }));
            }
        }
    }
}
