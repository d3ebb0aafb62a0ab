//! `stepwell checkpoints [RUN [STEP]]`

use std::collections::HashMap;

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::drive::mistakes::Words;
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::curve::number;
use crate::view::output::{bytes, table};
use crate::view::run_handle::handle;
use stepwell_artifact::ArtifactStore;
use stepwell_base::artifact::{ArtifactRef, TREE_MEDIA_TYPE};
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::ids::{RunId, StepId};
use stepwell_base::shell;
use stepwell_run::event::{Event, StepEvent, StepEventKind};
use stepwell_store::{EventRow, Reader, RunRow};

/// Most checkpoints of a run in the list, unless the full list is requested.
const MOST: usize = 20;

/// List the checkpoints of a run, and how to fork at them
///
/// Newer checkpoints replace older ones: `keep_checkpoints` of a training sets how many stay, and the ends of phases
/// stay for good, and so does the one with the lowest loss on held-out text, if there is `validation`. `--all` also lists those that are gone.
#[derive(Args, Debug)]
pub struct CheckpointsArgs {
    /// Id, unique prefix of an id, name, or `last`
    #[arg(value_name = "RUN", default_value = "last")]
    pub run: String,
    /// Only this step
    #[arg(value_name = "STEP")]
    pub step: Option<String>,
    /// Also list those that newer ones replaced
    #[arg(long)]
    pub all: bool,
}

/// A checkpoint that was committed.
struct Listed {
    step: StepId,
    at: Timestamp,
    checkpoint: Checkpoint,
    state: State,
    /// True if it is kept because no later validation of a training was better.
    best: bool,
    size: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Kept until the run is removed.
    Permanent,
    /// Kept until newer ones replace it.
    Kept,
    /// Replaced by newer ones, or made void by an attempt that started before it.
    Gone,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            State::Permanent => "permanent",
            State::Kept => "kept",
            State::Gone => "gone",
        }
    }
}

pub fn checkpoints(session: &Session, args: &CheckpointsArgs) -> Result<Exit, CliError> {
    let words = Words { verb: "checkpoints", run: &args.run, step: args.step.as_deref() };
    let (reader, id, step) = words.find_kept(session)?;
    let run = reader.run(id)?;
    let (mut listed, gone) = list(&reader, &session.artifacts()?, id, &Wanted { step, gone: args.all })?;
    let kept = listed.len();
    let value = json!({
        "run": { "id": id, "name": run.name },
        "checkpoints": listed.iter().map(|listed| listed_json(&run, listed)).collect::<Vec<_>>(),
        "gone": gone,
    });
    if !args.all {
        let mut older = kept.saturating_sub(MOST);
        listed.retain(|listed| {
            let shown = older == 0 || listed.best;
            older = older.saturating_sub(1);
            shown
        });
    }
    let text = text(&handle(&reader, &run), &listed, kept - listed.len(), gone);
    session.out.document(&session.out.pasteable(&text), value)?;
    Ok(Exit::Ok)
}

/// The checkpoints that a person wants to see.
struct Wanted {
    step: Option<StepId>,
    /// Also those that are gone.
    gone: bool,
}

/// The wanted checkpoints, those of a step together, and the number of those that are gone and not wanted.
fn list(
    reader: &Reader,
    artifacts: &ArtifactStore,
    run: RunId,
    wanted: &Wanted,
) -> Result<(Vec<Listed>, usize), CliError> {
    let kept = reader.kept_checkpoints(run)?;
    let (mut places, mut gone) = (HashMap::new(), 0);
    let mut listed: Vec<(usize, Listed)> = Vec::new();
    reader.each_checkpoint_event(run, |EventRow { seq, at, event, .. }| {
        let Event::Step(StepEvent { step, kind, .. }) = event else { return };
        let (StepEventKind::CheckpointCommitted { checkpoint } | StepEventKind::CheckpointAdopted { checkpoint, .. }) =
            kind
        else {
            return;
        };
        if !wanted.step.as_ref().is_none_or(|wanted| is_part(&step, wanted)) {
            return;
        }
        let state = match kept.get(&seq) {
            Some(true) => State::Permanent,
            Some(false) => State::Kept,
            None if wanted.gone => State::Gone,
            None => {
                gone += 1;
                return;
            }
        };
        let next = places.len();
        let place = *places.entry(step.clone()).or_insert(next);
        listed.push((place, Listed { step, at, checkpoint, state, best: false, size: None }));
    })?;
    listed.sort_by_key(|(place, _)| *place);
    let mut listed: Vec<Listed> = listed.into_iter().map(|(_, listed)| listed).collect();
    mark_best(&mut listed);
    for one in listed.iter_mut().filter(|listed| listed.state != State::Gone) {
        one.size = one.checkpoint.artifact.as_ref().and_then(|root| size(artifacts, root));
    }
    Ok((listed, gone))
}

