//! Writes HTML and SVG. Every text is escaped on its way in; only constants of this program are not.

use std::fmt::{self, Display, Write};

use stepwell_base::visible::visible;

type Attributes<'a> = &'a [(&'static str, &'a dyn Display)];

#[derive(Default)]
pub(super) struct Markup(String);

impl Markup {
    /// Adds a text that may come from outside.
    pub(super) fn text(&mut self, text: &str) {
        // Invisible characters and those that turn the direction of text are shown as escapes, as on a terminal.
        escape(&mut self.0, &visible(text));
    }

    /// Adds markup of this program.
    pub(super) fn constant(&mut self, markup: &'static str) {
        self.0.push_str(markup);
    }

    /// Adds what another value of this type has written.
    pub(super) fn append(&mut self, other: Markup) {
        self.0.push_str(&other.0);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// An element with whatever `fill` adds.
    pub(super) fn within(&mut self, name: &'static str, attributes: Attributes<'_>, fill: impl FnOnce(&mut Markup)) {
        self.open(name, attributes);
        fill(self);
        let _ = writeln!(self.0, "</{name}>");
    }

    /// An element with a text.
    pub(super) fn element(&mut self, name: &'static str, attributes: Attributes<'_>, text: &str) {
        self.within(name, attributes, |inside| inside.text(text));
    }

    /// The start of an element, or one without an end.
    pub(super) fn open(&mut self, name: &'static str, attributes: Attributes<'_>) {
        let _ = write!(self.0, "<{name}");
        for (attribute, value) in attributes {
            let _ = write!(self.0, " {attribute}=\"");
            let _ = write!(Escaped(&mut self.0), "{value}");
            self.0.push('"');
        }
        self.0.push('>');
    }

    /// A table whose first column names its rows.
    pub(super) fn table(&mut self, header: &[&str], rows: &[Vec<String>]) {
        self.within("div", &[("class", &"wide")], |inside| {
            inside.within("table", &[], |table| {
                table.within("thead", &[], |head| {
                    head.within("tr", &[], |row| {
                        header.iter().for_each(|name| row.element("th", &[("scope", &"col")], name));
                    });
                });
                table.within("tbody", &[], |body| rows.iter().for_each(|cells| body.row(cells)));
            });
        });
    }

    fn row(&mut self, cells: &[String]) {
        self.within("tr", &[], |row| {
            for (index, cell) in cells.iter().enumerate() {
                match index {
                    0 => row.element("th", &[("scope", &"row")], cell),
                    _ => row.element("td", &[], cell),
                }
            }
        });
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// Escapes what is written through it.
struct Escaped<'m>(&'m mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escape(self.0, &visible(text));
        Ok(())
    }
}

fn escape(to: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => to.push_str("&amp;"),
            '<' => to.push_str("&lt;"),
            '>' => to.push_str("&gt;"),
            '"' => to.push_str("&quot;"),
            '\'' => to.push_str("&#39;"),
            other => to.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_never_markup() {
        let mut page = Markup::default();
        let evil = "<script>alert('1')</script>&\"\u{202e}\x1b[2J";
        page.element("p", &[("title", &evil)], evil);
        page.table(&[evil], &[vec![evil.to_owned(), evil.to_owned()]]);
        let text = page.finish();
        assert!(!text.contains("<script") && !text.contains('\u{202e}') && !text.contains('\x1b'), "{text}");
        assert!(
            text.starts_with("<p title=\"&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;&quot;\\u{202e}"),
            "{text}"
        );
        assert_eq!(text.matches("&lt;script&gt;").count(), 5);
    }
}
