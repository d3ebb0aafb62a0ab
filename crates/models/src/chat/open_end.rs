//! Texts that end in the middle of their last message, as `continue_final_message` of `transformers` renders them: with a
//! tag behind the content, where the text is cut.

use stepwell_base::ordered_json::Json;

use crate::error::Problem;
use crate::tokenizer::unmarked;

/// Ends with a space, so that a template shows whether it trims messages.
const TAG: &str = "STEPWELL_CONTINUES_THIS_MESSAGE ";

fn fail<T>(why: &str) -> Result<T, Problem> {
    Err(Problem::Template(why.to_owned()))
}

/// Appends the tag to the last message. Returns its content before.
///
/// # Errors
/// `Template` if there is no last message with text.
pub fn tag(messages: &mut Json) -> Result<String, Problem> {
    let last = if let Json::List(messages) = messages { messages.last_mut() } else { None };
    let Some(Json::Object(fields)) = last else { return fail("there is no last message to continue") };
    match fields.iter_mut().find(|(name, _)| name == "content") {
        Some((_, Json::Text(content))) => {
            let before = content.clone();
            content.push_str(TAG);
            Ok(before)
        }
        _ => fail("the last message has no text to continue"),
    }
}

/// Cuts a rendered text at the tag.
///
/// # Errors
/// `Template` if the template leaves the end of the message, or all of it, out.
pub fn cut(mut marked: String, content: &str) -> Result<String, Problem> {
    // The tag is the last one: whatever a message says stands before it.
    let Some(at) = marked.rfind(TAG.trim_end()) else {
        return fail("the template does not print the end of the last message, so it cannot be continued");
    };
    let trims = !marked[at..].starts_with(TAG);
    marked.truncate(at);
    if trims {
        marked.truncate(marked.trim_end().len());
    }
    if !unmarked(&marked).contains(content.trim()) {
        return fail("the template does not print the last message as it is, so it cannot be continued");
    }
    Ok(marked)
}
