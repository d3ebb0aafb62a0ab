//! `GET /runs/{run}/samples`: what the model wrote during its training, side by side.

use std::collections::BTreeMap;

use askama::Template;
use serde::Deserialize;

use super::super::parts::{Frame, Shown};
use super::super::runs::encoded;
use super::head::{Around, Head, Tab, ViewOfRun};
use crate::problem::Problem;
use crate::route::{Access, Doc, QueryOf, Route};
use stepwell_base::visible::visible;
use stepwell_store::Reader;

/// Training steps side by side.
const MOST: usize = 12;

pub fn routes() -> Vec<Route> {
    vec![Route::get("/runs/{run}/samples", Access::READ, samples, Doc::new("page", "Shows texts of a training"))]
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Query {
    step: String,
}

#[derive(Template)]
#[template(path = "samples.html")]
struct Samples {
    frame: Frame,
    head: Head,
    steps: Vec<Choice>,
    prompts: Vec<Prompt>,
    left_out: usize,
}

struct Choice {
    value: String,
    is_chosen: bool,
}

/// One prompt, and what followed it at each training step, oldest first.
struct Prompt {
    text: String,
    texts: Vec<Text>,
}

struct Text {
    train_step: u64,
    text: String,
}

async fn samples(view: ViewOfRun, QueryOf(query): QueryOf<Query>) -> Shown {
    view.show(Tab::Samples, move |reader, around, head| page(reader, around, head, &query)).await
}

fn page(reader: &Reader, around: &Around, head: Head, query: &Query) -> Result<Samples, Problem> {
    let id = around.id;
    let steps = reader.steps_with_samples(id)?;
    let step = steps.iter().find(|step| step.as_str() == query.step).or(steps.last());
    let (mut prompts, mut left_out) = (BTreeMap::new(), 0);
    if let Some(step) = step {
        let at = evenly(&reader.sample_steps(id, step)?);
        left_out = reader.sample_steps(id, step)?.len() - at.len();
        for train_step in at {
            for sample in reader.samples_at(id, step, train_step)? {
                let prompt = prompts
                    .entry((sample.number, sample.prompt.clone()))
                    .or_insert_with(|| Prompt { text: visible(&sample.prompt).into_owned(), texts: Vec::new() });
                prompt.texts.push(Text { train_step, text: visible(&sample.text).into_owned() });
            }
        }
    }
    Ok(Samples {
        frame: around.frame(format!("/runs/{id}/samples?step={}", encoded(&query.step))),
        head,
        steps: steps.iter().map(|other| Choice { value: other.to_string(), is_chosen: Some(other) == step }).collect(),
        prompts: prompts.into_values().collect(),
        left_out,
    })
}

/// The first, the last, and others between them with equal distances.
fn evenly(steps: &[u64]) -> Vec<u64> {
    if steps.len() <= MOST {
        return steps.to_vec();
    }
    (0..MOST).map(|index| steps[index * (steps.len() - 1) / (MOST - 1)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_texts_are_shown() {
        assert_eq!(evenly(&[1, 2, 3]), [1, 2, 3]);
        let many: Vec<u64> = (0..1000).collect();
        let shown = evenly(&many);
        assert_eq!((shown.len(), shown[0], shown[11]), (12, 0, 999));
    }
}
