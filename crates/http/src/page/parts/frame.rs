//! What is around every view.

use crate::desk::EngineView;

/// The part of the page that a view belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Here {
    Runs,
    New,
    Batches,
    Playground,
    Pools,
    Schedules,
    Nowhere,
}

pub struct Frame {
    pub here: Here,
    /// The address of the view, which is asked for again when something changes.
    pub url: String,
    pub is_live: bool,
    pub banner: Option<String>,
}

pub struct Place {
    pub name: &'static str,
    pub href: &'static str,
    pub is_here: bool,
}

impl Frame {
    /// A view that changes with the runs.
    pub fn live(here: Here, url: impl Into<String>, engine: &EngineView) -> Frame {
        Frame { here, url: url.into(), is_live: true, banner: banner(engine) }
    }

    /// A view with fields that a person fills in.
    pub fn form(here: Here, engine: &EngineView) -> Frame {
        Frame { here, url: String::new(), is_live: false, banner: banner(engine) }
    }

    /// A view of nothing in particular.
    pub fn still() -> Frame {
        Frame { here: Here::Nowhere, url: String::new(), is_live: false, banner: None }
    }

    pub fn places(&self) -> [Place; 6] {
        let place = |name, href, here| Place { name, href, is_here: self.here == here };
        [
            place("Runs", "/runs", Here::Runs),
            place("New run", "/new", Here::New),
            place("Batches", "/batches", Here::Batches),
            place("Playground", "/playground", Here::Playground),
            place("Pools", "/pools", Here::Pools),
            place("Schedules", "/schedules", Here::Schedules),
        ]
    }
}

fn banner(engine: &EngineView) -> Option<String> {
    match engine {
        EngineView::Here => None,
        EngineView::Elsewhere { who, run: None } => Some(format!("This server shows and asks; the engine is {who}.")),
        EngineView::Elsewhere { who, run: Some(run) } => {
            Some(format!("The engine is {who}, which drives run {run} only: other runs wait for its end."))
        }
        EngineView::Nobody(why) => Some(format!("Nothing works: {why}.")),
    }
}
