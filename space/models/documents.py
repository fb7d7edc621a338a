"""Frozen records from JSON documents, strictly, and back."""

from __future__ import annotations

import sys
import types
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


class InvalidDocumentError(ValueError):
    """A document that does not hold the record asked for; says where and why."""


def encode(record: Any) -> Any:
    """A record as dicts, lists and plain values."""
    if is_dataclass(record):
        return {item.name: encode(getattr(record, item.name)) for item in fields(record)}
    if isinstance(record, tuple):
        return [encode(item) for item in record]
    return record


def decode(kind: Any, value: Any, place: str) -> Any:
    """The value that a field's annotation asks for, from what JSON holds.

    Fields with a default may be absent. Integers pass as floats; nothing else is converted.

    Args:
        kind: a dataclass, ``str``, ``bool``, ``int``, ``float``, a ``Literal``, a tuple, or a union with None.
        place: where the value stands, for the complaint.

    Raises:
        InvalidDocumentError: with the place and what is wrong there.
    """
    if is_dataclass(kind):
        return _decode_record(kind, value, place)
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _decode_optional(kind, value, place)
    if origin is tuple:
        return _decode_tuple(kind, value, place)
    if origin is Literal:
        if value not in get_args(kind):
            raise InvalidDocumentError(f"{place}: {value!r} is none of {', '.join(get_args(kind))}")
        return value
    return _decode_plain(kind, value, place)


def _decode_record(kind: Any, value: Any, place: str) -> Any:
    if not isinstance(value, dict):
        raise InvalidDocumentError(f"{place}: not an object")
    known = {item.name: item for item in fields(kind)}
    needed = {name for name, item in known.items() if item.default is MISSING}
    if unknown := sorted(value.keys() - known.keys()):
        raise InvalidDocumentError(f"{place}: unknown field {', '.join(unknown)}")
    if missing := sorted(needed - value.keys()):
        raise InvalidDocumentError(f"{place}: missing field {', '.join(missing)}")
    hints = get_type_hints(kind)
    items = {name: decode(hints[name], item, f"{place}.{name}") for name, item in value.items()}
    try:
        return kind(**items)
    except ValueError as error:
        raise InvalidDocumentError(f"{place}: {error}") from error


def _decode_optional(kind: Any, value: Any, place: str) -> Any:
    if value is None:
        return None
    (inner,) = (item for item in get_args(kind) if item is not types.NoneType)
    return decode(inner, value, place)


def _decode_tuple(kind: Any, value: Any, place: str) -> Any:
    if not isinstance(value, list):
        raise InvalidDocumentError(f"{place}: not a list")
    kinds = get_args(kind)
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise InvalidDocumentError(f"{place}: {len(value)} items, not {len(kinds)}")
    return tuple(decode(item, part, f"{place}[{i}]") for i, (item, part) in enumerate(zip(kinds, value, strict=True)))


def _decode_plain(kind: Any, value: Any, place: str) -> Any:
    if kind is float and type(value) in (int, float):
        if not abs(value) <= sys.float_info.max:  # NaN, infinity, or an integer beyond any float
            raise InvalidDocumentError(f"{place}: not a finite number")
        return float(value)
    if type(value) is not kind:  # a bool is an int to isinstance
        raise InvalidDocumentError(f"{place}: {value!r} is not of type {kind.__name__}")
    return value
