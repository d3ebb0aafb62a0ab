//! Numbers for monitoring: one snapshot, written as Prometheus text, as OpenMetrics and as JSON.

mod collect;
mod family;
mod inference;
mod routes;
mod text;
mod traffic;

#[cfg(test)]
pub use collect::OF_TRAININGS;
pub use routes::routes;
pub use traffic::Traffic;
