//! A param that another workflow has: a person named the wrong workflow.

use crate::drive::workflow_source::{find, names};
use stepwell_base::shell::{self, quote};
use stepwell_workflow::parse::{self, Meant, is_usual, meant};

/// A workflow with a param that has, or means, the wanted name.
pub struct OtherWorkflow {
    workflow: String,
    param: String,
}

/// Finds the first workflow that has the param `name`, else one with a param that usually has this name elsewhere.
pub fn with_param(name: &str) -> Option<OtherWorkflow> {
    let all = || {
        let mut workflows = names();
        // Most params are those of `pretrain`; the sort is stable.
        workflows.sort_by_key(|workflow| workflow != "pretrain");
        let known =
            workflows.into_iter().filter_map(|workflow| Some((parse::params(&find(&workflow).ok()?.text)?, workflow)));
        known.map(|(params, workflow)| (workflow, params))
    };
    let exact = all().find(|(_, params)| params.contains_key(name));
    if let Some((workflow, _)) = exact {
        return Some(OtherWorkflow { workflow, param: name.to_owned() });
    }
    let usual = |(workflow, params): (String, _)| {
        let Meant { param, .. } = meant(&params, name)?;
        Some(OtherWorkflow { workflow, param: param.to_owned() })
    };
    if is_usual(name) { all().find_map(usual) } else { None }
}

impl OtherWorkflow {
    /// Names the workflow, its param, and the command.
    pub fn hint(&self, value: Option<&str>) -> String {
        let OtherWorkflow { workflow, param } = self;
        let option = quote(format!("{param}={}", value.unwrap_or("VALUE")));
        let run = shell::stepwell(&format!("run {} -S {option}", quote(workflow)), []);
        match (workflow.as_str(), param.as_str(), value) {
            ("pretrain", "corpus", Some(text)) => {
                format!("{} trains on it with the workflow `pretrain`", shell::stepwell("start-training", [text]))
            }
            _ => format!("workflow `{workflow}` has the param `{param}`: {run}"),
        }
    }
}
