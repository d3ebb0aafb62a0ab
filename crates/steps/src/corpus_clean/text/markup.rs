//! Removes HTML and Markdown markup, and URLs. Text that only looks like markup (`a < b`, `2 * 3`) stays.

/// HTML elements whose content is not text.
const OPAQUE: [&str; 3] = ["script", "style", "noscript"];

/// HTML elements that end a line: the text of two cells or list items must not join into one word.
const BLOCKS: [&str; 44] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "br",
    "caption",
    "center",
    "dd",
    "details",
    "dialog",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "head",
    "header",
    "hr",
    "li",
    "main",
    "nav",
    "ol",
    "option",
    "p",
    "pre",
    "section",
    "summary",
    "table",
    "td",
    "th",
    "title",
    "tr",
    "ul",
    "legend",
];

/// Removes HTML tags, HTML comments and Markdown marks, and decodes entities.
pub fn strip_markup(text: &str) -> String {
    let plain = decode_entities(&strip_html(text));
    let mut out = String::with_capacity(plain.len());
    for line in plain.split_inclusive('\n') {
        let (content, end) = match line.strip_suffix('\n') {
            Some(content) => (content, "\n"),
            None => (line, ""),
        };
        if is_fence_or_rule(content) {
            continue;
        }
        out.push_str(&strip_emphasis(&strip_links(strip_line_marks(content))));
        out.push_str(end);
    }
    out
}

fn strip_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let Some(tag) = Tag::parse(rest) else {
            out.push('<');
            rest = &rest[1..];
            continue;
        };
        if BLOCKS.contains(&tag.name.as_str()) && !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        rest = &rest[tag.len..];
        if !tag.closing && OPAQUE.contains(&tag.name.as_str()) {
            rest = after_closing_tag(rest, &tag.name);
        }
    }
    out.push_str(rest);
    out
}

fn after_closing_tag<'a>(rest: &'a str, name: &str) -> &'a str {
    let mut from = 0;
    while let Some(at) = rest[from..].find("</") {
        let start = from + at;
        match Tag::parse(&rest[start..]) {
            Some(tag) if tag.name == name => return &rest[start + tag.len..],
            _ => from = start + 2,
        }
    }
    ""
}

/// A tag, comment or declaration at the start of a text.
struct Tag {
    name: String,
    closing: bool,
    /// Length in bytes, including the brackets.
    len: usize,
}

impl Tag {
    fn parse(text: &str) -> Option<Tag> {
        if text.starts_with("<!--") {
            let len = text.find("-->").map_or(text.len(), |at| at + 3);
            return Some(Tag { name: String::new(), closing: false, len });
        }
        let inner = text.strip_prefix('<')?;
        let closing = inner.starts_with('/');
        let inner = inner.strip_prefix(['/', '!']).unwrap_or(inner);
        let name: String = inner.chars().take_while(char::is_ascii_alphanumeric).collect();
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return None;
        }
        // White space, `/` or `>` follows the name of a tag; `<http://x>` is an autolink.
        if !inner[name.len()..].starts_with([' ', '\t', '\n', '\r', '/', '>']) {
            return None;
        }
        let mut quote = None;
        for (at, c) in text.char_indices() {
            match (quote, c) {
                (None, '>') => return Some(Tag { name: name.to_ascii_lowercase(), closing, len: at + 1 }),
                (None, '"' | '\'') => quote = Some(c),
                (Some(open), c) if c == open => quote = None,
                _ => {}
            }
        }
        None
    }
}

