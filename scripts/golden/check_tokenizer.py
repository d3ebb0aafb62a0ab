"""Checks that Stepwell's token ids equal those of Python `tokenizers`.

usage: check_tokenizer.py TOKENIZER_JSON TEXT IDS_JSON [--lines N] [--special]

Takes the first N (1,000) non-empty lines of TEXT as Rust's `str::lines` gives them (split at \\n, one
trailing \\r removed, a line of zero bytes is empty) and compares with IDS_JSON, a list of lists of ids.
Exits 0 when all are equal, 1 with the first difference, 2 when an input cannot be used.
"""

import argparse
import json
import sys
from pathlib import Path

from tokenizers import Tokenizer


def non_empty_lines(path, limit):
    text = Path(path).read_bytes().decode("utf-8")
    lines = (line.removesuffix("\r") for line in text.split("\n"))
    return [line for line in lines if line][:limit]


def first_difference(left, right):
    for index, (a, b) in enumerate(zip(left, right)):
        if a != b:
            return index
    return min(len(left), len(right))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizer")
    parser.add_argument("text")
    parser.add_argument("ids")
    parser.add_argument("--lines", type=int, default=1000, help="how many non-empty lines are compared")
    parser.add_argument("--special", action="store_true", help="apply the post-processor (BOS, EOS) of the tokenizer")
    args = parser.parse_args()
    try:
        tokenizer = Tokenizer.from_file(args.tokenizer)
        lines = non_empty_lines(args.text, args.lines)
        ours = json.loads(Path(args.ids).read_text(encoding="utf-8"))
    except Exception as error:
        print(f"cannot read the input: {error}", file=sys.stderr)
        return 2
    if not lines:
        print(f"{args.text} has no line to compare", file=sys.stderr)
        return 2
    if len(ours) != len(lines):
        print(f"stepwell gave ids of {len(ours)} lines, {args.text} has {len(lines)}")
        return 1
    tokens = 0
    for number, (line, got) in enumerate(zip(lines, ours), start=1):
        wanted = tokenizer.encode(line, add_special_tokens=args.special).ids
        if wanted != got:
            at = first_difference(wanted, got)
            print(f"line {number} of the non-empty lines differs at token {at}: {line!r}")
            print(f"  tokenizers: {wanted[at:at + 8]} {[tokenizer.id_to_token(i) for i in wanted[at:at + 8]]}")
            print(f"  stepwell:   {got[at:at + 8]} {[tokenizer.id_to_token(i) for i in got[at:at + 8]]}")
            return 1
        tokens += len(wanted)
    print(f"{len(lines)} lines, {tokens} tokens: equal")
    return 0


if __name__ == "__main__":
    sys.exit(main())
