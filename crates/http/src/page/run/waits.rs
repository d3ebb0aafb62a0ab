//! What a run waits for from outside.

use super::super::parts::{command, cut, handle, value_text};
use crate::problem::Problem;
use stepwell_base::visible::visible;
use stepwell_run::event::Wait;
use stepwell_store::{Reader, RunRow};

const MOST: usize = 5;
const LONGEST_PROMPT: usize = 4000;

pub struct Waiting {
    pub step: String,
    pub title: &'static str,
    pub text: String,
    pub facts: Vec<(String, String)>,
    pub is_approval: bool,
    pub command: Option<String>,
    pub child: Option<String>,
}

pub fn waits(reader: &Reader, run: &RunRow) -> Result<Vec<Waiting>, Problem> {
    if run.status.is_terminal() {
        return Ok(Vec::new());
    }
    let handle = handle(reader, run);
    let waits = reader.waits()?;
    let own = waits.into_iter().filter(|wait| wait.run == run.id).take(MOST);
    Ok(own.map(|row| waiting(&handle, row.step.as_str(), &row.wait)).collect())
}

fn waiting(handle: &str, step: &str, wait: &Wait) -> Waiting {
    let base = Waiting {
        step: step.to_owned(),
        title: "waits",
        text: String::new(),
        facts: Vec::new(),
        is_approval: false,
        command: None,
        child: None,
    };
    match wait {
        Wait::Approval { prompt, inputs } => Waiting {
            title: "waits for a person",
            text: cut(&visible(prompt), LONGEST_PROMPT),
            facts: inputs
                .as_object()
                .map(|inputs| inputs.iter().map(|(name, value)| (name.clone(), value_text(value))).collect())
                .unwrap_or_default(),
            is_approval: true,
            command: Some(command("approve", [handle, step])),
            ..base
        },
        Wait::Signal { name } => {
            Waiting { title: "waits for a signal", command: Some(command("signal", [handle, name.as_str()])), ..base }
        }
        Wait::Run { run } => Waiting { title: "waits for a child run", child: Some(run.to_string()), ..base },
    }
}
