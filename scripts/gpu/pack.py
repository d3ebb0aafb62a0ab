"""Strips and compresses the programs that cargo built, and says what the folder to carry holds.

Usage: pack.py MESSAGES FOLDER FEATURES PROFILE, with cargo's messages in JSON.
"""

import hashlib
import json
import lzma
import platform
import subprocess
import sys
from pathlib import Path

# What a machine without a network usually accepts.
LIMIT_MIB = 64


def executables(messages):
    """Paths of the program and of the tests of `stepwell-train`."""
    found = {}
    for line in messages.read_text().splitlines():
        message = json.loads(line)
        if message["reason"] != "compiler-artifact" or not message.get("executable"):
            continue
        target, test = message["target"], message["profile"]["test"]
        if target["kind"] == ["bin"] and target["name"] == "stepwell" and not test:
            found["stepwell"] = Path(message["executable"])
        if test and target["name"] == "stepwell_train":
            found["train-tests"] = Path(message["executable"])
    missing = {"stepwell", "train-tests"} - found.keys()
    if missing:
        sys.exit(f"cargo built no {' and no '.join(sorted(missing))}")
    return found


def pack(source, target):
    """Writes a stripped and compressed copy; returns its facts."""
    stripped = target.with_suffix(".stripped")
    subprocess.run(["strip", "-o", stripped, source], check=True)
    bytes_ = stripped.read_bytes()
    stripped.unlink()
    packed = lzma.compress(bytes_, preset=6)
    target.with_name(f"{target.name}.xz").write_bytes(packed)
    return {"bytes": len(bytes_), "packed_bytes": len(packed), "sha256": hashlib.sha256(bytes_).hexdigest()}


def commit():
    answer = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None


def main():
    messages, folder, features, profile = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    programs = folder / "bin"
    programs.mkdir()
    facts = {name: pack(path, programs / name) for name, path in executables(messages).items()}
    libc = " ".join(platform.libc_ver())
    manifest = {"commit": commit(), "features": features, "profile": profile, "built_with": libc, "programs": facts}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    for name, fact in facts.items():
        print(f"{name:<12} {fact['bytes'] / 2**20:6.1f} MiB, packed {fact['packed_bytes'] / 2**20:5.1f} MiB")
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20
    print(f"{total:.1f} MiB to carry in {folder}")
    if total > LIMIT_MIB:
        print(f"that is more than {LIMIT_MIB} MiB: leave out a backend (FEATURES=flex,cuda), or carry it in two turns")


if __name__ == "__main__":
    main()
