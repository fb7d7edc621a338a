"""A report inside its own link: compressed, signed, no longer than a browser's address line takes.

It needs no storage, so it cannot be deleted; it carries no pictures, and it is not shown after its time.
The payload is base64url of: one byte for the layout, the signature over the rest, the rest as a zlib stream of JSON.
"""

from __future__ import annotations

import base64
import json
import types
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from space.contract import Text
from space.errors import ServiceError
from space.service.share.signature import SIGNATURE_BYTES, PublicKey, SigningKey
from space.service.share.story import Point, Story
from space.texts import make_text

# Grows whenever a field of ``Story``, or of a record in it, goes or changes its place. New ones come last and have a
# default, which is what an older link has in them.
LAYOUT = 1
LINK_CONTEXT = b"telltale link 1\n"
MAX_CHARS = 2000
MAX_JSON_BYTES = 64 * 1024  # what a payload may unpack to
DETAILS = ((32, 6), (16, 6), (12, 4), (8, 3), (2, 2))  # (points per person, people) kept, from most to least
DIGITS = 3  # after the point: a millisecond, a tenth of a percent


def write_link(story: Story, key: SigningKey) -> str:
    """A story as the payload of a link, without its pictures and with as many points as there is room for.

    Raises:
        ServiceError: ``share_failed``: no room even for the least.
    """
    for smaller in _shorten(story):
        text = json.dumps(_pack(smaller), separators=(",", ":"), ensure_ascii=False)
        body = zlib.compress(text.encode(), 9)
        signature = key.sign(LINK_CONTEXT + bytes([LAYOUT]) + body)
        payload = base64.urlsafe_b64encode(bytes([LAYOUT]) + signature + body).decode("ascii").rstrip("=")
        if len(payload) <= MAX_CHARS:
            return payload
    raise ServiceError("share_failed")


def read_link(payload: str, key: PublicKey) -> Story:
    """The story in a payload; nothing is unpacked before its signature fits.

    Raises:
        ServiceError: ``bad_signature``: altered, cut off, signed by another, or of another layout.
    """
    try:
        body = _open(payload, key)
        story = _unpack(Story, json.loads(body))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, zlib.error) as error:
        raise ServiceError("bad_signature") from error
    assert isinstance(story, Story)
    return story


def _open(payload: str, key: PublicKey) -> bytes:
    if len(payload) > MAX_CHARS or not payload.isascii():
        raise ValueError("not a payload")
    raw = base64.b64decode(payload + "=" * (-len(payload) % 4), altchars=b"-_", validate=True)
    if base64.urlsafe_b64encode(raw).decode("ascii").rstrip("=") != payload:
        raise ValueError("written in another way than ours")
    layout, signature, body = raw[:1], raw[1 : 1 + SIGNATURE_BYTES], raw[1 + SIGNATURE_BYTES :]
    if layout != bytes([LAYOUT]) or not key.fits(signature, LINK_CONTEXT + layout + body):
        raise ValueError("another layout, or not our signature")
    stream = zlib.decompressobj()
    text = stream.decompress(body, MAX_JSON_BYTES)
    if not stream.eof or stream.unconsumed_tail or stream.unused_data:
        raise ValueError("too much, or cut off")
    return text


# --- what is left out -------------------------------------------------------------------------


def _shorten(story: Story) -> Iterator[Story]:
    """The story without pictures, shorter every time."""
    moments = tuple(replace(moment, crop=None, overlay=None, maps={}) for moment in story.moments)
    for n_points, n_people in DETAILS:
        strongest = sorted(story.people, key=lambda person: -(person.verdict.p_fake or 0.0))[:n_people]
        kept = {person.track for person in strongest}
        people = tuple(
            replace(person, thumbnail=None, points=thin_out(person.points, n_points))
            for person in story.people
            if person.track in kept
        )
        yield replace(story, moments=moments, people=people)


def thin_out(points: tuple[Point, ...], n_points: int) -> tuple[Point, ...]:
    """At most ``n_points`` (two or more), evenly chosen, the first, the last and the highest always among them."""
    if len(points) <= n_points:
        return points
    highest = max(range(len(points)), key=lambda index: points[index].p_fake)
    n_even = max(n_points - 1, 2)
    chosen = {round(step * (len(points) - 1) / (n_even - 1)) for step in range(n_even)}
    if n_points > 2:
        chosen.add(highest)
    return tuple(points[index] for index in sorted(chosen))


# --- records as lists of their values ---------------------------------------------------------


def _pack(value: Any) -> Any:
    if isinstance(value, Text):
        return [value.id, _pack(value.params)]
    if is_dataclass(value):
        return [_pack(getattr(value, item.name)) for item in fields(value)]
    if isinstance(value, Mapping):
        return {key: _pack(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_pack(item) for item in value]
    return round(value, DIGITS) if isinstance(value, float) else value


def _unpack(kind: Any, value: Any) -> Any:
    if kind is Text:
        text_id, params = value
        return make_text(text_id, **params)
    if isinstance(kind, type) and is_dataclass(kind):
        hints = _hints(kind)
        if len(value) > len(hints):
            raise ValueError(f"a {kind.__name__} has no more than {len(hints)} fields")
        return kind(**{name: _unpack(hint, item) for (name, hint), item in zip(hints, value, strict=False)})
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return None if value is None else _unpack(args[0], value)
    return _unpack_plain(kind, value) if origin in (None, Literal) else _unpack_many(origin, args, value)


def _unpack_many(origin: type, args: tuple[Any, ...], value: Any) -> Any:
    if issubclass(origin, Mapping):
        return {key: _unpack(args[1], item) for key, item in value.items()}
    kinds = [args[0]] * len(value) if args[-1] is Ellipsis else args
    return tuple(_unpack(kind, item) for kind, item in zip(kinds, value, strict=True))


def _unpack_plain(kind: Any, value: Any) -> Any:
    if kind is float:  # JSON writes 2.0 as 2
        return float(value)
    if isinstance(kind, type) and not isinstance(value, kind):
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value


@cache
def _hints(kind: type) -> tuple[tuple[str, Any], ...]:
    return tuple(get_type_hints(kind).items())
