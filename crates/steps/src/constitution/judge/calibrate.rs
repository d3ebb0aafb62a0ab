//! `constitution.calibrate`: a scorer must agree with people before anything reads it.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::constitution::files::{lines, stopped};
use crate::constitution::kind::{ConstitutionKind, check_types};
use crate::handler::{StepContext, StepError};
use crate::infer::Source;
use stepwell_base::artifact::{Digest, Outputs};
use stepwell_constitution::{GoldRow, Scorer, calibrate, write_lines};
use stepwell_workflow::catalog::{Given, Gives};

pub static CALIBRATE: ConstitutionKind = ConstitutionKind {
    kind: "constitution.calibrate",
    summary: "compare a scorer with the judgements of people; a scorer that fails ends the run",
    schema: || schemars::schema_for!(Arguments),
    gives: Gives {
        outputs: Given::Named(&[("calibration", "JSON that `constitution.evaluate` asks for")]),
        values: Given::Named(&[
            ("rows", "answers that people have judged"),
            ("positives", "share of right answers that it calls right"),
            ("negatives", "share of wrong answers that it calls wrong"),
            ("length", "share of answers of misleading length that it judges as people did"),
        ]),
    },
    files: &["gold"],
    check: check_types::<Arguments>,
    run,
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// The scorer: `expected` looks for the texts of the item; `length`, which fails, measures the answer.
    #[serde(default)]
    scorer: Scorer,
    /// Answers that people have judged: a path, an output, or `builtin:gold`.
    gold: Source,
}

fn run(context: &mut StepContext<'_>) -> Result<Outputs, StepError> {
    let arguments: Arguments = context.arguments()?;
    let rows: Vec<GoldRow> = lines(context, "`gold`", &arguments.gold)?;
    let set = Digest::of(&write_lines(&rows)).as_str().to_owned();
    let found = calibrate(arguments.scorer, &rows, set).map_err(stopped)?;
    let values = json!({
        "rows": found.rows, "positives": found.positives, "negatives": found.negatives, "length": found.length,
    });
    Ok(Outputs::of([("calibration", context.publish_json("the calibration", &found)?)], values))
}
