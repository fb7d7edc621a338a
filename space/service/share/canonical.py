"""A JSON document as the one sequence of bytes that is signed (RFC 8785, JSON Canonicalization Scheme).

Keys in order, no spaces, numbers as JavaScript writes them: so a document that was parsed and written anew by
another program, in another order or layout, still fits its signature.
"""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

MAX_SAFE_INTEGER = 2**53 - 1  # beyond it a double, and so JavaScript, no longer tells neighbours apart
MAX_INTEGER_DIGITS = 21  # beyond them JavaScript writes an exponent
MAX_DEPTH = 64


def canonical_json(value: Any) -> bytes:
    """The canonical form of a document of dicts, lists, strings, numbers, booleans and None.

    Raises:
        ValueError: something without a canonical form: NaN, infinity, an integer that no double is written as, half
            of a surrogate pair, a key that is no string, another type, nesting beyond ``MAX_DEPTH``.
    """
    return _write(value, 0).encode()  # UnicodeEncodeError, for half a pair, is a ValueError


def _write(value: Any, depth: int) -> str:
    if depth > MAX_DEPTH:
        raise ValueError("nested too deeply")
    if isinstance(value, dict):
        return _write_object(value, depth)
    if isinstance(value, list):
        return f"[{','.join(_write(item, depth + 1) for item in value)}]"
    return _write_plain(value)


def _write_object(value: dict[Any, Any], depth: int) -> str:
    if not all(isinstance(key, str) for key in value):
        raise ValueError("a key that is no string")
    keys = sorted(value, key=lambda key: key.encode("utf-16-be"))  # RFC 8785, 3.2.3: by UTF-16 code units
    return f"{{{','.join(f'{_write_plain(key)}:{_write(value[key], depth + 1)}' for key in keys)}}}"


def _write_plain(value: Any) -> str:
    if value is None or isinstance(value, bool | str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int):
        return _write_integer(value)
    if isinstance(value, float):
        return _write_float(value)
    raise ValueError(f"{type(value).__name__} has no place in JSON")


def _write_integer(value: int) -> str:
    if abs(value) <= MAX_SAFE_INTEGER:
        return str(value)
    if abs(value) < 10**MAX_INTEGER_DIGITS and int(_write_float(float(value))) == value:  # a float, read back
        return str(value)
    raise ValueError("an integer beyond what a double tells from its neighbours")


def _write_float(value: float) -> str:
    """ECMAScript's Number::toString: the shortest digits that read back as the same double."""
    if not math.isfinite(value):
        raise ValueError(f"{value} is not a finite number")
    if value == 0:
        return "0"  # also for -0.0
    _, digit_tuple, power = Decimal(repr(abs(value))).normalize().as_tuple()
    assert isinstance(power, int)
    digits = "".join(map(str, digit_tuple))
    point = len(digits) + power  # the decimal point's place, counted from the first digit
    return ("-" if value < 0 else "") + _place_point(digits, point)


def _place_point(digits: str, point: int) -> str:
    if len(digits) <= point <= MAX_INTEGER_DIGITS:
        return digits.ljust(point, "0")
    if 0 < point <= MAX_INTEGER_DIGITS:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}e{point - 1:+d}"
