//! Words and values that do not fit a verb, answered with the command that was meant.

use stepwell_base::shell::{quote, stepwell};

/// Answers a word that is one too many. `words` are all words behind the verb.
pub fn extra_word(path: &[&str], extra: &str, words: &[&str]) -> Option<String> {
    let plain = plain_words(words);
    let first = plain.first().copied()?;
    let run = quote(first);
    match path {
        ["fork"] => Some(format!("`--at` says where: `stepwell fork {run} --at {}`", quote(extra))),
        ["rerun"] => Some(format!("`--from-step` says where: `stepwell rerun {run} --from-step {}`", quote(extra))),
        ["artifact", verb @ ("get" | "show" | "provenance")] => Some(artifact(verb, &plain)),
        ["schedule", "add"] => schedule(words),
        ["note"] => {
            let text = plain[1..].join(" ");
            Some(format!("put the text into quotes: {}", stepwell("note", [first, &*text])))
        }
        ["generate"] => Some(format!("`-p` gives the text to continue: `stepwell generate {run} -p {}`", quote(extra))),
        ["cancel" | "pause" | "resume" | "watch"] => {
            let each: Vec<String> = plain.iter().take(3).map(|run| stepwell(path[0], [*run])).collect();
            Some(format!("one run at a time: {}", each.join(", ")))
        }
        _ => None,
    }
}

/// The words that are no options. The value of an option may be among them.
fn plain_words<'a>(words: &[&'a str]) -> Vec<&'a str> {
    words.iter().take_while(|word| **word != "--").copied().filter(|word| !word.starts_with('-')).collect()
}

/// Joins RUN, STEP and NAME, which are one word, and keeps a destination.
fn artifact(verb: &str, words: &[&str]) -> String {
    let parts = |word: &str| word.split(['/', '.']).filter(|part| !matches!(*part, "" | "outputs")).count();
    // `last best.model` has all three parts in two words, `last best model` in three.
    let joined = if words.get(1).is_some_and(|second| parts(second) > 1) { 2 } else { 3 };
    let (name, rest) = words.split_at(joined.min(words.len()));
    let name = name.join("/");
    let about = std::iter::once(&*name).chain(rest.first().copied().filter(|_| verb == "get"));
    format!("RUN/STEP/NAME is one word: {}", stepwell(&format!("artifact {verb}"), about))
}

/// Answers a cron expression without its `--cron`.
pub fn schedule(words: &[&str]) -> Option<String> {
    let plain = plain_words(words);
    let cron = plain.iter().copied().find(|word| is_cron(word))?;
    let mut others = plain.iter().copied().filter(|word| !is_cron(word));
    let (name, workflow) = (others.next().unwrap_or("NAME"), others.next().unwrap_or("WORKFLOW"));
    let name = quote(name);
    Some(format!("`--cron` says when: `stepwell schedule add {name} --cron {} {}`", quote(cron), quote(workflow)))
}

/// True for five or six fields of digits and the signs of cron.
fn is_cron(word: &str) -> bool {
    let is_field = |field: &str| {
        field.starts_with(|first: char| first.is_ascii_digit() || first == '*')
            || matches!(
                field.get(..3).map(str::to_ascii_uppercase).as_deref(),
                Some("MON" | "TUE" | "WED" | "THU" | "FRI" | "SAT" | "SUN")
            )
    };
    let fields: Vec<&str> = word.split_whitespace().collect();
    matches!(fields.len(), 5 | 6) && fields.into_iter().all(is_field)
}

/// Answers a form of output that does not exist.
pub fn output_form(path: &[&str], form: &str, words: &[&str]) -> Option<String> {
    let form = form.to_lowercase();
    match (&*form, path) {
        ("csv" | "tsv", ["metrics"]) => {
            let runs = plain_words(words).into_iter().filter(|word| word.to_lowercase() != form);
            let about: Vec<String> = runs.map(quote).collect();
            let arguments = about.into_iter().chain(["--csv".to_owned()]).collect::<Vec<_>>().join(" ");
            Some(format!("`--csv` prints CSV: `stepwell metrics {arguments}`"))
        }
        ("csv" | "tsv", _) => Some(
            "`stepwell metrics RUN --csv` prints metrics as CSV; `--output json` prints everything else".to_owned(),
        ),
        ("jsonl" | "ndjson" | "jsonlines" | "yaml" | "yml" | "toml" | "xml" | "wide", _) => {
            Some("`--output json` is the form for scripts".to_owned())
        }
        ("text" | "txt" | "plain" | "table" | "pretty" | "tty" | "terminal", _) => {
            Some("`--output human` is text for people, and the default".to_owned())
        }
        _ if form.contains(['/', '.']) => {
            Some("`--output` is the form of what is printed; write it to a file with `> FILE`".to_owned())
        }
        _ => None,
    }
}
