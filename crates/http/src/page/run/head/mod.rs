//! What every view of a run begins with.

mod around;
mod health;
mod request;
mod tabs;
mod view;

pub use around::Around;
pub use request::ViewOfRun;
pub use tabs::Tab;
pub use view::Head;
