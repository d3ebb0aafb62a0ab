//! placeholder for the skeleton
pub struct ArtifactStore;
