//! Graphics device for tests.

use std::io::Write;

use burn::tensor::Device;

/// Opens the device without automatic differentiation, or returns `None` and prints which test is skipped and why.
/// Writes straight to the terminal, because the harness hides what macros print in a test that passes.
pub fn graphics_device() -> Option<Device> {
    match super::open("wgpu") {
        Ok(device) => Some(device),
        Err(error) => {
            let thread = std::thread::current();
            #[expect(clippy::disallowed_methods, reason = "tests may print")]
            let _ = writeln!(std::io::stderr(), "skipped {}: {error}", thread.name().unwrap_or("a test"));
            None
        }
    }
}
