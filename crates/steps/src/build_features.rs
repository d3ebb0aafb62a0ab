/// Names the Cargo features of this build that change what training computes.
pub fn build_features() -> Vec<&'static str> {
    #[cfg(feature = "train")]
    return std::iter::once("train").chain(stepwell_train::backends()).collect();
    #[cfg(not(feature = "train"))]
    Vec::new()
}
