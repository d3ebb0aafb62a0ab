//! `specs/api.md` lists every route. `STEPWELL_BLESS=1` writes its table.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::route::{Access, Route};
use crate::table::routes;

const START: &str = "<!-- routes -->\n";
const END: &str = "<!-- end of routes -->\n";

fn table() -> String {
    let is_api = |route: &&Route| !["page"].contains(&route.doc.tag);
    let mut text = "| method | path | scope | what it does |\n|---|---|---|---|\n".to_owned();
    for route in routes().iter().filter(is_api) {
        let scopes: Vec<&str> = route.access.scopes().iter().map(|scope| scope.as_str()).collect();
        let scope = if route.access == Access::Open { "none".to_owned() } else { scopes.join(" or ") };
        let Route { method, path, doc, .. } = route;
        let _ = writeln!(text, "| {method} | `{path}` | {scope} | {} |", doc.summary);
    }
    text
}

#[test]
fn the_page_about_the_api_lists_every_route() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../specs/api.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(START).expect("the start of the table");
    let (found, after) = rest.split_once(END).expect("the end of the table");
    let expected = table();
    if found != expected && std::env::var_os("STEPWELL_BLESS").is_some() {
        std::fs::write(&path, format!("{before}{START}{expected}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(found, expected, "`STEPWELL_BLESS=1 scripts/quick.sh http documented` writes it");
}
