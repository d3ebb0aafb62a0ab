//! Records which code the program was built from, for the provenance of its artifacts.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Only a release records the commit: a development build may contain uncommitted changes.
    let release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let described = if release { git(&["describe", "--always", "--dirty", "--tags"]) } else { None };
    let fallback = if release { "unknown" } else { "development" };
    println!("cargo:rustc-env=STEPWELL_CODE={}", described.as_deref().unwrap_or(fallback));
    if release {
        println!("cargo:rerun-if-changed=../../crates");
        println!("cargo:rerun-if-changed=../../src");
        if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|path| Path::new(path).exists()) {
            println!("cargo:rerun-if-changed={log}");
        }
    }
}

/// Runs git and returns its output; `None` without git or outside a repository.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
