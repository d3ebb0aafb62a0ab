//! Lets the store notice that bytes changed or commits got lost: the hash chain of the event log, its head outside
//! the database, and the seal over tables that no event records.

pub(crate) mod chain;
pub(crate) mod head;
pub(crate) mod losses;
pub(crate) mod seal;
