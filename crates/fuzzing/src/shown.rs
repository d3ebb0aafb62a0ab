//! Checks names, the display of outside text, and shell quoting in hints.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};
use std::process::Command;

use stepwell_base::excerpt::{EXCERPT_BYTES, bounded, excerpt};
use stepwell_base::names::{RunName, path_component};
use stepwell_base::shell;
use stepwell_base::visible::{is_hidden, visible, visible_line, visible_styled};

/// Most bytes of a file name on common file systems.
const LONGEST_COMPONENT: usize = 255;
const EXCERPT_LINES: usize = 20;
/// Bytes for the note in which a cut text reports how much it leaves out.
const CUT_NOTE: usize = 64;

/// Checks a run name. An accepted name is shown unchanged and fits in a path. Any text gives one path component.
pub(super) fn names(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let component = path_component(text);
    let parts: Vec<_> = Path::new(&component).components().collect();
    assert!(matches!(parts.as_slice(), [Component::Normal(part)] if *part == component.as_str()), "{component:?}");
    assert!(component.len() <= LONGEST_COMPONENT && !component.contains('\0'), "{component:?}");
    let Ok(name) = text.parse::<RunName>() else { return };
    assert_eq!(name.as_str(), text);
    assert_eq!(visible_line(text), text, "a name with characters that cannot be seen");
    assert_ne!(text, "last");
    assert!(text.len() > LONGEST_COMPONENT / 2 || component == text, "a name as a path is {component:?}");
}

/// Checks outside text on a terminal: it contains no control characters and its length is bounded.
pub(super) fn shown(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let steers = |shown: &str| shown.chars().any(|c| is_hidden(c) && !matches!(c, '\n' | '\t'));
    assert!(!steers(&visible(&text)) && !visible_line(&text).chars().any(is_hidden));
    assert_eq!(visible(&visible(&text)), visible(&text));
    let styled = visible_styled(&text);
    assert!(!steers(&styled.replace("\x1b[", "")) && (styled.contains('\x1b') || styled == visible(&text)));
    assert!(excerpt(&text, EXCERPT_LINES).len() <= EXCERPT_BYTES + EXCERPT_LINES * CUT_NOTE);
    assert!(bounded(&text).len() <= 2 * EXCERPT_BYTES + CUT_NOTE);
}

/// Checks a word in a hint: a shell parses the hint back to that word.
pub(super) fn hints(data: &[u8]) {
    if data.contains(&0) {
        return;
    }
    assert_eq!(words(&format!("stepwell {}", shell::quote(OsStr::from_bytes(data)))), [data]);
    let Ok(text) = std::str::from_utf8(data) else { return };
    let hint = shell::with_option(&shell::stepwell("show", [text]), "--state-dir", text);
    let command = hint.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')).expect("one command in backticks");
    assert!(!command.contains('`'), "{hint}");
    let option = [b"--state-dir=", data].concat();
    let expected: Vec<&[u8]> = match text.starts_with('-') {
        true => vec![b"show", &option, b"--", data],
        false => vec![b"show", &option, data],
    };
    assert_eq!(words(command), expected, "{hint}");
}

/// Arguments that a shell passes to the command.
fn words(command: &str) -> Vec<Vec<u8>> {
    let script = format!("stepwell() {{ printf '%s\\0' \"$@\"; }}\n{command}");
    let output = Command::new("/bin/sh").arg("-c").arg(script).output().expect("every system has a shell");
    assert!(output.status.success(), "{command}");
    let words = output.stdout.strip_suffix(&[0]).unwrap_or_default();
    words.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
}
