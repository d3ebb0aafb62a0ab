//! The page for people: login, the files that it is made of, and its views. Each view renders what the database has;
//! scripts ask for it again when an event says that it has changed.

mod act;
mod artifact;
mod assets;
mod batches;
mod compare;
mod login;
mod login_form;
mod parts;
mod playground;
mod pools;
mod routes;
mod run;
mod runs;
mod schedules;
mod start;

pub use login_form::login_form;
pub use routes::routes;
