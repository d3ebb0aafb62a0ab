//! Tests work on one text.

use super::markup::{strip_markup, strip_urls};
use super::normalise::Rules;
use super::pii::{Pii, replace};
use crate::corpus_clean::accounts::Reason;

/// The cleaned text, or the reason to drop it.
fn clean(rules: &Rules, text: &str) -> Result<String, Reason> {
    let result = rules.apply(text);
    result.verdict.map_or(Ok(result.text), |(reason, _)| Err(reason))
}

#[test]
fn compatibility_forms_and_control_characters_go() {
    let rules = Rules { nfkc: true, ..Rules::default() };
    assert_eq!(clean(&rules, "\u{FB01}ne \u{FF21}\u{2460}\u{0}\u{7}\tx\r\ny\rz\u{200B}").unwrap(), "fine A1\tx\ny\nz");
    assert_eq!(clean(&Rules::default(), "\u{FB01}ne").unwrap(), "\u{FB01}ne");
}

/// Neither removed nor kept characters may join two words.
#[test]
fn removed_characters_leave_words_apart() {
    for (text, expected) in [
        ("one\u{200B}two", "one two"),
        ("one \u{200B} two", "one  two"),
        ("one\u{200B}\u{FEFF}\u{0}two\u{200B}", "one two"),
        ("\u{FEFF}end.\u{FEFF}Start", "end. Start"),
        ("page\u{C}page\u{B}line\r\n\u{1F}unit", "page\npage\nline\nunit"),
        (
            "co\u{AD}operate, \u{645}\u{6CC}\u{200C}\u{62E}, a\u{2060}b",
            "co\u{AD}operate, \u{645}\u{6CC}\u{200C}\u{62E}, a\u{2060}b",
        ),
        ("\u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467}", "\u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467}"),
        ("no\u{A0}break", "no\u{A0}break"),
    ] {
        assert_eq!(clean(&Rules::default(), text).unwrap(), expected, "{text:?}");
    }
    assert_eq!(clean(&Rules { nfkc: true, ..Rules::default() }, "no\u{A0}break").unwrap(), "no break");
    assert_eq!(strip_markup("<td>one</td><td>two</td><ol><li>three</li></ol>"), "one\ntwo\nthree\n");
}

#[test]
fn markup_goes_and_what_only_looks_like_it_stays() {
    for (text, expected) in [
        ("<p class=\"a>b\">one</p><p>two &amp; three</p>", "one\ntwo & three\n"),
        ("a < b and c > d, x<y", "a < b and c > d, x<y"),
        ("<script>var x = '<b>';</script>text<!-- no -->!", "text!"),
        ("&lt;b&gt; &#233; &#x4e2d; &nope; AT&T", "<b> \u{e9} \u{4e2d} &nope; AT&T"),
        ("# Title #\n\n> quoted **bold** and *soft* `code`\n- item", "Title\n\nquoted bold and soft code\nitem"),
        ("see [the page](http://x.y/z) and ![a cat](cat.png)", "see the page and a cat"),
        ("snake_case_name and 2 * 3 * 4, #tag", "snake_case_name and 2 * 3 * 4, #tag"),
        ("```rust\nlet x = 1;\n```\nend", "let x = 1;\nend"),
        ("un<b>closed", "unclosed"),
        ("<", "<"),
    ] {
        assert_eq!(strip_markup(text), expected, "{text:?}");
    }
}

#[test]
fn addresses_go_and_punctuation_stays() {
    assert_eq!(strip_urls("see https://a.b/c?d=e, or (www.x.org)."), "see , or ().");
    assert_eq!(strip_urls("awww.cute"), "awww.cute");
    assert_eq!(strip_urls("ftp://x"), "");
}

#[test]
fn filters_give_their_reason() {
    let english = "The old sailor walked slowly along the harbour and watched the ships come in from the sea.";
    let german = "Der alte Seemann ging langsam am Hafen entlang und sah den Schiffen zu, die vom Meer kamen.";
    let rules = Rules { min_chars: 5, max_chars: Some(120), languages: vec![whatlang::Lang::Eng], ..Rules::default() };
    assert_eq!(clean(&rules, " \n\u{1}"), Err(Reason::Empty));
    assert_eq!(clean(&rules, "\u{e9}\u{e9}\u{e9}\u{e9}"), Err(Reason::TooShort));
    assert_eq!(clean(&rules, &"a".repeat(121)), Err(Reason::TooLong));
    assert_eq!(clean(&rules, german), Err(Reason::Language));
    assert_eq!(clean(&rules, english).unwrap(), english);
}

#[test]
fn personal_data_of_a_known_form_is_replaced() {
    for (text, expected) in [
        ("Write to jane.doe+x@mail.example.org.", "Write to [email]."),
        ("<jane@example.co.uk>, user@localhost, a@b, @name", "<[email]>, user@localhost, a@b, @name"),
        (
            "8.8.8.8 and 127.0.0.1, 10.1.2.3, 1.2.3, 1.2.3.4.5, 999.1.1.1",
            "[ip] and 127.0.0.1, 10.1.2.3, 1.2.3, 1.2.3.4.5, 999.1.1.1",
        ),
        ("call +49 (0)30 1234-5678 or (212) 555-0123 or 212-555-0199!", "call [phone] or [phone] or [phone]!"),
        ("in 1999-2004, 12-34-5678, 555-0123, +12", "in 1999-2004, 12-34-5678, 555-0123, +12"),
        ("card 4111 1111 1111 1111 or 4111111111111112", "card [card] or 4111111111111112"),
        ("IBAN DE89 3704 0044 0532 0130 00, GB82WEST12345698765432.", "IBAN [iban], [iban]."),
        ("DE89 3704 0044 0532 0130 03", "DE89 3704 0044 0532 0130 03"),
        ("\u{e9}\u{4e2d} x@y.de\u{4e2d}", "\u{e9}\u{4e2d} [email]\u{4e2d}"),
        ("", ""),
    ] {
        let replaced = replace(text, &Pii::ALL).map_or(text.to_owned(), |(text, _)| text);
        assert_eq!(replaced, expected, "{text:?}");
    }
    let (text, counts) = replace("a@b.de 8.8.8.8 c@d.fr", &[Pii::Email]).unwrap();
    assert_eq!((text.as_str(), counts), ("[email] 8.8.8.8 [email]", [2, 0, 0, 0, 0]));
    assert_eq!(replace("a@b.de", &[]), None);
}

/// Looking at bytes first must not miss a character.
#[test]
fn every_control_character_is_found() {
    for c in ('\0'..='\u{3100}').chain(['\u{FEFF}', '\u{FFFD}']) {
        let text = format!("a{c}b");
        let goes = c.is_control() && !matches!(c, '\n' | '\t')
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{FEFF}' | '\u{200B}');
        assert_eq!(clean(&Rules::default(), &text).unwrap() != text, goes, "{c:?}");
    }
}

proptest::proptest! {
    /// Replacing finds nothing more the second time, and never cuts a character.
    #[test]
    fn replacing_any_text_twice_changes_nothing(text in "[ a-c\u{e9}@.+(0-9)-]{0,60}") {
        if let Some((once, _)) = replace(&text, &Pii::ALL) {
            let again = replace(&once, &Pii::ALL).map_or(once.clone(), |(text, _)| text);
            proptest::prop_assert!(again.len() <= once.len() + 8);
        }
    }
}
