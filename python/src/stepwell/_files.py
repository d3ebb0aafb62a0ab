"""Files that another process reads while they are written."""

from __future__ import annotations

import os
import pathlib
import shutil


def replace(path: pathlib.Path, text: str) -> None:
    """Writes the whole file or nothing: a reader never sees a part of it."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def append(path: pathlib.Path, line: str) -> None:
    """Appends a line. If the disk is full, takes back what was written of it."""
    data = line.encode("utf-8") + b"\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        written = 0
        try:
            while written < len(data):
                written += os.write(descriptor, data[written:])
        except OSError:
            if written:
                os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
            raise
    finally:
        os.close(descriptor)


def copy_folder(source: pathlib.Path, target: pathlib.Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True)


def link_folder(source: pathlib.Path, target: pathlib.Path) -> None:
    """Like `copy_folder`, by hard links where the file system has them. A file that is changed in place changes in both."""
    shutil.copytree(source, target, copy_function=_link_or_copy, dirs_exist_ok=True)


def _link_or_copy(source: "str | os.PathLike[str]", target: "str | os.PathLike[str]") -> None:
    try:
        os.link(os.path.realpath(source), target)
    except OSError:
        shutil.copy2(source, target)