fn decode_entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let entity = rest.bytes().take(12).position(|byte| byte == b';').map(|end| &rest[1..end]);
        match entity.and_then(|name| Some((character(name)?, name.len() + 2))) {
            Some((c, len)) => {
                out.push(c);
                rest = &rest[len..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn character(entity: &str) -> Option<char> {
    if let Some(number) = entity.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code);
    }
    Some(match entity {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "ndash" => '\u{2013}',
        "mdash" => '\u{2014}',
        "hellip" => '\u{2026}',
        "lsquo" => '\u{2018}',
        "rsquo" => '\u{2019}',
        "ldquo" => '\u{201C}',
        "rdquo" => '\u{201D}',
        _ => return None,
    })
}

/// Matches code fences and horizontal rules. The code itself stays: it is text, too.
fn is_fence_or_rule(line: &str) -> bool {
    let line = line.trim();
    let rule = |mark: char| line.len() >= 3 && line.chars().all(|c| c == mark);
    line.starts_with("```") || line.starts_with("~~~") || rule('-') || rule('*') || rule('_') || rule('=')
}

/// Removes the marks of headings, quotes and bullets.
fn strip_line_marks(line: &str) -> &str {
    let mut text = line.trim_start();
    while let Some(rest) = text.strip_prefix('>') {
        text = rest.trim_start();
    }
    let hashes = text.len() - text.trim_start_matches('#').len();
    if (1..=6).contains(&hashes) && text[hashes..].starts_with(' ') {
        return text[hashes..].trim().trim_end_matches('#').trim_end();
    }
    for bullet in ["- ", "* ", "+ "] {
        if let Some(rest) = text.strip_prefix(bullet) {
            return rest;
        }
    }
    if text.len() < line.trim_start().len() { text } else { line }
}

/// Replaces `[text](target)` and `![text](target)` with `text`.
fn strip_links(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(open) = rest.find('[') {
        let link = rest[open..].find("](").and_then(|middle| {
            let end = rest[open + middle..].find(')')?;
            Some((open + middle, open + middle + end + 1))
        });
        let Some((text_end, link_end)) = link else { break };
        let before = &rest[..open];
        out.push_str(before.strip_suffix('!').unwrap_or(before));
        out.push_str(&rest[open + 1..text_end]);
        rest = &rest[link_end..];
    }
    out.push_str(rest);
    out
}

/// Removes `**`, `__`, `*`, `_` and backticks that enclose text.
fn strip_emphasis(line: &str) -> String {
    let mut text = line.to_owned();
    for mark in ["**", "__", "`", "*", "_"] {
        text = strip_pairs(&text, mark);
    }
    text
}

fn strip_pairs(text: &str, mark: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, inner, after)) = enclosed(rest, mark, out.chars().next_back()) {
        out.push_str(before);
        out.push_str(inner);
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Finds the first `mark inner mark` whose marks stand at the outside of words; `snake_case` and `2 * 3 * 4` have none.
fn enclosed<'a>(text: &'a str, mark: &str, previous: Option<char>) -> Option<(&'a str, &'a str, &'a str)> {
    let outside = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
    let mut from = 0;
    while let Some(found) = text[from..].find(mark) {
        let open = from + found;
        let inner_start = open + mark.len();
        let before = text[..open].chars().next_back().or(previous);
        let opens = outside(before) && text[inner_start..].chars().next().is_some_and(|c| !c.is_whitespace());
        if opens {
            let mut close_from = inner_start;
            while let Some(found) = text[close_from..].find(mark) {
                let close = close_from + found;
                let after = &text[close + mark.len()..];
                let closes = close > inner_start
                    && text[..close].chars().next_back().is_some_and(|c| !c.is_whitespace())
                    && outside(after.chars().next());
                if closes {
                    return Some((&text[..open], &text[inner_start..close], after));
                }
                close_from = close + mark.len();
            }
        }
        from = inner_start;
    }
    None
}

/// Removes `http://`, `https://`, `ftp://` and `www.` addresses. Punctuation that ends a sentence stays.
pub fn strip_urls(text: &str) -> String {
    const STARTS: [&str; 4] = ["http://", "https://", "ftp://", "www."];
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = STARTS.iter().filter_map(|start| rest.find(start)).min() {
        out.push_str(&rest[..at]);
        let url_end =
            rest[at..].find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"')).map_or(rest.len(), |n| at + n);
        let within_word = rest[..at].chars().next_back().is_some_and(char::is_alphanumeric);
        if within_word {
            out.push_str(&rest[at..url_end]);
        } else {
            let url = &rest[at..url_end];
            out.push_str(&url[url.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']']).len()..]);
        }
        rest = &rest[url_end..];
    }
    out.push_str(rest);
    out
}
