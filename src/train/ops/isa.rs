//! The set of vector instructions that the user names.

use std::env;
use std::ffi::OsString;

use super::simd::Set;

/// Names a set of instructions. A lower one than the processor's is always fine. A higher one is the user's word that
/// the processor has it though it does not say so, as some virtual machines let it: without the instructions the
/// program dies of an illegal instruction.
pub const VARIABLE: &str = "STEPWELL_ISA";

/// The variable holds no name of a set of instructions of this architecture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{VARIABLE}` is `{name}`; use one of: {}, or unset it", names().join(", "))]
pub struct UnknownIsa {
    name: String,
}

/// All sets of this architecture by name, the lowest first.
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

/// The set that the user wants; none when the variable is unset or empty.
///
/// # Errors
/// When it is not the name of a set.
pub fn requested() -> Result<Option<Set>, UnknownIsa> {
    named(env::var_os(VARIABLE))
}

/// Names of the sets below the best one of this machine.
#[cfg(test)]
pub fn lower() -> Vec<&'static str> {
    let here = super::simd::Instructions::all();
    SETS.iter().filter(|(_, set)| here.iter().skip(1).any(|one| one.set() == *set)).map(|(name, _)| *name).collect()
}

fn named(value: Option<OsString>) -> Result<Option<Set>, UnknownIsa> {
    let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(None) };
    let found = SETS.iter().find(|(name, _)| value == *name).map(|(_, set)| *set);
    found.map(Some).ok_or_else(|| UnknownIsa { name: value.to_string_lossy().into_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_found_by_its_name_and_other_names_are_refused() {
        let of = |text: &str| named(Some(text.into()));
        assert_eq!((named(None), of("")), (Ok(None), Ok(None)));
        for (name, set) in SETS {
            assert_eq!(of(name), Ok(Some(*set)));
        }
        let message = of("sse9").unwrap_err().to_string();
        assert!(message.starts_with("`STEPWELL_ISA` is `sse9`; use one of: portable"), "{message}");
    }
}
