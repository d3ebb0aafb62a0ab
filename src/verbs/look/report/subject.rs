//! What every section of a report needs.

use jiff::Timestamp;

use super::markup::Markup;
use crate::session::Session;
use crate::verbs::look::compare::collect::Compared;
use stepwell_base::ids::RunId;
use stepwell_store::Reader;

pub(super) struct Subject<'r> {
    pub(super) session: &'r Session,
    pub(super) reader: &'r Reader,
    pub(super) compared: Compared,
    pub(super) now: Timestamp,
}

impl Subject<'_> {
    /// The runs, as indices of everything that is compared.
    pub(super) fn ids(&self) -> impl Iterator<Item = RunId> {
        self.compared.runs.iter().map(|side| side.run.id)
    }

    /// Names of runs; an id is added where two have the same name.
    pub(super) fn names(&self) -> Vec<String> {
        let same = |name: &str| self.compared.runs.iter().filter(|side| side.run.name == name).count();
        let name =
            |name: &str, id: RunId| if same(name) > 1 { format!("{name} ({})", id.short()) } else { name.to_owned() };
        self.compared.runs.iter().map(|side| name(&side.run.name, side.run.id)).collect()
    }
}

/// A section with its heading.
pub(super) fn section(page: &mut Markup, id: &'static str, title: &str, fill: impl FnOnce(&mut Markup)) {
    page.within("section", &[("id", &id)], |section| {
        section.element("h2", &[], title);
        fill(section);
    });
}

/// A time in UTC.
pub(super) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}
