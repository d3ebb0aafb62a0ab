//! The filter of the list, which is part of its address.

use serde::Deserialize;

use crate::problem::Problem;
use stepwell_base::ids::RunId;
use stepwell_base::remark::Tag;
use stepwell_run::status::RunStatus;
use stepwell_store::{Family, RunFilter};

/// Longest text to search for, in bytes.
const LONGEST: usize = 200;

#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Filter {
    pub q: String,
    pub status: String,
    pub workflow: String,
    pub tag: String,
    /// The last run of the page before.
    pub after: String,
}

/// One choice of a field.
pub struct Choice {
    pub value: String,
    pub text: String,
    pub is_chosen: bool,
}

impl Filter {
    pub fn is_any(&self) -> bool {
        [&self.q, &self.status, &self.workflow, &self.tag].iter().any(|text| !text.is_empty())
    }

    pub fn before(&self) -> Option<RunId> {
        self.after.parse().ok()
    }

    /// # Errors
    /// When a text is too long, or is no status or tag.
    pub fn chosen(&self) -> Result<RunFilter, Problem> {
        for text in [&self.q, &self.workflow, &self.tag] {
            if text.len() > LONGEST {
                return Err(Problem::usage(format!("a text to search for has at most {LONGEST} bytes")));
            }
        }
        let some = |text: &String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let statuses = match self.status.as_str() {
            "" => Vec::new(),
            "open" => RunStatus::ALL.into_iter().filter(|status| !status.is_terminal()).collect(),
            word => vec![word.parse().map_err(|_| Problem::usage(format!("`{word}` is no status of runs")))?],
        };
        let tag = some(&self.tag).map(|tag| tag.parse::<Tag>()).transpose();
        Ok(RunFilter {
            statuses,
            workflow: some(&self.workflow),
            tag: tag.map_err(|error| Problem::usage(error.to_string()))?,
            text: some(&self.q),
            family: if self.is_any() { Family::All } else { Family::Top },
        })
    }

    /// The address of the list with this filter, from the page after a run.
    pub fn href(&self, after: Option<RunId>) -> String {
        let after = after.map(|run| run.to_string()).unwrap_or_default();
        let fields = [("q", &self.q), ("status", &self.status), ("workflow", &self.workflow), ("tag", &self.tag)];
        let pairs = fields.into_iter().chain([("after", &after)]).filter(|(_, value)| !value.is_empty());
        let query: Vec<String> = pairs.map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        if query.is_empty() { "/runs".to_owned() } else { format!("/runs?{}", query.join("&")) }
    }

    pub fn statuses(&self) -> Vec<Choice> {
        let choice = |value: &str, text: &str| Choice {
            value: value.to_owned(),
            text: text.to_owned(),
            is_chosen: self.status == value,
        };
        let each = RunStatus::ALL.into_iter().map(|status| choice(status.as_str(), status.as_str()));
        std::iter::once(choice("open", "not ended")).chain(each).collect()
    }

    pub fn workflows(&self, known: Vec<String>) -> Vec<Choice> {
        let mut names = known;
        if !self.workflow.is_empty() && !names.contains(&self.workflow) {
            names.push(self.workflow.clone());
        }
        names
            .into_iter()
            .map(|name| Choice { is_chosen: name == self.workflow, value: name.clone(), text: name })
            .collect()
    }
}

/// A text as part of an address.
pub fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_has_the_filter() {
        let filter = Filter { q: "a b&c".to_owned(), status: "open".to_owned(), ..Filter::default() };
        assert_eq!(filter.href(None), "/runs?q=a%20b%26c&status=open");
        assert_eq!(Filter::default().href(None), "/runs");
        assert!(!filter.chosen().unwrap().statuses.contains(&RunStatus::Failed));
        assert!(Filter { status: "odd".to_owned(), ..Filter::default() }.chosen().is_err());
    }
}
