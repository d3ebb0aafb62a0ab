//! The whole file: its head, and the sections in their order.

use jiff::Timestamp;

use super::markup::Markup;
use super::subject::Subject;
use super::{curves, parameters, record, results, samples, steps, top};
use crate::error::CliError;
use crate::session::Session;
use crate::verbs::look::compare::collect::collect;
use stepwell_base::ids::RunId;
use stepwell_store::Reader;

/// No script, no request: a page that somehow held a script would not run it.
const HEAD: &str = "<meta charset=\"utf-8\">\n\
    <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n\
    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
    <meta name=\"referrer\" content=\"no-referrer\">\n\
    <meta name=\"color-scheme\" content=\"light dark\">\n";

pub(super) fn page(session: &Session, reader: &Reader, runs: &[RunId]) -> Result<String, CliError> {
    let subject = Subject { session, reader, compared: collect(reader, runs)?, now: Timestamp::now() };
    let mut page = Markup::default();
    page.constant("<!doctype html>\n");
    let title = format!("{} - Stepwell report", subject.names().join(", "));
    let mut body = Ok(());
    page.within("html", &[("lang", &"en")], |html| {
        html.within("head", &[], |head| {
            head.constant(HEAD);
            head.element("title", &[], &title);
            head.constant(concat!("<style>\n", include_str!("style.css"), "</style>\n"));
        });
        html.within("body", &[], |inside| body = sections(inside, &subject));
    });
    body.map(|()| page.finish())
}

fn sections(page: &mut Markup, subject: &Subject<'_>) -> Result<(), CliError> {
    top::heading(page, subject)?;
    top::failures(page, subject)?;
    parameters::differing(page, subject);
    results::write(page, subject);
    curves::write(page, subject)?;
    samples::write(page, subject)?;
    parameters::write(page, subject);
    steps::write(page, subject)?;
    record::decisions(page, subject)?;
    record::environment(page, subject)?;
    record::artifacts(page, subject)?;
    record::notes(page, subject);
    Ok(())
}