/// Marks the newest checkpoint of each step that its training took for the best. Those of a step are together.
fn mark_best(listed: &mut [Listed]) {
    let mut marked: Option<StepId> = None;
    for one in listed.iter_mut().rev().filter(|listed| listed.state != State::Gone && listed.checkpoint.best) {
        if marked.as_ref() != Some(&one.step) {
            one.best = true;
            marked = Some(one.step.clone());
        }
    }
}

/// True for the step itself and for the children of a fan-out.
fn is_part(step: &StepId, wanted: &StepId) -> bool {
    step.as_str().strip_prefix(wanted.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('['))
}

/// Bytes of all files; `None` if the manifest is damaged or gone.
fn size(artifacts: &ArtifactStore, root: &ArtifactRef) -> Option<u64> {
    if root.media_type != TREE_MEDIA_TYPE {
        return Some(root.size);
    }
    let tree = artifacts.read_tree(root).ok()?;
    Some(tree.entries.values().map(|entry| entry.size).sum())
}

/// The place to fork at; none within an item of a fan-out, or without a training step.
fn place(listed: &Listed) -> Option<String> {
    let last_step = listed.checkpoint.last_step?;
    let can_fork = listed.state != State::Gone && !listed.step.as_str().contains('[');
    can_fork.then(|| format!("{}:{last_step}", listed.step))
}

fn listed_json(run: &RunRow, listed: &Listed) -> Value {
    let Listed { step, at, checkpoint, state, best, size } = listed;
    let fork = place(listed).map(|at| shell::stepwell(&format!("fork --at {at}"), [&*run.id.to_string()]));
    json!({
        "step": step, "train_step": checkpoint.last_step, "tokens": checkpoint.tokens_so_far, "loss": checkpoint.loss,
        "val_loss": checkpoint.val_loss, "best": best, "phase": checkpoint.phase, "at": at, "bytes": size, "state": state.as_str(),
        "digest": checkpoint.artifact.as_ref().map(|artifact| &artifact.digest), "fork_at": place(listed),
        "fork": fork.map(|fork| fork.trim_matches('`').to_owned()),
    })
}

