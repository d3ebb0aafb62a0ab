//! Commands that a person can paste into a shell.

use std::ffi::OsStr;

use super::visible::is_hidden;

/// Quotes one word for a POSIX shell. The result survives copying from a terminal and fits between backticks: `printf`
/// writes the bytes that cannot be shown.
pub fn quote(word: impl AsRef<OsStr>) -> String {
    let bytes = word.as_ref().as_encoded_bytes();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./:@%+,=".contains(byte);
    if bytes.iter().all(plain) && !bytes.is_empty() && !bytes.starts_with(b"=") {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let mut quoted = Quoted::default();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '`' || is_hidden(c) && c != '\n' {
                quoted.hidden.extend(c.encode_utf8(&mut [0; 4]).bytes());
            } else {
                quoted.show(c);
            }
        }
        quoted.hidden.extend(chunk.invalid());
    }
    quoted.finish()
}

/// Quoted words so far: `text` is complete except for the pending part in one of the other two fields.
#[derive(Default)]
struct Quoted {
    text: String,
    shown: String,
    hidden: Vec<u8>,
}

impl Quoted {
    fn show(&mut self, c: char) {
        self.close();
        self.shown.push(c);
    }

    fn close(&mut self) {
        if self.hidden.is_empty() {
            return;
        }
        self.close_shown();
        let octal: String = self.hidden.drain(..).map(|byte| format!("\\{byte:03o}")).collect();
        self.text.push_str(&format!("\"$(printf '{octal}')\""));
    }

    fn close_shown(&mut self) {
        if !self.shown.is_empty() {
            let shown = std::mem::take(&mut self.shown);
            self.text.push_str(&format!("'{}'", shown.replace('\'', r"'\''")));
        }
    }

    fn finish(mut self) -> String {
        self.close();
        self.close_shown();
        if self.text.is_empty() { "''".to_owned() } else { self.text }
    }
}

/// Formats a command of this program in backticks: `verb`, which may include options, and its object.
pub fn stepwell<'a>(verb: &str, about: impl IntoIterator<Item = &'a str>) -> String {
    let about: Vec<&str> = about.into_iter().collect();
    let mut command = format!("`stepwell {verb}");
    if about.iter().any(|word| word.starts_with('-')) {
        command.push_str(" --");
    }
    for word in about {
        command.push(' ');
        command.push_str(&quote(word));
    }
    command.push('`');
    command
}

/// Adds `option` to each command of this program that `text` names in backticks and that lacks it.
pub fn with_option(text: &str, name: &str, value: impl AsRef<OsStr>) -> String {
    const START: &str = "`stepwell ";
    let option = format!("{name}={}", quote(value));
    let mut full = String::with_capacity(text.len() + option.len());
    let mut rest = text;
    while let Some(at) = rest.find(START) {
        let (before, from) = rest.split_at(at + START.len());
        full.push_str(before);
        let command = &from[..from.find('`').unwrap_or(from.len())];
        let verb = command.find(' ').unwrap_or(command.len());
        full.push_str(&command[..verb]);
        // A word inside quotes is a name or a path.
        let plain = command.split('\'').next().unwrap_or(command);
        let has = |word: &str| word.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('='));
        let mut options = plain.split(' ').take_while(|word| *word != "--");
        if !options.any(has) {
            full.push(' ');
            full.push_str(&option);
        }
        full.push_str(&command[verb..]);
        rest = &from[command.len()..];
    }
    full.push_str(rest);
    full
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn plain_words_stay_as_they_are_and_others_are_quoted() {
        for (word, quoted) in [
            ("state/run-1.toml", "state/run-1.toml"),
            ("lr=0.1", "lr=0.1"),
            ("", "''"),
            ("=ls", "'=ls'"),
            ("train[0]", "'train[0]'"),
            ("it's a $HOME", r"'it'\''s a $HOME'"),
            ("日本", "'日本'"),
            ("a\tb`c`", r#"'a'"$(printf '\011')"'b'"$(printf '\140')"'c'"$(printf '\140')""#),
            ("a\nb", "'a\nb'"),
            ("\u{202e}x", r#""$(printf '\342\200\256')"'x'"#),
        ] {
            assert_eq!(quote(word), quoted);
        }
        assert_eq!(quote(OsStr::from_bytes(b"caf\xe9")), r#"'caf'"$(printf '\351')""#);
    }

    #[test]
    fn a_command_names_what_begins_with_a_dash_after_two_dashes() {
        assert_eq!(stepwell("resume", ["my run"]), "`stepwell resume 'my run'`");
        assert_eq!(stepwell("retry", ["r", "-a"]), "`stepwell retry -- r -a`");
    }

    #[test]
    fn each_command_of_a_hint_gets_the_option_once() {
        let hint = "`stepwell show r` or `stepwell list`; `rm x`; `stepwell db check --state-dir FOLDER`";
        let full = "`stepwell show --state-dir='a b' r` or `stepwell list --state-dir='a b'`; `rm x`; `stepwell db check --state-dir FOLDER`";
        assert_eq!(with_option(hint, "--state-dir", "a b"), full);
        for run in ["r--state-dir", "'a --state-dir b'"] {
            let full = format!("`stepwell show --state-dir=x {run}`");
            assert_eq!(with_option(&format!("`stepwell show {run}`"), "--state-dir", "x"), full);
        }
        // Behind two dashes there are no options.
        let full = "`stepwell show --state-dir=x -- --state-dir`";
        assert_eq!(with_option("`stepwell show -- --state-dir`", "--state-dir", "x"), full);
        assert_eq!(with_option("no command", "--state-dir", "x"), "no command");
    }
}
