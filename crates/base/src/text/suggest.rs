//! "Did you mean": the known name nearest to a mistyped one.

/// Returns the nearest entry of `known` within a few edits, or a long form of `name`: `learning_rate` for `lr` or
/// `rate`.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let limit = (name.chars().count() / 3).max(1);
    let mistyped = known
        .clone()
        .into_iter()
        .map(|candidate| (distance(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= limit && *distance < lower.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate);
    mistyped.or_else(|| known.into_iter().find(|candidate| is_short_for(&lower, &candidate.to_lowercase())))
}

/// True if `short` is one of the words of `long`, or their initials.
fn is_short_for(short: &str, long: &str) -> bool {
    let words: Vec<&str> = long.split(['_', '-', '.']).collect();
    let initials: String = words.iter().filter_map(|word| word.chars().next()).collect();
    words.len() > 1 && (words.contains(&short) || initials == short)
}

/// Formats ``did you mean `x`?``, or the list of known names. `what` names them in the plural, such as `params`.
pub fn hint<'a>(name: &str, what: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(candidate) = nearest(name, known.clone()) {
        return format!("did you mean `{candidate}`?");
    }
    let known: Vec<String> = known.into_iter().map(|name| format!("`{name}`")).collect();
    match known.len() {
        0 => format!("there are no {what}"),
        1..=40 => format!("known {what}: {}", known.join(", ")),
        count => format!("known {what}: {}, and {} more", known[..40].join(", "), count - 40),
    }
}

/// Formats ``did you mean `x`? Or ``, to precede other help; empty when no name is near.
pub fn meant<'a>(name: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    nearest(name, known).map(|known| format!("did you mean `{known}`? Or ")).unwrap_or_default()
}

/// Edits (insert, delete, replace, swap of neighbours) that turn `a` into `b`: optimal string alignment.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_typos_and_leaves_strangers_alone() {
        let known = ["needs", "with", "for_each", "when"];
        assert_eq!(nearest("need", known), Some("needs"));
        assert_eq!(nearest("wiht", known), Some("with"));
        assert_eq!(nearest("foreach", known), Some("for_each"));
        assert_eq!(nearest("colour", known), None);
        let params = ["learning_rate", "seed", "batch", "lr_scale"];
        assert_eq!((nearest("lr", params), nearest("rate", params)), (Some("learning_rate"), Some("learning_rate")));
        assert_eq!(nearest("s", params), None, "a single word has no short form");
        assert_eq!(hint("colour", "keys", known), "known keys: `needs`, `with`, `for_each`, `when`");
    }
}
