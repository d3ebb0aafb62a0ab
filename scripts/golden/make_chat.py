"""Writes chat.json: conversations, templates of our own, and what `transformers` renders.

    python make_chat.py                      # with the templates in chat_templates/
    python make_chat.py --trl SITE-PACKAGES/trl/chat_templates   # adds the digests for those of the package `trl`

Texts of our own templates are stored in full, those of `trl` as FNV-1a digests: some have a licence of their own.
"""

import argparse
import datetime
import json
import pathlib

from transformers.utils import chat_template_utils

OUT = pathlib.Path(__file__).resolve().parents[2] / "crates/models/src/tests/chat"
NOW = 1_767_225_600  # 2026-01-01 00:00:00 UTC
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}


class FixedTime(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc)


chat_template_utils.datetime = FixedTime


def user(text):
    return {"role": "user", "content": text}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


def call(name, **arguments):
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "Looks up the weather <now> & \"here\".",
    "parameters": {"type": "object", "required": ["city"], "properties": {
        "city": {"type": "string", "description": "A city, e.g. Z\u00fcrich"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
        "days": {"type": "integer", "minimum": 1, "maximum": 14}}},
    "return": {"type": "object", "description": "What it is like."}}}
ADD = {"type": "function", "function": {
    "name": "add", "description": "Adds.",
    "parameters": {"type": "object", "properties": {"b": {"type": "number"}, "a": {"type": "number"}},
                   "additionalProperties": False}}}

CONVERSATIONS = {
    "one": {"messages": [user("Hello!")]},
    "system": {"messages": [{"role": "system", "content": "You are a  pirate.\n"}, user(" Who are you? ")]},
    "turns": {"messages": [user("2 + 2?"), assistant("4."), user("3 * 3?"), assistant("9."), user("And 10 / 2?")]},
    "closed": {"messages": [user("Say it."), assistant("It.")], "add_generation_prompt": False},
    "unicode": {"messages": [user("\u00e9\u4f60\u597d \U0001f600 \t\"quoted\" \\n {{ x }} {% y %}\n\n  "), assistant("\n ok \n"), user("<b>&amp;'</b>")]},
    "tools": {"messages": [user("Weather in Bern?")], "tools": [WEATHER, ADD]},
    "calls": {"tools": [ADD, WEATHER], "messages": [
        {"role": "system", "content": "Use tools."}, user("1.5 + 2, and the weather in Z\u00fcrich?"),
        assistant("", tool_calls=[call("add", b=2, a=1.5), call("get_weather", city="Z\u00fcrich", days=3)]),
        {"role": "tool", "name": "add", "content": "3.5"},
        {"role": "tool", "name": "get_weather", "content": "{\"sky\": \"clear\"}"},
        assistant("3.5, and clear."), user("Thanks.")]},
    "reasoning": {"messages": [user("Think."), assistant("Done.", reasoning_content="Step 1.\nStep 2."), user("Again."),
                               assistant("<think>\nhm\n</think>\n\nDone again."), user("Last.")]},
    "quiet": {"messages": [user("Quick.")], "variables": {"enable_thinking": False, "custom": [1, 2.0, None, True, -0.5]}},
    "parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": "What is "}, {"type": "text", "text": "this?"}]},
                           assistant("A text."), user("Right.")]},
}


def render(source, conversation):
    messages = chat_template_utils._normalize_chat_messages(conversation["messages"])
    try:
        texts, _ = chat_template_utils.render_jinja_template(
            [messages], tools=conversation.get("tools"), chat_template=source,
            add_generation_prompt=conversation.get("add_generation_prompt", True),
            **TOKENS, **conversation.get("variables", {}))
        return texts[0]
    except Exception as error:
        return {"refused": type(error).__name__}


def digest(text):
    """FNV-1a of 64 bits."""
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:016x}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--trl", type=pathlib.Path)
    arguments = parser.parse_args()
    own = {}
    for path in sorted((OUT / "templates").glob("*.jinja")):
        source = path.read_bytes().decode()
        own[path.stem] = {name: render(source, conversation) for name, conversation in CONVERSATIONS.items()}
    golden = {"now": NOW, "tokens": TOKENS, "conversations": CONVERSATIONS, "rendered": own}
    (OUT / "golden.json").write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n")
    if arguments.trl:
        lines = []
        for path in sorted(arguments.trl.glob("*.jinja")):
            source = path.read_bytes().decode()
            results = [render(source, conversation) for conversation in CONVERSATIONS.values()]
            digests = ["refused" if isinstance(result, dict) else digest(result) for result in results]
            lines.append(" ".join([path.name, digest(source), *digests]))
        (OUT / "trl.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
