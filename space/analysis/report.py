"""The report at the JSON door: frozen records on this side, one document of ``shared/report.schema.json`` on the other.

Tuples become lists, NumPy scalars become plain numbers, and measured numbers are rounded, here and nowhere earlier.
"""

from __future__ import annotations

import json
import math
import secrets
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from space.contract import Report, Text
from space.settings import SHARED

# What float32 arithmetic can vouch for. Rounding is monotone and keeps 0 and 1, so ranges and orders survive it.
SIGNIFICANT_DIGITS = 6

REPORT_ID_BYTES = 128 // 8


class InvalidReportError(ValueError):
    """A document that is not a report; says where and why."""


def new_report_id() -> str:
    """128 random bits as 32 hex digits: unguessable, because a shared report's link is its only lock."""
    return secrets.token_hex(REPORT_ID_BYTES)


def to_json(report: Report) -> dict[str, Any]:
    """A report as a JSON document of dicts, lists, strings, numbers, booleans and None.

    Floats are rounded to ``SIGNIFICANT_DIGITS``; the parameters of texts are not, because their English
    rendering stands beside them. ``to_json(from_json(document)) == document`` for every document made here.

    Raises:
        InvalidReportError: NaN or infinity, or a value JSON has no word for (such as an array).
    """
    document: dict[str, Any] = _encode(report, "report", rounded=True)
    return document


def from_json(document: Mapping[str, Any]) -> Report:
    """The report a JSON document holds.

    Raises:
        InvalidReportError: the document does not follow the schema.
    """
    validate(document)
    report: Report = _decode(Report, document)
    return report


def validate(document: Mapping[str, Any]) -> None:
    """Hold a JSON document against ``shared/report.schema.json``.

    Raises:
        InvalidReportError: with the place and the complaint closest to the cause.
    """
    error = best_match(_validator().iter_errors(document))
    if error is not None:
        raise InvalidReportError(f"{error.json_path}: {error.message}") from error
    _refuse_not_finite(document, "report")


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(json.loads((SHARED / "report.schema.json").read_text(encoding="utf-8")))


def _refuse_not_finite(value: Any, place: str) -> None:
    """The schema cannot: to it NaN and infinity are numbers, and Python's own JSON reader lets both in."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            _refuse_not_finite(item, f"{place}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_not_finite(item, f"{place}[{index}]")
    elif isinstance(value, float) and not math.isfinite(value):
        raise InvalidReportError(f"{place}: {value} is not a finite number")


def _encode(value: Any, place: str, *, rounded: bool) -> Any:
    if is_dataclass(value):
        exact = isinstance(value, Text)
        return {
            item.name: _encode(getattr(value, item.name), f"{place}.{item.name}", rounded=rounded and not exact)
            for item in fields(value)
        }
    if isinstance(value, Mapping):
        return {_key(key, place): _encode(item, f"{place}.{key}", rounded=rounded) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_encode(item, f"{place}[{index}]", rounded=rounded) for index, item in enumerate(value)]
    return _encode_plain(value, place, rounded=rounded)


def _encode_plain(value: Any, place: str, *, rounded: bool) -> str | float | bool | None:
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float):
        return _encode_float(value, place, rounded=rounded)
    if value is None or isinstance(value, str | int):
        return value
    raise InvalidReportError(f"{place}: {type(value).__name__} has no place in a report")


def _key(key: Any, place: str) -> str:
    if not isinstance(key, str):
        raise InvalidReportError(f"{place}: the key {key!r} is not a string")
    return key


def _encode_float(value: float, place: str, *, rounded: bool) -> float:
    if not math.isfinite(value):
        raise InvalidReportError(f"{place}: {value} is not a finite number")
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}") if rounded else value


def _decode(kind: Any, value: Any) -> Any:
    """Build what a field's annotation asks for; the value has already passed the schema."""
    if isinstance(kind, type) and is_dataclass(kind):
        # what the schema does not require was added after 1.0 and is missing in older reports
        return kind(**{name: _decode(hint, value[name]) for name, hint in _hints(kind).items() if name in value})
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return value
    if origin in (Union, types.UnionType):
        return _decode_union(args, value)
    if origin is tuple:
        item_kinds = [args[0]] * len(value) if args[-1] is Ellipsis else args
        return tuple(_decode(item_kind, item) for item_kind, item in zip(item_kinds, value, strict=True))
    if origin is list:
        return [_decode(args[0], item) for item in value]
    if origin is not None and issubclass(origin, Mapping):
        return {key: _decode(args[1], item) for key, item in value.items()}
    if kind in (int, float):  # JSON writes 2.0 as 2 and back; the records tell them apart
        return kind(value)
    return value


def _decode_union(kinds: tuple[Any, ...], value: Any) -> Any:
    """``X | None`` is X or None; a text's parameter (str, int, float or list) is already what it is."""
    if value is None:
        return None
    present = [kind for kind in kinds if kind is not types.NoneType]
    return _decode(present[0], value) if len(present) == 1 else value


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
