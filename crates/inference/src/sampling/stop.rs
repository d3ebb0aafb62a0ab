//! Stop strings, which may begin in one token and end in another.

/// Text of a sequence, held back as long as it may be the start of a stop string.
#[derive(Clone, Debug, Default)]
pub struct StopScanner {
    text: String,
    /// Bytes that have been shown.
    shown: usize,
}

impl StopScanner {
    /// Appends text. Returns the stop string that it completes, if any; the text then ends before it, or after it with
    /// `include_stop`.
    pub fn push<'a>(&mut self, piece: &str, stops: &'a [String], include_stop: bool) -> Option<&'a str> {
        let longest = stops.iter().map(String::len).max().unwrap_or(0);
        let mut from = self.text.len().saturating_sub(longest).max(self.shown);
        while !self.text.is_char_boundary(from) {
            from -= 1;
        }
        self.text.push_str(piece);
        // The one that ends first; of those, the longest.
        let found =
            stops.iter().filter_map(|stop| Some((self.text[from..].find(stop.as_str())? + from, stop.as_str())));
        let (start, stop) = found.min_by_key(|(start, stop)| (start + stop.len(), *start))?;
        self.text.truncate(if include_stop { start + stop.len() } else { start });
        Some(stop)
    }

    /// Text that cannot become part of a stop string any more and was not returned before.
    pub fn ready(&mut self, stops: &[String]) -> String {
        let held = stops.iter().map(|stop| self.overlap(stop)).max().unwrap_or(0);
        self.show(self.text.len() - held)
    }

    /// All text that was not returned before.
    pub fn rest(&mut self) -> String {
        self.show(self.text.len())
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    fn show(&mut self, end: usize) -> String {
        let end = end.max(self.shown);
        let piece = self.text[self.shown..end].to_owned();
        self.shown = end;
        piece
    }

    /// Bytes at the end of the text that start `stop`.
    fn overlap(&self, stop: &str) -> usize {
        let hidden = &self.text[self.shown..];
        let starts = stop.char_indices().map(|(start, _)| start).chain([stop.len()]).rev();
        starts.filter(|len| *len < stop.len()).find(|len| hidden.ends_with(&stop[..*len])).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(pieces: &[&str], stops: &[&str], include_stop: bool) -> (Vec<String>, String, Option<String>) {
        let stops: Vec<String> = stops.iter().map(|stop| (*stop).to_owned()).collect();
        let mut scanner = StopScanner::default();
        let mut shown = Vec::new();
        for piece in pieces {
            let found = scanner.push(piece, &stops, include_stop).map(str::to_owned);
            if found.is_some() {
                shown.push(scanner.rest());
                return (shown, scanner.text().to_owned(), found);
            }
            shown.push(scanner.ready(&stops));
        }
        shown.push(scanner.rest());
        (shown, scanner.text().to_owned(), None)
    }

    #[test]
    fn a_stop_string_is_found_across_tokens_and_never_shown() {
        let (shown, text, found) = run(&["one tw", "o S", "TO", "P rest"], &["STOP"], false);
        assert_eq!((shown.concat(), text.as_str(), found.as_deref()), ("one two ".into(), "one two ", Some("STOP")));
        assert_eq!(shown, ["one tw", "o ", "", ""]);
        let (shown, text, _) = run(&["a S", "TOP b"], &["STOP"], true);
        assert_eq!((shown.concat().as_str(), text.as_str()), ("a STOP", "a STOP"));
    }

    #[test]
    fn what_only_looks_like_the_start_of_one_is_shown() {
        let (shown, text, found) = run(&["ab", "aba", "x"], &["abab!"], false);
        assert_eq!(
            (shown, text.as_str(), found),
            (vec!["".into(), "ab".into(), "abax".into(), "".into()], "ababax", None)
        );
        let (shown, ..) = run(&["über", "ü", "f"], &["üü"], false);
        assert_eq!(shown.concat(), "überüf");
    }

    #[test]
    fn the_first_of_several_ends_the_text() {
        let (_, text, found) = run(&["a", "b", "c", "d"], &["cd", "b"], false);
        assert_eq!((text.as_str(), found.as_deref()), ("a", Some("b")));
        let (_, text, found) = run(&["abcd"], &["cd", "bcd"], false);
        assert_eq!((text.as_str(), found.as_deref()), ("a", Some("bcd")));
    }
}
