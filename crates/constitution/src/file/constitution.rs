//! `constitution.toml`: principles, seeds, sentinels and rules, written by a person.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stepwell_base::artifact::Digest;

use super::prompt::Prompts;
use super::rules::{CriticRules, GateRules, Principle, QualityRules, Sampling, SentinelRow, invalid};
use crate::stop::{Stop, quoted};

/// Largest file, in bytes.
pub const LARGEST_FILE: usize = 1 << 20;
const MOST_PRINCIPLES: usize = 64;
const MOST_SEEDS: usize = 1_000;
const MOST_SENTINELS: usize = 100;
/// Longest text of a principle, seed or sentinel, in bytes.
const LONGEST_TEXT: usize = 2_000;
const LONGEST_NAME: usize = 64;

/// A constitution.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Constitution {
    /// Version of this format: 1.
    pub schema: u32,
    #[serde(rename = "principle")]
    pub principles: Vec<Principle>,
    /// Instructions by people, from which the model continues a list.
    pub seeds: Vec<String>,
    /// Seeds in each list.
    #[serde(default = "shots")]
    pub shots: usize,
    #[serde(default, rename = "sentinel")]
    pub sentinels: Vec<SentinelRow>,
    #[serde(default)]
    pub prompts: Prompts,
    #[serde(default = "Sampling::of_instructions")]
    pub instruction_sampling: Sampling,
    #[serde(default = "Sampling::of_responses")]
    pub response_sampling: Sampling,
    #[serde(default)]
    pub critic: CriticRules,
    #[serde(default)]
    pub quality: QualityRules,
    #[serde(default)]
    pub gate: GateRules,
}

fn shots() -> usize {
    8
}

impl Constitution {
    /// Reads the file.
    ///
    /// # Errors
    /// `InvalidConstitution`, with the first thing that is wrong and its place.
    pub fn parse(bytes: &[u8]) -> Result<Constitution, Stop> {
        const HINT: &str = "`specs/constitutional.md` describes the file";
        if bytes.len() > LARGEST_FILE {
            return Err(invalid("it has more than 1 MiB", "keep principles, seeds and sentinels short"));
        }
        let text = std::str::from_utf8(bytes).map_err(|error| invalid(&error.to_string(), "save it as UTF-8 text"))?;
        let found: Constitution = toml::from_str(text).map_err(|error| invalid(error.to_string().trim_end(), HINT))?;
        found.check()?;
        Ok(found)
    }

    /// Digest of everything that it says, in canonical form.
    ///
    /// # Panics
    /// Never: all its parts are JSON.
    pub fn digest(&self) -> Digest {
        Digest::of(serde_json::json!(self).to_string().as_bytes())
    }

    pub fn principle(&self, name: &str) -> Option<&Principle> {
        self.principles.iter().find(|principle| principle.name == name)
    }

