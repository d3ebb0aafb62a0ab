//! Describes the machine and the build that run attempts, for the provenance of their artifacts.

use serde_json::{Value, json};

/// Returns equal values for equal machines and builds, so that each is stored once.
pub(crate) fn describe() -> Value {
    json!({
        "stepwell": env!("CARGO_PKG_VERSION"),
        "code": env!("STEPWELL_CODE"),
        "build_features": stepwell_steps::build_features(),
        "os": std::env::consts::OS,
        "kernel": std::fs::read_to_string("/proc/sys/kernel/osrelease").ok().map(|text| text.trim().to_owned()),
        "arch": std::env::consts::ARCH,
        "cpu": cpu_model(),
        "cpu_features": cpu_features(),
        "threads": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
    })
}

fn cpu_model() -> Option<String> {
    of_processor("model name")
}

/// Reads a field of the first processor in `/proc/cpuinfo`.
fn of_processor(key: &str) -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    line.split_once(':').map(|(_, value)| value.trim().to_owned())
}

/// CPU features that select between kernels.
#[cfg(target_arch = "x86_64")]
fn cpu_features() -> Vec<&'static str> {
    // The standard library cannot detect all of them.
    let flags = of_processor("flags").unwrap_or_default();
    let all = [
        ("avx", std::arch::is_x86_feature_detected!("avx")),
        ("avx2", std::arch::is_x86_feature_detected!("avx2")),
        ("fma", std::arch::is_x86_feature_detected!("fma")),
        ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
        ("avx512bf16", std::arch::is_x86_feature_detected!("avx512bf16")),
        ("amx_bf16", flags.split_ascii_whitespace().any(|flag| flag == "amx_bf16")),
    ];
    all.into_iter().filter(|(_, found)| *found).map(|(name, _)| name).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn cpu_features() -> Vec<&'static str> {
    Vec::new()
}
