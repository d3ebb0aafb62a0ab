//! For tests that need a graphics device.

use std::io::Write;

use burn::tensor::Device;

/// The device without automatic differentiation, or `None` and a line that says which test is skipped and why. Straight
/// to the terminal: the harness hides what a test prints by macros when it passes.
pub fn graphics_device() -> Option<Device> {
    match super::open("wgpu") {
        Ok(device) => Some(device),
        Err(error) => {
            let thread = std::thread::current();
            let _ = writeln!(std::io::stderr(), "skipped {}: {error}", thread.name().unwrap_or("a test"));
            None
        }
    }
}
