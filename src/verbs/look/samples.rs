//! `stepwell samples [RUN [STEP]]`

use std::collections::BTreeSet;

use clap::Args;
use serde_json::{Value, json};

use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::run_handle::handle;
use crate::view::series;
use crate::view::value_text::cut;
use stepwell_base::ids::StepId;
use stepwell_base::shell;
use stepwell_base::visible::visible;
use stepwell_run::run_options::Origin;
use stepwell_store::{Reader, RunRow, SampleRow};

/// Training steps and prompts that are shown, and characters of a text, unless all are asked for.
const MOST_STEPS: usize = 4;
const MOST_PROMPTS: usize = 4;
const LONGEST: usize = 400;

/// Show the texts that a model wrote during its training
///
/// `sample_every` of a training sets when it writes. A run that was forked starts with the texts of the run that it was
/// forked from.
///
///   stepwell samples                 the newest run, a few training steps
///   stepwell samples base --at 400   all texts of one training step
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct SamplesArgs {
    /// Id, unique prefix of an id, name, or `last`
    #[arg(value_name = "RUN", default_value = "last")]
    pub run: String,
    /// Only this step
    #[arg(value_name = "STEP")]
    pub step: Option<String>,
    /// All texts of this training step, in full
    #[arg(long, value_name = "TRAIN_STEP")]
    pub at: Option<u64>,
    /// All texts of all training steps, in full
    #[arg(long, conflicts_with = "at")]
    pub all: bool,
}

/// The texts of a step, in order of their training steps.
struct Texts {
    step: StepId,
    rows: Vec<SampleRow>,
}

pub fn samples(session: &Session, args: &SamplesArgs) -> Result<Exit, CliError> {
    let (reader, id) = session.find_kept_run(&args.run)?;
    let run = reader.run(id)?;
    let step = args.step.as_deref().map(|step| reader.resolve_step(id, step)).transpose()?;
    let mut found = Vec::new();
    for step in steps_with_texts(&reader, &run, step.as_ref())? {
        let mut rows = Vec::new();
        for part in series::parts(&reader, id, &step)? {
            let own = reader.samples(part.run, &part.step)?.into_iter();
            rows.extend(own.filter(|row| part.up_to.is_none_or(|last| row.train_step <= last)));
        }
        if !rows.is_empty() {
            found.push(Texts { step, rows });
        }
    }
    let name = handle(&reader, &run);
    if found.is_empty() {
        return Err(nothing(&name, step.as_ref()));
    }
    if let Some(at) = args.at {
        found = only_at(found, at)?;
    }
    let value = json!({
        "run": { "id": id, "name": run.name },
        "steps": found.iter().map(texts_json).collect::<Vec<_>>(),
    });
    let extent = if args.all || args.at.is_some() { Extent::Whole } else { Extent::Screen };
    let text: String = found.iter().map(|texts| text(&name, texts, extent)).collect();
    session.out.document(&session.out.pasteable(&text), value)?;
    Ok(Exit::Ok)
}

/// The steps that may have texts: a step of the run, or all; that of a fork may only have those of its parent.
fn steps_with_texts(reader: &Reader, run: &RunRow, step: Option<&StepId>) -> Result<Vec<StepId>, CliError> {
    if let Some(step) = step {
        return Ok(vec![step.clone()]);
    }
    let mut steps = reader.steps_with_samples(run.id)?;
    if let Some(Origin::Fork { at, train_step: Some(_), .. }) = &run.options.origin
        && !steps.contains(at)
    {
        steps.push(at.clone());
    }
    if steps.is_empty() {
        let reused = reader.series_steps(run.id, None)?;
        steps.extend(reused.into_iter().filter(|step| step.reused.is_some()).map(|step| step.id));
    }
    Ok(steps)
}

fn nothing(run: &str, step: Option<&StepId>) -> CliError {
    let who = step.map_or_else(|| format!("run {run}"), |step| format!("step `{step}` of run {run}"));
    CliError::not_found(format!("{who} has no texts"))
        .hint("a training writes some with `sample_every`, such as `-S sample_every=200` of `pretrain`")
        .hint(format!("{} writes one now", shell::stepwell("generate", [run])))
}

