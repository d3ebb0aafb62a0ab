//! On what the attempts of an engine run: part of the provenance of everything that they make.

use serde_json::{Value, json};

/// Equal for equal machines and builds, so that it is stored once.
pub(super) fn describe() -> Value {
    json!({
        "stepwell": env!("CARGO_PKG_VERSION"),
        "code": env!("STEPWELL_CODE"),
        "build_features": build_features(),
        "os": std::env::consts::OS,
        "kernel": std::fs::read_to_string("/proc/sys/kernel/osrelease").ok().map(|text| text.trim().to_owned()),
        "arch": std::env::consts::ARCH,
        "cpu": cpu_model(),
        "cpu_features": cpu_features(),
        "threads": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
    })
}

fn build_features() -> Vec<&'static str> {
    let all = [
        ("train", cfg!(feature = "train")),
        ("flex", cfg!(feature = "flex")),
        ("wgpu", cfg!(feature = "wgpu")),
        ("vulkan", cfg!(feature = "vulkan")),
        ("metal", cfg!(feature = "metal")),
        ("cuda", cfg!(feature = "cuda")),
    ];
    all.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect()
}

fn cpu_model() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, model)| model.trim().to_owned())
}

/// Of what the standard library cannot ask for.
#[cfg(target_arch = "x86_64")]
fn has_flag(name: &str) -> bool {
    let Ok(text) = std::fs::read_to_string("/proc/cpuinfo") else { return false };
    let flags = text.lines().find(|line| line.starts_with("flags"));
    flags.is_some_and(|flags| flags.split_ascii_whitespace().any(|flag| flag == name))
}

/// Those that choose between kernels.
#[cfg(target_arch = "x86_64")]
fn cpu_features() -> Vec<&'static str> {
    let all = [
        ("avx", std::arch::is_x86_feature_detected!("avx")),
        ("avx2", std::arch::is_x86_feature_detected!("avx2")),
        ("fma", std::arch::is_x86_feature_detected!("fma")),
        ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
        ("avx512bf16", std::arch::is_x86_feature_detected!("avx512bf16")),
        ("amx_bf16", has_flag("amx_bf16")),
    ];
    all.into_iter().filter(|(_, found)| *found).map(|(name, _)| name).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn cpu_features() -> Vec<&'static str> {
    Vec::new()
}
