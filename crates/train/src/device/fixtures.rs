//! GPU for tests.

use std::env;
use std::io::Write;

use burn::tensor::Device;

/// Name of the device to test.
const NAME: &str = "STEPWELL_TEST_DEVICE";

/// Name of the device that the tests of GPU kernels use: that of [`NAME`], or else the first that this build has.
pub fn gpu_name() -> String {
    let usual = if cfg!(feature = "wgpu") { "wgpu" } else { "cuda" };
    env::var(NAME).unwrap_or_else(|_| usual.to_owned())
}

/// Opens the device without automatic differentiation, or returns `None` and prints which test is skipped and why.
/// Writes straight to the terminal, because the harness hides what macros print in a test that passes.
///
/// # Panics
/// If [`NAME`] asks for a device that does not open.
pub fn gpu() -> Option<Device> {
    match super::open(&gpu_name()) {
        Ok(device) => Some(device),
        Err(error) if env::var_os(NAME).is_some() => panic!("{error}"),
        Err(error) => {
            let thread = std::thread::current();
            #[expect(clippy::disallowed_methods, reason = "tests may print")]
            let _ = writeln!(std::io::stderr(), "skipped {}: {error}", thread.name().unwrap_or("a test"));
            None
        }
    }
}
