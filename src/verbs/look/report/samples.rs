//! Texts: what a model wrote while it was trained, and what steps gave in the end.

use std::collections::BTreeMap;

use serde_json::Value;

use super::markup::Markup;
use super::subject::{Subject, section};
use crate::error::CliError;
use crate::view::summary::highlight;
use stepwell_base::ids::RunId;
use stepwell_steps::Highlight;
use stepwell_store::SampleRow;

/// Most trainings of a run, prompts of each, and training steps of each prompt.
const MOST_TRAININGS: usize = 4;
const MOST_PROMPTS: usize = 8;
const MOST_TIMES: usize = 8;
/// Most texts that a step gave.
const MOST_TEXTS: usize = 12;
const LONGEST: usize = 1500;

pub(super) fn write(page: &mut Markup, subject: &Subject<'_>) -> Result<(), CliError> {
    let names = subject.names();
    let mut shown = Markup::default();
    for (run, name) in subject.ids().zip(&names) {
        during(&mut shown, subject, run, name)?;
        at_the_end(&mut shown, subject, run, name)?;
    }
    if !shown.is_empty() {
        section(page, "samples", "Samples", |section| section.append(shown));
    }
    Ok(())
}

/// The same prompts at several training steps, side by side.
fn during(page: &mut Markup, subject: &Subject<'_>, run: RunId, name: &str) -> Result<(), CliError> {
    let reader = subject.reader;
    for step in reader.steps_with_samples(run)?.iter().take(MOST_TRAININGS) {
        let times = reader.sample_steps(run, step)?;
        let mut prompts: BTreeMap<u32, Vec<SampleRow>> = BTreeMap::new();
        for time in spread(&times) {
            for row in reader.samples_at(run, step, time)?.into_iter().take(MOST_PROMPTS) {
                prompts.entry(row.number).or_default().push(row);
            }
        }
        page.element("h3", &[], &format!("{name}, {step}: over the training"));
        for rows in prompts.values() {
            let prompt = rows.first().map_or("", |row| row.prompt.as_str());
            page.element("p", &[("class", &"prompt")], if prompt.is_empty() { "(no prompt)" } else { cut(prompt) });
            page.within("div", &[("class", &"over-time")], |list| {
                for row in rows {
                    list.within("figure", &[], |figure| {
                        figure.element("figcaption", &[], &format!("step {}", row.train_step));
                        figure.element("p", &[("class", &"sample")], cut(&row.text));
                    });
                }
            });
        }
    }
    Ok(())
}

/// Some of the training steps, the first and the last among them.
fn spread(times: &[u64]) -> Vec<u64> {
    if times.len() <= MOST_TIMES {
        return times.to_vec();
    }
    (0..MOST_TIMES).map(|index| times[index * (times.len() - 1) / (MOST_TIMES - 1)]).collect()
}

fn at_the_end(page: &mut Markup, subject: &Subject<'_>, run: RunId, name: &str) -> Result<(), CliError> {
    for step in subject.reader.overview(run, 0)? {
        let Highlight::Texts(texts) = highlight(&step) else { continue };
        let values = step.outputs.iter().filter_map(|outputs| outputs.values.get(texts)?.as_array());
        let texts: Vec<&str> = values.flatten().filter_map(Value::as_str).take(MOST_TEXTS).collect();
        if texts.is_empty() {
            continue;
        }
        page.element("h3", &[], &format!("{name}, {}", step.id));
        page.within("ol", &[("class", &"texts")], |list| {
            texts.iter().for_each(|text| list.element("li", &[("class", &"sample")], cut(text)));
        });
    }
    Ok(())
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_step_are_always_shown() {
        let times: Vec<u64> = (1..=1000).map(|n| 200 * n).collect();
        let shown = spread(&times);
        assert_eq!((shown.len(), shown[0], shown[7]), (8, 200, 200_000));
        assert_eq!(spread(&times[..3]), [200, 400, 600]);
    }
}
