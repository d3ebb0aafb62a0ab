//! Run-time choice of vector instructions.
//!
//! Rust never reorders floating-point operations, and `mul_add` always rounds once. So all copies of a kernel give the
//! same bits.

use std::env;
use std::sync::OnceLock;

/// Environment variable that names an instruction set; training reads it too.
const VARIABLE: &str = "STEPWELL_ISA";
/// Prefix of a set that the processor has but does not report.
const FORCE: &str = "force:";

/// A computation compiled once per instruction set. `run` must be `#[inline(always)]`.
pub trait Kernel {
    type Output;
    fn run(self) -> Self::Output;
}

/// The requested instruction set cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IsaError {
    #[error("`{VARIABLE}` is `{name}`; use one of: portable, avx2, avx512, avx512bf16, amx, or unset it")]
    Unknown { name: String },
    #[error(
        "`{VARIABLE}` is `{name}`, but this processor reports no such instructions; unset it, or use `{FORCE}{name}`"
    )]
    NotReported { name: String },
}

/// An instruction set of this machine: the processor reports it, or the user vouches for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instructions {
    /// [`Instructions::Avx512`] plus dot products of bytes.
    #[cfg(target_arch = "x86_64")]
    Vnni,
    /// 32 registers of 16 lanes.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// 16 registers of 8 lanes, with fused multiply-add.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Baseline of this architecture; NEON on aarch64.
    Base,
}

impl Instructions {
    /// The set that the environment requests, else the best one of this machine.
    ///
    /// # Errors
    /// [`IsaError`] if the request cannot be met.
    pub fn best() -> Result<Self, IsaError> {
        static BEST: OnceLock<Result<Instructions, IsaError>> = OnceLock::new();
        BEST.get_or_init(|| {
            let value = env::var_os(VARIABLE).map(|value| value.to_string_lossy().into_owned());
            Instructions::named(value.as_deref().unwrap_or(""), &Instructions::all())
        })
        .clone()
    }

    /// All sets of this machine, best first.
    pub fn all() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        let sets = [
            (Instructions::Vnni, has_avx512() && is_x86_feature_detected!("avx512vnni")),
            (Instructions::Avx512, has_avx512()),
            (Instructions::Avx2, has_avx2()),
            (Instructions::Base, true),
        ];
        #[cfg(not(target_arch = "x86_64"))]
        let sets = [(Instructions::Base, true)];
        sets.into_iter().filter(|(_, here)| *here).map(|(set, _)| set).collect()
    }

    /// The best reported set within the one that `text` names; any set if `text` is empty. `avx512` and the sets above
    /// it, which training distinguishes, include dot products of bytes where the processor has them.
    fn named(text: &str, reported: &[Self]) -> Result<Self, IsaError> {
        let (name, forced) = text.strip_prefix(FORCE).map_or((text, false), |name| (name, true));
        let within: &[Instructions] = match name {
            "" if !forced => reported,
            "portable" => &[Instructions::Base],
            #[cfg(target_arch = "x86_64")]
            "avx2" => &[Instructions::Avx2],
            #[cfg(target_arch = "x86_64")]
            "avx512" | "avx512bf16" | "amx" => &[Instructions::Vnni, Instructions::Avx512],
            _ => return Err(IsaError::Unknown { name: text.to_owned() }),
        };
        let found = within.iter().find(|set| reported.contains(set));
        let vouched = within.last().filter(|_| forced);
        found.or(vouched).copied().ok_or_else(|| IsaError::NotReported { name: text.to_owned() })
    }

    /// Runs a kernel compiled for these instructions.
    #[cfg_attr(
        target_arch = "x86_64",
        expect(unsafe_code, reason = "calls functions compiled for instructions that were detected")
    )]
    #[inline]
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512vnni,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
        fn vnni<K: Kernel>(kernel: K) -> K::Output {
            kernel.run()
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
        fn avx512<K: Kernel>(kernel: K) -> K::Output {
            kernel.run()
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma,f16c")]
        fn avx2<K: Kernel>(kernel: K) -> K::Output {
            kernel.run()
        }
        match self {
            // SAFETY: `all` and `named` construct the value only if the processor reports every feature that `vnni` is
            // compiled for, or the user vouches for them.
            #[cfg(target_arch = "x86_64")]
            Instructions::Vnni => unsafe { vnni(kernel) },
            // SAFETY: as above, for `avx512`.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => unsafe { avx512(kernel) },
            // SAFETY: as above, for `avx2`.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => unsafe { avx2(kernel) },
            Instructions::Base => kernel.run(),
        }
    }
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
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c")
}

/// Turns a function over slices into a [`Kernel`] and a function that runs it with given instructions.
macro_rules! kernel {
    ($(#[$meta:meta])* $vis:vis fn $name:ident<$life:lifetime>($($arg:ident: $ty:ty),* $(,)?) -> $out:ty $body:block) => {
        $(#[$meta])*
        $vis fn $name<$life>(instructions: $crate::cpu::Instructions, $($arg: $ty),*) -> $out {
            struct Call<$life> {
                $($arg: $ty),*
            }
            impl<$life> $crate::cpu::Kernel for Call<$life> {
                type Output = $out;
                #[inline(always)]
                fn run(self) -> $out {
                    let Call { $($arg),* } = self;
                    $body
                }
            }
            instructions.run(Call { $($arg),* })
        }
    };
}
pub(crate) use kernel;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_found_by_its_name_and_other_names_are_refused() {
        let here = Instructions::all();
        assert_eq!(Instructions::named("", &here), Ok(here[0]));
        assert_eq!(Instructions::named("portable", &here), Ok(Instructions::Base));
        for name in ["sse9", "force:", "force:sse9", "AVX2"] {
            let message = Instructions::named(name, &here).unwrap_err().to_string();
            assert!(message.starts_with(&format!("`STEPWELL_ISA` is `{name}`; use one of: portable")), "{message}");
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn what_the_processor_does_not_report_must_be_forced() {
        let only = [Instructions::Base];
        for (name, set) in
            [("avx2", Instructions::Avx2), ("avx512", Instructions::Avx512), ("amx", Instructions::Avx512)]
        {
            assert_eq!(Instructions::named(name, &only), Err(IsaError::NotReported { name: name.to_owned() }));
            assert_eq!(Instructions::named(&format!("force:{name}"), &only), Ok(set));
        }
        let all = [Instructions::Vnni, Instructions::Avx512, Instructions::Avx2, Instructions::Base];
        assert_eq!(Instructions::named("avx512bf16", &all), Ok(Instructions::Vnni));
        assert_eq!(Instructions::named("avx2", &all), Ok(Instructions::Avx2));
    }
}
