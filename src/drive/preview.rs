//! What a workflow is about to train, in two lines.

use crate::session::Session;
use stepwell_workflow::spec::WorkflowSpec;

/// Says what is trained and where it is kept; says nothing of a workflow that trains nothing.
#[cfg(feature = "train")]
pub fn preview(session: &Session, spec: &WorkflowSpec) {
    let known = stepwell_workflow::parse::known_arguments(spec, &stepwell_steps::catalog());
    let steps = spec.steps.iter().zip(&known).filter_map(|(step, with)| Some((step.kind.as_str(), with.as_ref()?)));
    if let Some(line) = stepwell_steps::preview(steps) {
        session.out.message(&line);
        session.out.message(&format!("kept in {}", session.state_dir().display()));
    }
}

/// Nothing is trained without the feature.
#[cfg(not(feature = "train"))]
pub fn preview(_session: &Session, _spec: &WorkflowSpec) {}
