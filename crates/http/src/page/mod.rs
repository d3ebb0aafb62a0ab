//! The page for people: login, the files that it is made of, and its views.

pub mod assets;
pub mod home;
pub mod login;
mod login_form;

pub use login_form::login_form;
