//! The parts of a run, each with an address of its own.

use stepwell_base::ids::RunId;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tab {
    Overview,
    Curves,
    Logs,
    Samples,
    Artifacts,
    Parameters,
    History,
    /// The view of one step, which has no tab.
    Step,
}

pub struct Link {
    pub name: &'static str,
    pub href: String,
    pub is_here: bool,
}

impl Tab {
    const ALL: [Tab; 7] =
        [Tab::Overview, Tab::Curves, Tab::Logs, Tab::Samples, Tab::Artifacts, Tab::Parameters, Tab::History];

    pub fn href(self, run: RunId) -> String {
        match self {
            Tab::Overview | Tab::Step => format!("/runs/{run}"),
            Tab::Curves => format!("/runs/{run}/curves"),
            Tab::Logs => format!("/runs/{run}/logs"),
            Tab::Samples => format!("/runs/{run}/samples"),
            Tab::Artifacts => format!("/runs/{run}/artifacts"),
            Tab::Parameters => format!("/runs/{run}/params"),
            Tab::History => format!("/runs/{run}/history"),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Tab::Overview | Tab::Step => "Overview",
            Tab::Curves => "Curves",
            Tab::Logs => "Logs",
            Tab::Samples => "Samples",
            Tab::Artifacts => "Artifacts",
            Tab::Parameters => "Parameters",
            Tab::History => "History",
        }
    }

    pub fn links(here: Tab, run: RunId) -> Vec<Link> {
        Tab::ALL.map(|tab| Link { name: tab.name(), href: tab.href(run), is_here: tab == here }).into_iter().collect()
    }
}
