//! (module map)