    fn check(&self) -> Result<(), Stop> {
        const SHORTER: &str = "split or shorten it";
        if self.schema != 1 {
            return Err(invalid(&format!("`schema` is {}", self.schema), "this version reads `schema = 1`"));
        }
        let counts = [
            ("principle", self.principles.len(), 1, MOST_PRINCIPLES),
            ("seeds", self.seeds.len(), 2, MOST_SEEDS),
            ("sentinel", self.sentinels.len(), 0, MOST_SENTINELS),
            ("shots", self.shots, 1, self.seeds.len().min(64)),
        ];
        for (name, count, least, most) in counts {
            if !(least..=most).contains(&count) {
                return Err(invalid(
                    &format!("`{name}` has {count}; it must be {least} to {most}"),
                    "add or remove entries",
                ));
            }
        }
        let names = self.principles.iter().map(|principle| ("principle", &principle.name));
        let names = names.chain(self.sentinels.iter().map(|sentinel| ("sentinel", &sentinel.name)));
        let mut seen = std::collections::BTreeSet::new();
        for (kind, name) in names {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(plain) {
                let message =
                    format!("the name {} of a {kind} must have 1 to 64 letters, digits, `_` and `-`", quoted(name));
                return Err(invalid(&message, "rename it"));
            }
            if !seen.insert((kind, name)) {
                return Err(invalid(&format!("two entries of `{kind}` have the name {}", quoted(name)), "rename one"));
            }
        }
        let one_line = |what: &str, text: &str| {
            let fits = !text.trim().is_empty() && text.len() <= LONGEST_TEXT && !text.contains('\n');
            let message = || format!("{what} {} must be one line of 1 to 2,000 bytes", quoted(text));
            if fits { Ok(()) } else { Err(invalid(&message(), SHORTER)) }
        };
        self.principles.iter().try_for_each(|principle| one_line("the principle", &principle.text))?;
        self.seeds.iter().try_for_each(|seed| one_line("the seed", seed))?;
        for sentinel in &self.sentinels {
            let texts = sentinel.contains.iter().chain([&sentinel.prompt, &sentinel.group]);
            texts.clone().try_for_each(|text| one_line("the text of a sentinel", text))?;
            if sentinel.contains.is_empty() || sentinel.contains.len() > 64 {
                return Err(invalid(
                    "`contains` of a sentinel needs 1 to 64 texts",
                    "say what its continuation must have",
                ));
            }
        }
        self.instruction_sampling.check("instruction_sampling")?;
        self.response_sampling.check("response_sampling")?;
        self.prompts.check()?;
        let share = |name: &str, value: f64| {
            let message = format!("`{name}` must be a share from 0 to 1");
            if (0.0..=1.0).contains(&value) { Ok(()) } else { Err(invalid(&message, "0.05 is 5 %")) }
        };
        let quality = &self.quality;
        share("quality.runaway", quality.runaway)?;
        share("quality.token_limit", quality.token_limit)?;
        share("quality.instruction_acceptance", quality.instruction_acceptance)?;
        share("quality.pair_acceptance", quality.pair_acceptance)?;
        share("gate.p", self.gate.p)?;
        share("gate.false_discovery_rate", self.gate.false_discovery_rate)?;
        let finite =
            [quality.median_tokens, self.critic.min_margin, self.critic.bias].iter().all(|number| number.is_finite());
        if !finite || self.critic.min_margin < 0.0 {
            return Err(invalid(
                "`critic.min_margin` must be at least 0, and thresholds must be finite",
                "1.0 is the default",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stop::Code;

    const SMALL: &str = "schema = 1\nseeds = ['Name a colour.', 'Name a river.']\nshots = 2\n[[principle]]\nname = 'clear'\ntext = 'Be clear.'\n";

    #[test]
    fn a_small_file_has_defaults() {
        let found = Constitution::parse(SMALL.as_bytes()).unwrap();
        assert_eq!((found.shots, found.quality.min_rows, found.critic.min_margin), (2, 20, 1.0));
        assert_eq!(found.digest(), Constitution::parse(format!("# x\n{SMALL}").as_bytes()).unwrap().digest());
        let other = SMALL.replace("Be clear.", "Be brief.");
        assert_ne!(found.digest(), Constitution::parse(other.as_bytes()).unwrap().digest());
    }

    #[test]
    fn a_wrong_file_names_what_is_wrong() {
        for (text, why) in [
            (SMALL.replace("schema = 1", "schema = 2"), "`schema` is 2"),
            (SMALL.replace("seeds", "sedes"), "sedes"),
            (SMALL.replace("shots = 2", "shots = 3"), "`shots` has 3"),
            (SMALL.replace("'clear'", "'cl ear'"), "letters"),
            (SMALL.replace("Name a river.", "Name\\u0000a river.").replace('\'', "\""), ""),
            (SMALL.replace("'Be clear.'", "''"), "one line"),
            (format!("{SMALL}[[principle]]\nname = 'clear'\ntext = 'x'\n"), "two entries"),
            (format!("{SMALL}[quality]\nrunaway = 5\n"), "share from 0 to 1"),
            (
                format!(
                    "{SMALL}[response_sampling]\nmax_tokens = 0\ntemperature = 1\ntop_p = 1\nrepetition_penalty = 1\n"
                ),
                "max_tokens",
            ),
            (format!("{SMALL}[critic]\nmin_margin = -1\n"), "at least 0"),
            (format!("{SMALL}[prompts]\nrespond = 'x'\n"), "{instruction}"),
        ] {
            match Constitution::parse(text.as_bytes()) {
                Err(stop) => {
                    assert!(stop.message.contains(why) && stop.code == Code::InvalidConstitution, "{text}: {stop}")
                }
                Ok(_) => assert!(why.is_empty(), "{text}"),
            }
        }
        assert!(Constitution::parse(&vec![b'#'; LARGEST_FILE + 1]).is_err());
        assert!(Constitution::parse(&[0xff]).is_err());
    }
}
