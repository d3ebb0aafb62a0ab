//! Lets programs do the same work in turns, one at a time, so that other load on the machine hits all of them.

mod contestant;
mod host;
mod peers;
mod turns;

pub(super) use contestant::{Contestant, Launch};
pub(super) use host::Host;
pub(super) use peers::Peer;
pub(super) use turns::in_turns;
