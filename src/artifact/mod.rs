//! Content-addressed store: the only place that publishes files.

mod local;

pub use local::ArtifactStore;
