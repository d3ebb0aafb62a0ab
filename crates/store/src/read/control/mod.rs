//! What steers and holds back work: requests, waits, limits and schedules.

mod limits;
mod requests;
mod schedules;
mod waits;
