//! Rented machines for the verbs: their log in the database, their accounts, and their shells.

mod account;
mod desk;
mod ledger;

pub use desk::Desk;