fn text(run: &str, listed: &[Listed], more: usize, gone: usize) -> String {
    const VAL_LOSS: usize = 4;
    let validated = listed.iter().any(|listed| listed.checkpoint.val_loss.is_some());
    let count = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let row = |listed: &Listed| {
        let Listed { step, at, checkpoint, state, best, size } = listed;
        let state = if *best { format!("{}, best", state.as_str()) } else { state.as_str().to_owned() };
        let mut row = vec![
            step.to_string(),
            count(checkpoint.last_step),
            count(checkpoint.tokens_so_far),
            checkpoint.loss.map(number).unwrap_or_default(),
            checkpoint.val_loss.map(number).unwrap_or_default(),
            at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
            size.map(bytes).unwrap_or_default(),
            state,
            place(listed).map(|at| format!("--at {at}")).unwrap_or_default(),
        ];
        if !validated {
            row.remove(VAL_LOSS);
        }
        row
    };
    let mut text = match listed {
        [] => format!("run {run} has no checkpoints\n"),
        _ => {
            let mut header = vec!["step", "train_step", "tokens", "loss", "val_loss", "at", "size", "state", "fork"];
            if !validated {
                header.remove(VAL_LOSS);
            }
            table(&header, listed.iter().map(row).collect())
        }
    };
    if more > 0 {
        text.push_str(&format!("and {more} older ones, with `--all`\n"));
    }
    if gone > 0 {
        let gone = if gone == 1 { "1 more is".to_owned() } else { format!("{gone} more are") };
        text.push_str(&format!("{gone} gone: newer ones replace older ones (`keep_checkpoints` of a training)\n"));
    }
    if let Some(at) = listed.iter().rev().find_map(place) {
        let fork = shell::stepwell(&format!("fork --at {at}"), [run]);
        text.push_str(&format!("{fork} starts a new run there; add `-S NAME=VALUE` to change a parameter\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The row of the best has a mark, the numbers of validations have a column.
    #[test]
    fn the_best_checkpoint_is_marked() {
        let listed = |last_step: u64, val_loss: f64, best: bool| Listed {
            step: StepId::from("train"),
            at: "2026-11-30T05:00:00Z".parse().unwrap(),
            checkpoint: Checkpoint {
                last_step: Some(last_step),
                loss: Some(1.0),
                val_loss: Some(val_loss),
                best,
                ..Checkpoint::default()
            },
            state: State::Kept,
            best: false,
            size: None,
        };
        let mut rows = [listed(100, 3.0, true), listed(200, 2.5, true), listed(300, 2.75, false)];
        mark_best(&mut rows);
        let shown = text("a-run", &rows, 0, 0);
        let lines: Vec<&str> = shown.lines().take(4).collect();
        assert_eq!(
            lines,
            [
                "STEP   TRAIN_STEP  TOKENS  LOSS  VAL_LOSS  AT                    SIZE  STATE       FORK",
                "train  100                 1     3         2026-11-30 05:00:00Z        kept        --at train:100",
                "train  200                 1     2.5000    2026-11-30 05:00:00Z        kept, best  --at train:200",
                "train  300                 1     2.7500    2026-11-30 05:00:00Z        kept        --at train:300",
            ]
        );
    }

    #[test]
    fn the_list_ends_with_a_command_to_type() {
        let listed = |step: &str, last_step: Option<u64>, state: State| Listed {
            step: StepId::from(step),
            at: "2026-11-30T05:00:00Z".parse().unwrap(),
            checkpoint: Checkpoint {
                artifact: None,
                state: Value::Null,
                last_step,
                last_doc_index: None,
                tokens_so_far: last_step.map(|step| step * 512),
                loss: last_step.map(|step| 100.0 / step as f64),
                phase: None,
                permanent: state == State::Permanent,
                keep: None,
                ..Checkpoint::default()
            },
            state,
            best: false,
            size: (state != State::Gone).then_some(3 << 20),
        };
        let rows = [
            listed("train", Some(50), State::Gone),
            listed("train", Some(100), State::Permanent),
            listed("train", Some(150), State::Kept),
            listed("seeds[0]", Some(9), State::Kept),
            listed("own", None, State::Kept),
        ];
        let text = text("a-run", &rows, 7, 3);
        assert_eq!(text, LIST, "{text}");
        assert_eq!(super::text("r", &[], 0, 0), "run r has no checkpoints\n");
    }

    const LIST: &str = "\
STEP      TRAIN_STEP  TOKENS  LOSS    AT                    SIZE     STATE      FORK\n\
train     50          25600   2       2026-11-30 05:00:00Z           gone\n\
train     100         51200   1       2026-11-30 05:00:00Z  3.0 MiB  permanent  --at train:100\n\
train     150         76800   0.6667  2026-11-30 05:00:00Z  3.0 MiB  kept       --at train:150\n\
seeds[0]  9           4608    11.11   2026-11-30 05:00:00Z  3.0 MiB  kept\n\
own                                   2026-11-30 05:00:00Z  3.0 MiB  kept\n\
and 7 older ones, with `--all`\n\
3 more are gone: newer ones replace older ones (`keep_checkpoints` of a training)\n\
`stepwell fork --at train:150 a-run` starts a new run there; add `-S NAME=VALUE` to change a parameter\n\
";
}