fn only_at(found: Vec<Texts>, at: u64) -> Result<Vec<Texts>, CliError> {
    let steps: BTreeSet<u64> = found.iter().flat_map(|texts| &texts.rows).map(|row| row.train_step).collect();
    if !steps.contains(&at) {
        let (before, after) = (steps.range(..at).next_back(), steps.range(at..).next());
        let near: Vec<String> = before.into_iter().chain(after).map(u64::to_string).collect();
        return Err(CliError::not_found(format!("there is no text of training step {at}"))
            .hint(format!("the nearest are of {}", near.join(" and "))));
    }
    let keep = |texts: Texts| {
        let rows: Vec<SampleRow> = texts.rows.into_iter().filter(|row| row.train_step == at).collect();
        (!rows.is_empty()).then_some(Texts { rows, ..texts })
    };
    Ok(found.into_iter().filter_map(keep).collect())
}

fn texts_json(texts: &Texts) -> Value {
    let row = |row: &SampleRow| {
        let SampleRow { train_step, number, prompt, text } = row;
        json!({ "train_step": train_step, "number": number, "prompt": prompt, "text": text })
    };
    json!({ "step": texts.step, "samples": texts.rows.iter().map(row).collect::<Vec<_>>() })
}

/// How much is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// As much as fits one screen.
    Screen,
    Whole,
}

fn text(run: &str, texts: &Texts, extent: Extent) -> String {
    let steps: Vec<u64> = texts.rows.iter().map(|row| row.train_step).collect::<BTreeSet<_>>().into_iter().collect();
    let shown = match extent {
        Extent::Screen => spread(&steps, MOST_STEPS),
        Extent::Whole => steps.clone(),
    };
    let mut text = format!("texts of {} in run {run}\n", texts.step);
    for step in &shown {
        text.push_str(&format!("\nstep {step}\n"));
        let rows: Vec<&SampleRow> = texts.rows.iter().filter(|row| row.train_step == *step).collect();
        let most = if extent == Extent::Screen { MOST_PROMPTS } else { rows.len() };
        for row in rows.iter().take(most) {
            let whole = format!("{}{}", row.prompt, row.text);
            let whole = if extent == Extent::Screen { cut(&whole, LONGEST) } else { whole };
            text.push_str(&format!("  {}\n", visible(whole.trim_end()).replace('\n', "\n  ")));
        }
        if rows.len() > most {
            text.push_str(&format!("  and {} more\n", rows.len() - most));
        }
    }
    if steps.len() > shown.len() {
        text.push_str(&format!("\nand {} more training steps, with `--all`\n", steps.len() - shown.len()));
    }
    text
}

/// At most `most` of the steps, evenly spread, with the first and the last.
fn spread(steps: &[u64], most: usize) -> Vec<u64> {
    if steps.len() <= most {
        return steps.to_vec();
    }
    (0..most).map(|place| steps[place * (steps.len() - 1) / (most - 1)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(steps: u64, prompts: u32) -> Texts {
        let row = |train_step: u64, number: u32| SampleRow {
            train_step,
            number,
            prompt: if number == 0 { "Once upon".to_owned() } else { String::new() },
            text: format!(" a time\n{train_step} \u{1b}[31m"),
        };
        let rows = (1..=steps).flat_map(|step| (0..prompts).map(move |number| row(step * 200, number))).collect();
        Texts { step: "train".into(), rows }
    }

    #[test]
    fn a_screen_shows_some_steps_from_the_first_to_the_last() {
        assert_eq!(text("base", &texts(2, 2), Extent::Screen), TWO);
        let long = text("base", &texts(1000, 16), Extent::Screen);
        assert!(
            long.lines().count() < 60 && long.contains("\nstep 200\n") && long.contains("\nstep 200000\n"),
            "{long}"
        );
        assert!(long.contains("  and 12 more\n") && long.ends_with("and 996 more training steps, with `--all`\n"));
        assert_eq!(
            text("base", &texts(10, 5), Extent::Whole).lines().filter(|line| line.contains("a time")).count(),
            50
        );
    }

    #[test]
    fn a_step_without_texts_names_its_neighbours() {
        let error = only_at(vec![texts(3, 1)], 300).err().unwrap();
        assert_eq!(error.hints, ["the nearest are of 200 and 400"]);
        assert_eq!(only_at(vec![texts(3, 2)], 400).ok().unwrap()[0].rows.len(), 2);
    }

    const TWO: &str = "\
texts of train in run base\n\
\n\
step 200\n\
\x20 Once upon a time\n\
\x20 200 \\x1b[31m\n\
\x20  a time\n\
\x20 200 \\x1b[31m\n\
\n\
step 400\n\
\x20 Once upon a time\n\
\x20 400 \\x1b[31m\n\
\x20  a time\n\
\x20 400 \\x1b[31m\n\
";
}
