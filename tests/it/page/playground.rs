//! A model is tried: its answer comes piece by piece, with the probabilities of its tokens, and ends when told to.

use super::server::{start, start_with_model};

#[test]
fn a_conversation_is_held_with_keys() {
    let Some((_sandbox, server, mut browser)) = start_with_model(&[]) else { return };
    browser.open(&format!("{}/playground", server.url));
    browser.tab_to("#said");
    browser.type_text("Hello <i id=injected>");
    browser.fill("#p-max_tokens", "12");
    browser.fill("#p-temperature", "0");
    browser.tab_to("#logprobs");
    browser.press("Space");
    let request = "JSON.parse(document.querySelector('[data-request]').textContent).body";
    browser.wait("the request says so", &format!("{request}.max_tokens === 12 && {request}.logprobs"));
    browser.tab_to("[data-send]");
    browser.press("Enter");
    browser.wait_text("[data-told]", "tokens in");
    browser.wait("the tokens", "document.querySelectorAll('[data-tokens-rows] tr').length > 0");
    browser.wait_text("[data-tokens-sum]", "perplexity");
    browser.wait("others", "document.querySelector('td.others').innerText.includes('%')");
    browser.wait("a hint over a token", "document.querySelector('[data-tokens-text] span').title.includes('%')");
    assert_eq!(browser.eval("document.querySelectorAll('.turn').length"), 2);
    assert_eq!(browser.eval("document.querySelector('#injected')"), serde_json::json!(null));
    browser.picture("playground");
    // The next message continues the conversation.
    browser.tab_to("#said");
    browser.type_text("And?");
    browser.wait("three messages", &format!("{request}.messages.length === 3"));
    browser.is_clean();
}

#[test]
fn an_answer_stops_when_told_to_and_a_text_is_continued() {
    let Some((_sandbox, server, mut browser)) = start_with_model(&[]) else { return };
    browser.open(&format!("{}/playground", server.url));
    browser.click("input[value=completion]");
    browser.wait_text("[data-said-label]", "Text to continue");
    browser.fill("#said", "Once");
    browser.fill("#p-max_tokens", "9");
    browser.click("#logprobs");
    browser.click("[data-send]");
    browser.wait_text("[data-told]", "tokens in");
    browser.wait("its tokens", "document.querySelectorAll('[data-tokens-rows] tr').length > 0");
    // What the server refuses is told in its words, and nothing is lost.
    browser.fill("#said", &"long ".repeat(400));
    browser.click("[data-send]");
    browser.wait_text("[data-problem]", "context");
    assert_eq!(browser.eval("document.querySelector('#said').value.length"), 2000);
    browser.forgive();
    // The answer of a client that waits forever.
    browser.eval(
        "window.fetch = async (url, { signal }) => new Response(new ReadableStream({ start(to) {
            to.enqueue(new TextEncoder().encode('data: {\"choices\":[{\"text\":\"abc\"}]}\\n\\n'));
            signal.addEventListener('abort', () => to.error(new DOMException('stop', 'AbortError')));
        } })); 0",
    );
    browser.click("[data-send]");
    browser.wait_text(".turn.continuation:last-child .said", "abc");
    browser.click("[data-stop]");
    browser.wait_text("[data-told]", "stopped");
    browser.is_clean();
}

#[test]
fn without_a_model_it_says_how_to_get_one() {
    let Some((_sandbox, server, mut browser)) = start(&[]) else { return };
    browser.open(&format!("{}/playground?model=gone", server.url));
    browser.wait_text("main", "There is no model to try");
    browser.wait_text("main", "serve --model");
    browser.wait_text("[role=alert]", "gone");
    browser.is_clean();
}
