//! Sentinels: prompts whose continuations are measured. They say where a model is, and a recorded baseline says where it was.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stepwell_base::artifact::Digest;

use crate::file::SentinelRow;
use crate::stop::{Code, Stop};

/// Measurements of a model. Recorded as a file, it is the baseline of later runs.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    pub schema: u32,
    /// Digest of the files of the model.
    pub model: String,
    /// Digest of the sentinels: those of another set cannot be compared.
    #[schemars(with = "String")]
    pub sentinels: Digest,
    pub measured: Vec<Measured>,
    /// Share of sentinels that pass, by group.
    pub groups: BTreeMap<String, f64>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    pub name: String,
    pub group: String,
    pub continuation: String,
    pub passes: bool,
}

impl Baseline {
    /// Judges the continuations of all sentinels, in their order.
    pub fn of(model: String, sentinels: &[SentinelRow], continuations: &[String]) -> Baseline {
        let judged = |(row, text): (&SentinelRow, &String)| {
            let lower = text.to_lowercase();
            let passes = row.contains.iter().any(|wanted| lower.contains(&wanted.to_lowercase()));
            Measured { name: row.name.clone(), group: row.group.clone(), continuation: text.clone(), passes }
        };
        let measured: Vec<Measured> = sentinels.iter().zip(continuations).map(judged).collect();
        let mut counts: BTreeMap<String, (f64, f64)> = BTreeMap::new();
        for found in &measured {
            let (passed, all) = counts.entry(found.group.clone()).or_default();
            *passed += f64::from(u8::from(found.passes));
            *all += 1.0;
        }
        let groups = counts.into_iter().map(|(group, (passed, all))| (group, passed / all)).collect();
        let sentinels = Digest::of(serde_json::json!(sentinels).to_string().as_bytes());
        Baseline { schema: 1, model, sentinels, measured, groups }
    }
}

/// Compares what was measured with the recorded baseline: the rate of each group may differ by `tolerance`.
///
/// # Errors
/// `SentinelDrift` with the group, `InvalidRecord` if the baseline is of other sentinels.
pub fn compare_sentinels(found: &Baseline, recorded: &Baseline, tolerance: f64) -> Result<(), Stop> {
    if found.sentinels != recorded.sentinels {
        return Err(Stop::new(
            Code::InvalidRecord,
            "the baseline was recorded with other sentinels",
            "record it again: run once without `baseline`, look at its output `measured`, and keep that file",
        ));
    }
    for (group, rate) in &found.groups {
        let before = recorded.groups.get(group).copied().unwrap_or(0.0);
        if (rate - before).abs() > tolerance {
            return Err(Stop::new(
                Code::SentinelDrift,
                format!(
                    "{:.0} % of the sentinels of `{group}` pass, {:.0} % did in the baseline",
                    rate * 100.0,
                    before * 100.0
                ),
                "this is not the model that the baseline describes, or it was tuned; if it should be, record a new baseline",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_follows_instructions_is_not_the_recorded_base() {
        let row = |name: &str, group: &str| SentinelRow {
            name: name.into(),
            prompt: "x".into(),
            contains: vec!["Ello-hay".into()],
            group: group.into(),
        };
        let rows = [row("a", "instructions"), row("b", "instructions"), row("c", "text")];
        let measured = |texts: [&str; 3]| Baseline::of("m".into(), &rows, &texts.map(str::to_owned));
        let base = measured(["no", "no", "ello-hay"]);
        assert_eq!(base.groups, [("instructions".to_owned(), 0.0), ("text".to_owned(), 1.0)].into());
        compare_sentinels(&base, &base, 0.0).unwrap();
        compare_sentinels(&measured(["ELLO-HAY", "no", "ello-hay"]), &base, 0.5).unwrap();
        let tuned = measured(["ello-hay", "ello-hay", "ello-hay"]);
        assert_eq!(compare_sentinels(&tuned, &base, 0.5).unwrap_err().code, Code::SentinelDrift);
        let fewer = Baseline::of("m".into(), &rows[..1], &["no".into()]);
        assert_eq!(compare_sentinels(&fewer, &base, 1.0).unwrap_err().code, Code::InvalidRecord);
    }
}
