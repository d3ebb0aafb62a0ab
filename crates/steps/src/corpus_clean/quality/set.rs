//! The thresholds of one step: those of its presets, changed one by one.

use std::collections::BTreeMap;

use super::measure::Measures;
use super::page::Page;
use super::rules::{Preset, RULES, Rule};
use stepwell_base::failure::Failure;

/// Thresholds by the position of their rule in the table.
#[derive(Clone, Debug, Default)]
pub struct Thresholds {
    set: Vec<(u8, f64)>,
}

/// A rule that a document breaks.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Broken {
    /// Position of the rule in the table.
    pub rule: u8,
    pub value: f64,
}

impl Thresholds {
    /// Takes the thresholds of the presets, the strictest of each rule, and replaces those that are named.
    ///
    /// # Errors
    /// When a name is no threshold, or a value is no finite number from 0 on.
    pub fn new(presets: &[Preset], named: &BTreeMap<String, f64>) -> Result<Self, Failure> {
        for (name, value) in named {
            if !RULES.iter().any(|rule| rule.name == name) {
                let known: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
                return Err(Failure::fatal(format!("`thresholds` has no `{name}`"))
                    .with_hint(format!("thresholds are {}", known.join(", "))));
            }
            if !(value.is_finite() && *value >= 0.0) {
                return Err(Failure::fatal(format!("threshold `{name}` is {value}"))
                    .with_hint("a threshold is a number from 0 on"));
            }
        }
        let chosen = |rule: &Rule| {
            let of_presets =
                rule.presets.iter().filter(|(preset, _)| presets.contains(preset)).map(|(_, value)| *value);
            named.get(rule.name).copied().or_else(|| of_presets.reduce(|one, other| rule.bound.stricter(one, other)))
        };
        let set = RULES.iter().enumerate().filter_map(|(at, rule)| Some((at as u8, chosen(rule)?))).collect();
        Ok(Thresholds { set })
    }

    /// The first rule that the text breaks.
    pub fn broken_by(&self, text: &str) -> Option<Broken> {
        if self.set.is_empty() {
            return None;
        }
        let page = Page::new(text);
        let mut measures = Measures::new(&page);
        self.set.iter().find_map(|(at, threshold)| {
            let rule = &RULES[usize::from(*at)];
            let value = measures.of(rule.measure);
            (!rule.bound.holds(value, *threshold)).then_some(Broken { rule: *at, value })
        })
    }

    /// The rules in force, with their thresholds.
    pub fn rules(&self) -> impl Iterator<Item = (u8, &'static Rule, f64)> + '_ {
        self.set.iter().map(|(at, threshold)| (*at, &RULES[usize::from(*at)], *threshold))
    }
}
