//! Texts that the model continues. A placeholder is filled once, so that text of a model that looks like one stays text.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules::Principle;
use crate::data::first_paragraph;
use crate::stop::{Code, Stop, quoted};

/// Templates of all prompts. `{instruction}`, `{response}`, `{principle}`, `{first}` and `{second}` are filled.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Prompts {
    /// Line before the numbered list of seeds.
    pub instructions: String,
    pub respond: String,
    /// Ends with `Label:`; A is good.
    pub instruction_critic: String,
    /// Ends with `Label:`; A is good.
    pub pair_critic: String,
    pub revise: String,
    /// Ends with `Label:`; A prefers the first answer.
    pub preference: String,
}

impl Default for Prompts {
    fn default() -> Self {
        Prompts {
            instructions: "A list of short instructions for an assistant that answers in text:".to_owned(),
            respond: "Instruction: {instruction}\nResponse:".to_owned(),
            instruction_critic: "Is the instruction clear, complete and answerable in a few sentences? A means yes, B means no. If \
                                 uncertain, choose B.\n\nInstruction: Name three colours.\nLabel: A\n\nInstruction: the the of \
                                 and\nLabel: B\n\nInstruction: Say what a river is.\nLabel: A\n\nInstruction: See the picture \
                                 above.\nLabel: B\n\nInstruction: {instruction}\nLabel:"
                .to_owned(),
            pair_critic: "Does the response do what the instruction asks? A means yes, B means no. If uncertain, choose \
                          B.\n\nInstruction: Name three colours.\nResponse: Red, green and blue.\nLabel: A\n\nInstruction: Say what a \
                          river is.\nResponse: I like trains.\nLabel: B\n\nInstruction: Give a word for a \
                          young dog.\nResponse: Puppy.\nLabel: A\n\nInstruction: Name two animals.\nResponse: Name two \
                          animals.\nLabel: B\n\nInstruction: {instruction}\nResponse: {response}\nLabel:"
                .to_owned(),
            revise: "Rewrite the response so that it follows the principle.\nPrinciple: {principle}\nInstruction: \
                     {instruction}\nResponse: {response}\nRewritten response:"
                .to_owned(),
            preference: "Which response follows the principle better, A or B?\nPrinciple: {principle}\nInstruction: \
                         {instruction}\nA: {first}\nB: {second}\nLabel:"
                .to_owned(),
        }
    }
}

/// Longest template, in bytes.
const LONGEST: usize = 16 << 10;

impl Prompts {
    pub(crate) fn check(&self) -> Result<(), Stop> {
        let wrong = |name: &str, why: &str| {
            Stop::new(
                Code::InvalidConstitution,
                format!("`prompts.{name}` {why}"),
                "leave it out to have the built-in prompt",
            )
        };
        let rules: [(&str, &str, &[&str]); 6] = [
            ("instructions", &self.instructions, &[]),
            ("respond", &self.respond, &["{instruction}"]),
            ("instruction_critic", &self.instruction_critic, &["{instruction}"]),
            ("pair_critic", &self.pair_critic, &["{instruction}", "{response}"]),
            ("revise", &self.revise, &["{principle}", "{instruction}", "{response}"]),
            ("preference", &self.preference, &["{principle}", "{instruction}", "{first}", "{second}"]),
        ];
        for (name, text, needs) in rules {
            if text.trim().is_empty() || text.len() > LONGEST {
                return Err(wrong(name, "must have 1 to 16,384 bytes"));
            }
            if let Some(missing) = needs.iter().find(|placeholder| !text.contains(*placeholder)) {
                return Err(wrong(name, &format!("does not have {}", quoted(missing))));
            }
            if name.ends_with("critic") || name == "preference" {
                let ends = text.trim_end().ends_with("Label:") && text.ends_with(':');
                if !ends {
                    return Err(wrong(name, "must end with `Label:`, without space behind it"));
                }
            }
        }
        Ok(())
    }

    pub fn respond(&self, instruction: &str) -> String {
        fill(&self.respond, &[("{instruction}", instruction)])
    }

    pub fn instruction_critic(&self, instruction: &str) -> String {
        fill(&self.instruction_critic, &[("{instruction}", instruction)])
    }

    /// The critic reads the first paragraph of the answer only.
    pub fn pair_critic(&self, instruction: &str, response: &str) -> String {
        fill(&self.pair_critic, &[("{instruction}", instruction), ("{response}", first_paragraph(response))])
    }

    pub fn revise(&self, principle: &Principle, instruction: &str, response: &str) -> String {
        let values = [("{principle}", &*principle.text), ("{instruction}", instruction), ("{response}", response)];
        fill(&self.revise, &values)
    }

    pub fn preference(&self, principle: &Principle, instruction: &str, first: &str, second: &str) -> String {
        let values = [
            ("{principle}", &*principle.text),
            ("{instruction}", instruction),
            ("{first}", first_paragraph(first)),
            ("{second}", first_paragraph(second)),
        ];
        fill(&self.preference, &values)
    }
}

/// A numbered list that ends with the number of the next item, so that the model writes that item.
pub fn numbered_list<'a>(heading: &str, items: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = format!("{heading}\n\n");
    let mut next = 1;
    for item in items {
        text.push_str(&format!("{next}. {item}\n"));
        next += 1;
    }
    text.push_str(&format!("{next}."));
    text
}

/// Replaces placeholders in one pass from left to right.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut text = String::with_capacity(template.len() + 256);
    let mut rest = template;
    'next: while let Some(at) = rest.find('{') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        for (name, value) in values {
            if let Some(behind) = rest.strip_prefix(name) {
                text.push_str(value);
                rest = behind;
                continue 'next;
            }
        }
        text.push('{');
        rest = &rest[1..];
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_end_where_the_model_continues() {
        let prompts = Prompts::default();
        prompts.check().unwrap();
        assert_eq!(prompts.respond("Name a colour."), "Instruction: Name a colour.\nResponse:");
        assert_eq!(numbered_list("List:", ["a", "b"]), "List:\n\n1. a\n2. b\n3.");
        assert!(prompts.pair_critic("x", "first\n\nsecond").ends_with("Response: first\nLabel:"));
    }

    #[test]
    fn text_of_a_model_is_no_placeholder() {
        let prompts = Prompts::default();
        let text = prompts.pair_critic("a {response} b", "{instruction}");
        assert!(text.ends_with("Instruction: a {response} b\nResponse: {instruction}\nLabel:"), "{text}");
    }

    #[test]
    fn a_template_that_cannot_work_is_refused() {
        for (change, why) in [
            (Prompts { respond: "Go:".into(), ..Prompts::default() }, "does not have `{instruction}`"),
            (
                Prompts { pair_critic: "{instruction}{response} Label: ".into(), ..Prompts::default() },
                "must end with `Label:`",
            ),
            (Prompts { instructions: " ".into(), ..Prompts::default() }, "1 to 16,384"),
        ] {
            let stop = change.check().unwrap_err();
            assert!(stop.message.contains(why) && stop.code == Code::InvalidConstitution, "{stop}");
        }
    }
}
