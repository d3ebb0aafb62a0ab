//! Event files of TensorBoard, written from what is committed in the database.
//!
//! The files are derived data: they may lag behind, be lost or be damaged, and end up with the rows of the database all the
//! same. `observer` hears what was committed, `changes` collects it, and the thread of `follower` brings the folders up to
//! date: `mirror` all of them, `series` one.

mod changes;
mod follower;
mod mirror;
mod observer;
mod place;
mod recent;
mod series;
// Most of them are about trainings.
#[cfg(feature = "train")]
#[cfg(test)]
mod tests;
mod texts;

pub use follower::follow;
pub use mirror::Mirror;
pub use observer::Mirrored;
pub use place::Place;
