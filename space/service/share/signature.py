"""Signatures over reports: Ed25519 (RFC 8032) over canonical JSON, so that anybody can see who made a report.

A signed report is a document of its own:

    {"format": "telltale-signed-report", "version": 1,
     "report": {…}, "pictures": {name: sha256 in hex},
     "signature": {"algorithm": "Ed25519", "public_key": base64, "value": base64}}

Signed is ``REPORT_CONTEXT`` followed by the canonical JSON of everything but ``signature``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from space.errors import RequestError, ServiceError
from space.service.share.canonical import canonical_json

ALGORITHM = "Ed25519"
FORMAT, VERSION = "telltale-signed-report", 1
REPORT_CONTEXT = b"telltale signed report 1\n"  # a signature for one purpose is none for another
KEY_BYTES, SIGNATURE_BYTES = 32, 64
KEY_VARIABLE = "TELLTALE_SIGNING_KEY"
KEY_FILE = "signing.key"

Outcome = Literal["valid", "altered", "unknown_key"]


@dataclass(frozen=True)
class PublicKey:
    """What a signature is checked with."""

    raw: bytes  # 32 bytes

    @property
    def text(self) -> str:
        """In base64."""
        return base64.b64encode(self.raw).decode("ascii")

    @property
    def fingerprint(self) -> str:
        """The start of its SHA-256 in four groups, for people who compare it with another."""
        digits = hashlib.sha256(self.raw).hexdigest()[:16]
        return " ".join(digits[start : start + 4] for start in range(0, 16, 4))

    def fits(self, signature: bytes, message: bytes) -> bool:
        """Whether a signature of this key belongs to a message."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except (InvalidSignature, ValueError):  # ValueError: bytes that are no key
            return False
        return True

    def to_json(self) -> dict[str, str]:
        """What the service publishes."""
        return {"algorithm": ALGORITHM, "public_key": self.text, "fingerprint": self.fingerprint}


class SigningKey:
    """What signs; it never leaves this process, but for its file."""

    def __init__(self, seed: bytes, *, is_given: bool = False) -> None:
        """Make the key of a seed.

        Args:
            seed: 32 random bytes.
            is_given: by a setting, so that it is the same after a restart, wherever its file would have lain.
        """
        self.is_given = is_given
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = PublicKey(self._key.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """64 bytes; the same for the same message."""
        return self._key.sign(message)


def load_signing_key(folder: Path, text: str | None = None) -> SigningKey:
    """The service's key: from its setting, else from its file, which is made where there is none.

    Args:
        folder: where the file lies, readable by this account alone; written once.
        text: 32 random bytes in base64 or hex, as ``openssl rand -base64 32`` makes them.

    Raises:
        RequestError: ``bad_setting``: no such 32 bytes.
    """
    if text:
        return SigningKey(_parse_seed(text, KEY_VARIABLE), is_given=True)
    path = folder / KEY_FILE
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return SigningKey(_parse_seed(path.read_text(encoding="ascii", errors="replace"), KEY_FILE))
    seed = os.urandom(KEY_BYTES)
    with os.fdopen(handle, "wb") as file:
        file.write(base64.b64encode(seed) + b"\n")
    return SigningKey(seed)


def _parse_seed(text: str, name: str) -> bytes:
    try:
        seed = _decode_32(text)
    except ValueError:
        # never the value itself: it is a secret
        raise RequestError("bad_setting", name=name, value="…") from None
    return seed


def parse_public_key(text: str) -> PublicKey:
    """A public key in base64 or hex, or the JSON document the service publishes.

    Raises:
        ValueError: none of these.
    """
    if text.lstrip().startswith("{"):
        document = json.loads(text)
        text = str(document.get("public_key", ""))
    return PublicKey(_decode_32(text))


def _decode_32(text: str) -> bytes:
    text = text.strip()
    raw = bytes.fromhex(text) if len(text) == 2 * KEY_BYTES else base64.b64decode(text, validate=True)
    if len(raw) != KEY_BYTES:
        raise ValueError(f"{len(raw)} bytes instead of {KEY_BYTES}")
    return raw


# --- signed reports ---------------------------------------------------------------------------


@dataclass(frozen=True)
class SignedReport:
    """A signed report taken apart; nothing is said yet about whether the signature fits."""

    report: Mapping[str, Any]
    pictures: Mapping[str, str]  # name -> sha256, hex
    key: PublicKey  # the one it names
    signature: bytes
    message: bytes  # what is signed

    def check(self, known: Collection[PublicKey]) -> Outcome:
        """Whether it is unaltered, and signed with one of the known keys."""
        if not self.key.fits(self.signature, self.message):
            return "altered"
        return "valid" if self.key in known else "unknown_key"


def sign_report(report: Mapping[str, Any], pictures: Mapping[str, bytes], key: SigningKey) -> dict[str, Any]:
    """A report with its pictures' checksums and a signature over both.

    Args:
        report: as the report's JSON door makes it.
        pictures: name -> encoded bytes.
    """
    body = {
        "format": FORMAT,
        "version": VERSION,
        "report": dict(report),
        "pictures": {name: hashlib.sha256(picture).hexdigest() for name, picture in sorted(pictures.items())},
    }
    value = key.sign(REPORT_CONTEXT + canonical_json(body))
    signature = {
        "algorithm": ALGORITHM,
        "public_key": key.public.text,
        "value": base64.b64encode(value).decode("ascii"),
    }
    return {**body, "signature": signature}


def read_signed(text: str | bytes) -> SignedReport:
    """Take a signed report apart.

    Raises:
        ServiceError: ``not_signed``: it is none.
    """
    try:
        return _take_apart(json.loads(text, object_pairs_hook=_refuse_twice))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ServiceError("not_signed") from error


def _take_apart(document: Any) -> SignedReport:
    body = dict(document)
    signature = body.pop("signature")
    if set(body) != {"format", "version", "report", "pictures"} or set(signature) != {
        "algorithm",
        "public_key",
        "value",
    }:
        raise ValueError("not the members of a signed report")
    if (body["format"], body["version"], signature["algorithm"]) != (FORMAT, VERSION, ALGORITHM):
        raise ValueError("another format")
    if not isinstance(body["report"], dict) or not isinstance(body["pictures"], dict):
        raise TypeError("no report")
    return SignedReport(
        report=body["report"],
        pictures={name: str(checksum) for name, checksum in body["pictures"].items()},
        key=PublicKey(base64.b64decode(signature["public_key"], validate=True)),
        signature=base64.b64decode(signature["value"], validate=True),
        message=REPORT_CONTEXT + canonical_json(body),
    )


def _refuse_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A key that stands twice is read differently by different programs."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key stands twice")
    return members
