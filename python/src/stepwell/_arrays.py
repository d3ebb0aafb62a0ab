"""Arrays of numpy and torch in a safetensors file, which is a JSON header and plain bytes.

https://github.com/huggingface/safetensors#format. Numbers are little-endian. Nothing is pickled.
"""

from __future__ import annotations

import ctypes
import json
import os
import pathlib
import struct
import sys
from typing import Any, BinaryIO, Dict, List, Tuple

_TORCH = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
    "bool": "BOOL",
}
_NUMPY = {
    "f8": "F64",
    "f4": "F32",
    "f2": "F16",
    "i8": "I64",
    "i4": "I32",
    "i2": "I16",
    "i1": "I8",
    "u8": "U64",
    "u4": "U32",
    "u2": "U16",
    "u1": "U8",
    "b1": "BOOL",
}
_BITS = {"F64": 64, "I64": 64, "U64": 64, "F32": 32, "I32": 32, "U32": 32, "BF16": 16, "F16": 16, "I16": 16, "U16": 16}
_LARGEST_HEADER = 100 << 20
_CHUNK = 64 << 20

Entry = Tuple[str, str, List[int], Any]


def is_tensor(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def is_array(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic))


def entry(name: str, array: Any) -> Entry:
    """Name, type, shape and source of a tensor or array.

    Raises:
        TypeError: its type or layout has no plain bytes.
    """
    if is_tensor(array):
        import torch

        kind = _TORCH.get(str(array.dtype).rpartition(".")[2])
        if kind is None or array.layout != torch.strided or array.is_quantized or array.device.type == "meta":
            raise TypeError(f"`{name}` is a {array.layout} tensor of {array.dtype} on {array.device}, which has no plain bytes")
        if hasattr(array, "full_tensor"):
            raise TypeError(f"`{name}` is spread over processes: give `save` a function that writes it")
        return name, kind, list(array.shape), array.detach()
    dtype = array.dtype
    kind = _NUMPY.get(f"{dtype.kind}{dtype.itemsize}")
    if kind is None:
        raise TypeError(f"`{name}` is an array of {dtype}, which has no plain bytes")
    return name, kind, list(array.shape), array


def write(path: pathlib.Path, entries: List[Entry]) -> None:
    header: Dict[str, Any] = {}
    end = 0
    for name, kind, shape, _ in entries:
        start, end = end, end + _size(kind, shape)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, _, _, array in entries:
            _write_bytes(file, array)


def _write_bytes(file: BinaryIO, array: Any) -> None:
    if is_tensor(array):
        # One tensor at a time leaves its device. Without numpy, which torch may lack.
        tensor = array.cpu().resolve_conj().resolve_neg().contiguous()
        size = tensor.numel() * tensor.element_size()
        view = memoryview((ctypes.c_ubyte * size).from_address(tensor.data_ptr()) if size else b"")
    else:
        import numpy

        tensor = numpy.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        view = memoryview(tensor.tobytes() if tensor.size < 1024 else tensor.reshape(-1).view(numpy.uint8).data)
    for start in range(0, len(view), _CHUNK):
        file.write(view[start : start + _CHUNK])


class Reader:
    """The arrays of a file, by name."""

    def __init__(self, path: pathlib.Path) -> None:
        """
        Raises:
            ValueError: the file is damaged.
        """
        self._path = path
        self._file = open(path, "rb")
        try:
            self._start, self._header = self._read_header()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._file.close()

    def tensor(self, name: str) -> Any:
        """A torch tensor on the CPU."""
        import torch

        kind, shape, data = self._content(name)
        dtype = getattr(torch, next(dtype for dtype, known in _TORCH.items() if known == kind))
        if not data:
            return torch.empty(shape, dtype=dtype)
        return torch.frombuffer(data, dtype=torch.uint8).view(dtype).reshape(shape)

    def array(self, name: str) -> Any:
        """A writable numpy array."""
        import numpy

        kind, shape, data = self._content(name)
        dtype = next(dtype for dtype, known in _NUMPY.items() if known == kind)
        return numpy.frombuffer(data, dtype=f"<{dtype}").reshape(shape)

    def _read_header(self) -> Tuple[int, Dict[str, Any]]:
        length = os.fstat(self._file.fileno()).st_size
        (size,) = struct.unpack("<Q", self._read(8))
        if size > min(_LARGEST_HEADER, length - 8):
            raise self._damaged()
        header: Dict[str, Any] = json.loads(self._read(size))
        if any(entry["data_offsets"][1] > length - 8 - size for entry in header.values()):
            raise self._damaged()
        return 8 + size, header

    def _content(self, name: str) -> Tuple[str, List[int], bytearray]:
        about = self._header[name]
        start, end = about["data_offsets"]
        if end - start != _size(about["dtype"], about["shape"]):
            raise self._damaged()
        self._file.seek(self._start + start)
        data = bytearray(end - start)
        if self._file.readinto(data) != len(data):
            raise self._damaged()
        return about["dtype"], about["shape"], data

    def _read(self, size: int) -> bytes:
        data = self._file.read(size)
        if len(data) != size:
            raise self._damaged()
        return data

    def _damaged(self) -> ValueError:
        return ValueError(f"`{self._path}` is damaged")


def _size(kind: str, shape: List[int]) -> int:
    size = _BITS.get(kind, 8) // 8
    for length in shape:
        size *= length
    return size
