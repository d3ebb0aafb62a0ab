//! The page in a real browser, driven over the DevTools protocol. Without Chromium these tests say so and pass.

mod artifacts;
mod batches;
mod browser;
mod chromium;
mod keyboard;
mod looks;
mod playground;
mod protocol;
mod runs;
mod server;
mod socket;
mod steer;
mod steps;
mod survives;
mod tabs;
