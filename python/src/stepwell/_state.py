"""The state of a script as files: plain data in `state.json`, arrays in `arrays.safetensors`.

A checkpoint holds data only. To read one runs no code and needs no pickle, and other programs can read the arrays.
"""

from __future__ import annotations

import base64
import collections
import json
import pathlib
import sys
from typing import Any, Dict, List, Mapping, Optional

from . import _arrays

STATE = "state.json"
ARRAYS = "arrays.safetensors"
# Marks an object of the file that stands for something else than a dict with text as keys.
_TAG = "!"


def write(folder: pathlib.Path, state: Mapping[Any, Any]) -> None:
    """Writes a state. A value with a `state_dict` method is replaced by its result.

    Raises:
        TypeError: something in it is neither plain data nor an array. The message says where.
    """
    writer = _Writer()
    text = json.dumps(writer.encode(dict(state), ""))
    if writer.entries:
        _arrays.write(folder / ARRAYS, writer.entries)
    (folder / STATE).write_text(text, encoding="utf-8")


def read(folder: pathlib.Path) -> Optional[Dict[Any, Any]]:
    """Reads a state; None if the folder has none."""
    path = folder / STATE
    if not path.exists():
        return None
    arrays = _arrays.Reader(folder / ARRAYS) if (folder / ARRAYS).exists() else None
    try:
        state: Dict[Any, Any] = _decode(json.loads(path.read_text(encoding="utf-8")), arrays)
        return state
    finally:
        if arrays is not None:
            arrays.close()


class _Writer:
    def __init__(self) -> None:
        self.entries: List[_arrays.Entry] = []
        self._names: Dict[str, int] = {}

    def encode(self, value: Any, path: str) -> Any:
        if _arrays.is_tensor(value) or _arrays.is_array(value):
            return self._array(value, path)
        # numpy's float64 is a float too, so arrays come first. A subclass, such as an enum, would come back as another type.
        if value is None or type(value) in (bool, int, float, str):
            return value
        if callable(getattr(value, "state_dict", None)) and not isinstance(value, type):
            return self.encode(value.state_dict(), path)
        if isinstance(value, collections.Counter):
            return {_TAG: "counter", "of": self._pairs(value, path)}
        if isinstance(value, Mapping):
            if all(type(key) is str for key in value) and _TAG not in value:
                return {key: self.encode(item, f"{path}.{key}" if path else key) for key, item in value.items()}
            return {_TAG: "dict", "of": self._pairs(value, path)}
        if type(value) is list:
            return self._items(value, path)
        if type(value) in (tuple, _torch_size()):
            return {_TAG: "tuple", "of": self._items(value, path)}
        if type(value) is set:
            return {_TAG: "set", "of": self._items(value, path)}
        if isinstance(value, (bytes, bytearray)):
            return {_TAG: "bytes", "of": base64.b64encode(value).decode("ascii")}
        if type(value) is complex:
            return {_TAG: "complex", "of": [value.real, value.imag]}
        raise TypeError(
            f"the state `{path}` is {type(value).__name__}, which is neither plain data nor an array: "
            "leave it out, or give `save` a function that writes it into a folder"
        )

    def _items(self, values: Any, path: str) -> List[Any]:
        return [self.encode(item, f"{path}.{index}") for index, item in enumerate(values)]

    def _pairs(self, values: Mapping[Any, Any], path: str) -> List[List[Any]]:
        return [[self.encode(key, path), self.encode(item, f"{path}.{key}")] for key, item in values.items()]

    def _array(self, value: Any, path: str) -> Dict[str, Any]:
        library = "tensor" if _arrays.is_tensor(value) else "array" if hasattr(value, "__setitem__") else "scalar"
        kind = "complex" if _is_complex(value) else "real"
        # Two different keys may have the same text.
        self._names[path] = count = self._names.get(path, 0) + 1
        name = path if count == 1 else f"{path}#{count}"
        self.entries.append(_arrays.entry(name, _as_real(value) if kind == "complex" else value))
        return {_TAG: library, "of": name, "kind": kind}


def _decode(value: Any, arrays: Optional[_arrays.Reader]) -> Any:
    if isinstance(value, list):
        return [_decode(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if _TAG not in value:
        return {key: _decode(item, arrays) for key, item in value.items()}
    tag, content = value[_TAG], value["of"]
    if tag in ("tensor", "array", "scalar"):
        if arrays is None:
            raise ValueError(f"`{ARRAYS}` is missing")
        array = arrays.tensor(content) if tag == "tensor" else arrays.array(content)
        if value["kind"] == "complex":
            array = _as_complex(array)
        return array[()] if tag == "scalar" else array
    if tag == "bytes":
        return base64.b64decode(content)
    items = _decode(content, arrays)
    if tag == "tuple":
        return tuple(items)
    if tag == "set":
        return set(items)
    if tag == "complex":
        return complex(*items)
    pairs = {key: item for key, item in items}
    if tag == "counter":
        return collections.Counter(pairs)
    if tag == "dict":
        return pairs
    raise ValueError(f"`{STATE}` has an unknown part {tag!r}: it is from a newer version of this package")


def _torch_size() -> Any:
    torch = sys.modules.get("torch")
    return torch.Size if torch is not None else tuple


def _is_complex(value: Any) -> bool:
    return bool(value.is_complex()) if _arrays.is_tensor(value) else value.dtype.kind == "c"


def _as_real(value: Any) -> Any:
    if _arrays.is_tensor(value):
        import torch

        return torch.view_as_real(value.detach().resolve_conj())
    import numpy

    value = numpy.ascontiguousarray(value).reshape(value.shape)
    return value[..., None].view(value.real.dtype)


def _as_complex(value: Any) -> Any:
    if _arrays.is_tensor(value):
        import torch

        return torch.view_as_complex(value)
    return value.view(f"c{2 * value.dtype.itemsize}")[..., 0]
