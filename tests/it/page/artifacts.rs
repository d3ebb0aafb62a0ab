//! Outputs: folders are browsed, texts are read, files are downloaded.

use super::server::start;

pub const TREE: &str = r#"
name = "tree"

[[step]]
id = "make"
kind = "command"
with = { shell = 'mkdir -p "$STEPWELL_OUTPUT_DIR/tree/deep/er"; cd "$STEPWELL_OUTPUT_DIR"; printf hello > tree/top.txt; printf "<b id=injected>x</b>" > tree/deep/er/odd.html; printf "line <i id=injected>one</i>" > note.txt', outputs = { tree = "tree", note = "note.txt" } }
"#;

#[test]
fn a_folder_is_browsed_and_a_text_is_read() {
    let Some((sandbox, server, mut browser)) = start(&[("w.toml", TREE)]) else { return };
    sandbox.stepwell(&["run", "--detach", "w.toml"]).ok();
    browser.open(&format!("{}/runs/last/artifacts", server.url));
    browser.wait_text("tbody", "make/tree");
    browser.tab_to("tbody tr:nth-child(2) a.name, tbody a.name[href*=artifacts]");
    let folder =
        browser.eval("[...document.querySelectorAll('tbody a.name')].find((a) => a.innerText.endsWith('tree')).href");
    let text =
        browser.eval("[...document.querySelectorAll('tbody a.name')].find((a) => a.innerText.endsWith('note')).href");
    let download = browser.eval(
        "fetch([...document.querySelectorAll('a[download]')].find((a) => a.innerText.includes('note')).href).then((answer) => answer.text())",
    );
    assert_eq!(download, "line <i id=injected>one</i>", "a download is the content");
    browser.open(folder.as_str().unwrap());
    browser.wait_text("tbody", "deep/");
    browser.wait_text("tbody", "top.txt");
    browser.picture("folder");
    browser.click(".page-head a[href$=provenance]");
    browser.wait_text("h1", "Where tree comes from");
    browser.wait_text(".origins", "made: tree");
    browser.wait_text("#main", "artifact verify --provenance");
    browser.click(".page-head a");
    browser.wait_text("tbody", "deep/");
    browser.click("tbody a.name");
    browser.wait_text("tbody", "er/");
    browser.click("tbody a.name");
    browser.wait_text("tbody", "odd.html");
    browser.wait_text(".crumbs", "deep");
    let file = browser.eval("fetch(document.querySelector('tbody a.name').href).then((answer) => answer.headers.get('Content-Type') + answer.status)");
    assert!(!file.as_str().unwrap().contains("html"), "{file}");
    browser.click(".crumbs a");
    browser.wait_text("tbody", "top.txt");
    browser.open(text.as_str().unwrap());
    browser.wait_text("pre.content", "line <i id=injected>one</i>");
    assert!(browser.eval("document.querySelector('#injected')").is_null(), "a text becomes markup");
    assert!(
        browser.eval(&format!("fetch('{}/artifacts/{}').then((answer) => answer.status)", server.url, "0".repeat(64)))
            == 404
    );
    browser.forgive();
    browser.is_clean();
}
