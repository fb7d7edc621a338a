"""Whether a file is a report as a service signed it: what ``python -m space verify`` finds out."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from space.contract import VerdictCode
from space.errors import SourceError
from space.service.share.folder import PICTURE_NAME
from space.service.share.signature import (
    KEY_FILE,
    KEY_VARIABLE,
    Outcome,
    PublicKey,
    SignedReport,
    load_signing_key,
    parse_public_key,
    read_signed,
)
from space.settings import MIB
from space.texts import FALLBACK_LANGUAGE, Param, render

SHARES_VARIABLE = "TELLTALE_SHARES"
STATUS = {"valid": 0, "altered": 3, "altered_picture": 3, "unknown_key": 4}  # exit status of the command
MAX_BYTES = 32 * MIB


@dataclass(frozen=True)
class Verification:
    """What is known about a signed report."""

    outcome: Outcome | Literal["altered_picture"]
    signed: SignedReport
    n_pictures: int  # beside the file, and as they were signed
    altered_picture: str | None = None  # name of the first that is not


def verify_file(path: Path, known: Collection[PublicKey]) -> Verification:
    """Check a signed report, and those of its pictures that lie beside it.

    Raises:
        SourceError: ``not_found`` or ``too_large``.
        ServiceError: ``not_signed``.
    """
    try:
        size_bytes = path.stat().st_size
        if size_bytes > MAX_BYTES:
            raise SourceError("too_large", actual_mb=size_bytes / MIB, limit_mb=MAX_BYTES // MIB)
        signed = read_signed(path.read_bytes())
    except OSError as error:
        raise SourceError("not_found", name=str(path)) from error
    outcome = signed.check(known)
    if outcome == "altered":
        return Verification(outcome, signed, 0)
    n_pictures = 0
    for name, checksum in signed.pictures.items():
        picture = path.parent / name
        if not PICTURE_NAME.fullmatch(name) or not picture.is_file():
            continue
        if hashlib.sha256(picture.read_bytes()).hexdigest() != checksum:
            return Verification("altered_picture", signed, n_pictures, altered_picture=name)
        n_pictures += 1
    return Verification(outcome, signed, n_pictures)


def describe(found: Verification, *, lang: str = FALLBACK_LANGUAGE) -> list[str]:
    """What was found, as lines for a person; of an altered report nothing is repeated."""
    if found.outcome == "altered":
        return [render("cli.verify.altered", lang=lang)]
    if found.outcome == "altered_picture":
        return [render("cli.verify.altered.picture", {"name": str(found.altered_picture)}, lang=lang)]
    lines = [render(f"cli.verify.{found.outcome}", {"fingerprint": found.signed.key.fingerprint}, lang=lang)]
    lines.append(_describe_report(found.signed, lang))
    if found.n_pictures:
        params: dict[str, Param] = {"n_pictures": found.n_pictures, "n_total": len(found.signed.pictures)}
        lines.append(render("cli.verify.pictures", params, lang=lang))
    return lines


def _describe_report(signed: SignedReport, lang: str) -> str:
    """What it says, in printable letters: a key nobody knows may have signed anything."""
    said = [str(signed.report.get(name, "")) for name in ("id", "created")]
    verdict = signed.report.get("verdict")
    code = verdict.get("code") if isinstance(verdict, dict) else None
    words = render(f"verdict.{code}", lang=lang) if code in get_args(VerdictCode) else "–"
    report_id, created = ("".join(letter for letter in text[:40] if letter.isprintable()) for text in said)
    return render("cli.verify.report", {"report_id": report_id, "created": created, "verdict": words}, lang=lang)


def known_keys(named: Sequence[str], environment: Mapping[str, str]) -> list[PublicKey]:
    """The keys a person vouches for, and that of a service set up on this machine.

    Args:
        named: public keys in base64 or hex, or files that hold one as the service publishes it.

    Raises:
        ValueError: one of ``named`` is neither.
        RequestError: ``bad_setting``: the service's own cannot be read.
    """
    keys = [parse_public_key(_read_named(text)) for text in named]
    seed, folder = environment.get(KEY_VARIABLE), environment.get(SHARES_VARIABLE)
    if seed or (folder and (Path(folder) / KEY_FILE).is_file()):
        keys.append(load_signing_key(Path(folder or "."), seed).public)
    return keys


def _read_named(text: str) -> str:
    path = Path(text)
    try:
        is_file = path.is_file()
    except OSError:  # too long for a name
        is_file = False
    return path.read_text(encoding="utf-8") if is_file else text
