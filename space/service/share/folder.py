"""Shared reports on disk: one folder each, every file written once and never changed, gone when its time is over.

    <id>/report.json           the signed report
    <id>/pictures/<name>       what the report names
    <id>/share.json            when it was shared, until when, the deletion key's hash; written last, deleted first:
                               a share exists while this file does
    <id>/abuse-<random>.json   what a visitor complained about

Nothing is renamed, appended to or locked, so that the folder may be a mounted bucket. Whoever runs the service takes
a report away by deleting its folder.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from space.errors import ServiceError

DAY_S = 24 * 60 * 60
LIFETIME_S = 30 * DAY_S
ABANDONED_S = 60 * 60  # after which a share that was never finished is swept
ID_BYTES = 128 // 8  # the link is the only lock
TOKEN_BYTES = 128 // 8
MAX_COMPLAINTS = 20  # kept of one report; more would say no more
MAX_SHARES = 10_000  # at well under a megabyte each
RECORD = "share.json"

# As in report.schema.json, and no longer than a file's name may be.
PICTURE_NAME = re.compile(r"(?=.{5,200}\Z)[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*\.(jpg|png)")
_ID = re.compile(r"[0-9a-f]{32}")

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Record:
    """What is kept about a share beside the report itself."""

    id: str
    created_s: int  # seconds since the epoch
    expires_s: int
    token_sha256: str  # hex; the deletion key itself is not kept


def hash_token(token: str) -> str:
    """The only form in which a deletion key is kept; its 128 random bits need no slow hash."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class ShareFolder:
    """The folder of all shares."""

    root: Path
    _expires_s: dict[str, int] = field(default_factory=dict, init=False)  # by id: a sweep reads each record once

    def write(self, report: bytes, pictures: Mapping[str, bytes], *, now: float) -> tuple[Record, str]:
        """Keep a report and its pictures.

        Args:
            now: seconds since the epoch.

        Returns:
            What is kept about it, and the deletion key, which is not.

        Raises:
            ServiceError: ``share_failed``: it cannot be written, or there are ``MAX_SHARES`` already.
            ValueError: a picture's name is none.
        """
        if strange := [name for name in pictures if not PICTURE_NAME.fullmatch(name)]:
            raise ValueError(f"not a picture's name: {strange[0]!r}")
        if sum(1 for _ in self._ids()) >= MAX_SHARES:
            LOG.error("the share folder is full")
            raise ServiceError("share_failed")
        token = secrets.token_urlsafe(TOKEN_BYTES)
        record = Record(secrets.token_hex(ID_BYTES), int(now), int(now) + LIFETIME_S, hash_token(token))
        files = {f"pictures/{name}": picture for name, picture in pictures.items()}
        files |= {"report.json": report, RECORD: json.dumps(vars(record)).encode()}
        folder = self.root / record.id
        try:
            (folder / "pictures").mkdir(mode=0o700, parents=True)
            for name, content in files.items():
                _write_once(folder / name, content)
        except OSError as error:
            LOG.exception("a report could not be shared")
            shutil.rmtree(folder, ignore_errors=True)  # what cannot be deleted now is swept as abandoned
            raise ServiceError("share_failed") from error
        return record, token

    def find(self, share_id: str, *, now: float) -> Record:
        """What is kept about a share.

        Raises:
            ServiceError: ``report_unknown``: no id, no such share, deleted, or its time is over.
        """
        if not _ID.fullmatch(share_id):
            raise ServiceError("report_unknown")
        record = self._read_record(share_id)
        if record is None or now >= record.expires_s:
            raise ServiceError("report_unknown")
        return record

    def read_report(self, record: Record) -> bytes:
        """The signed report.

        Raises:
            ServiceError: ``report_unknown``: it is being deleted.
        """
        return self._read(record, "report.json", "report_unknown")

    def read_picture(self, record: Record, name: str) -> bytes:
        """A picture the report names.

        Raises:
            ServiceError: ``picture_unknown``.
        """
        if not PICTURE_NAME.fullmatch(name):
            raise ServiceError("picture_unknown")
        return self._read(record, f"pictures/{name}", "picture_unknown")

    def check_token(self, record: Record, token: str) -> None:
        """Compare a deletion key, in a time that says nothing about how much of it fits.

        Raises:
            ServiceError: ``bad_token``.
        """
        if not hmac.compare_digest(hash_token(token), record.token_sha256):
            raise ServiceError("bad_token")

    def remove(self, share_id: str) -> None:
        """Delete a share with all that belongs to it; what is already gone stays gone.

        Raises:
            ServiceError: ``report_unknown``: the id is none.
        """
        if not _ID.fullmatch(share_id):
            raise ServiceError("report_unknown")
        self._expires_s.pop(share_id, None)
        folder = self.root / share_id
        (folder / RECORD).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():  # a complaint came in between; nobody sees the share any more, and the sweep tries again
            LOG.warning("a deleted share has left something behind")

    def complain(self, record: Record, reason: str, *, now: float) -> bool:
        """Keep a visitor's complaint for whoever runs the service.

        Returns:
            Whether it was kept; beyond ``MAX_COMPLAINTS`` it is not.

        Raises:
            ServiceError: ``report_unknown``: it has just been deleted. ``share_failed``: it cannot be written.
        """
        folder = self.root / record.id
        if len(list(folder.glob("abuse-*.json"))) >= MAX_COMPLAINTS:
            return False
        content = json.dumps({"id": record.id, "reason": reason, "time_s": int(now)}).encode()
        try:
            _write_once(folder / f"abuse-{secrets.token_hex(8)}.json", content)
        except FileNotFoundError as error:
            raise ServiceError("report_unknown") from error
        except OSError as error:
            raise ServiceError("share_failed") from error
        LOG.warning("a visitor complained about a shared report (%s): see abuse-*.json in the share folder", reason)
        return True

    def sweep(self, *, now: float) -> int:
        """Delete shares whose time is over, and what was never finished.

        Args:
            now: seconds since the epoch.

        Returns:
            How many were deleted.
        """
        over = [share_id for share_id in self._ids() if self._is_over(share_id, now)]
        for share_id in over:
            self.remove(share_id)
        return len(over)

    def _ids(self) -> Iterator[str]:
        if self.root.is_dir():
            yield from (path.name for path in self.root.iterdir() if _ID.fullmatch(path.name))

    def _is_over(self, share_id: str, now: float) -> bool:
        expires_s = self._expires_s.get(share_id)
        if expires_s is None and (record := self._read_record(share_id)) is not None:
            expires_s = self._expires_s.setdefault(share_id, record.expires_s)
        if expires_s is not None:
            return now >= expires_s
        try:
            return now - (self.root / share_id).stat().st_mtime > ABANDONED_S
        except FileNotFoundError:  # deleted in the meantime
            return False

    def _read_record(self, share_id: str) -> Record | None:
        try:
            content = (self.root / share_id / RECORD).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            return Record(**json.loads(content))
        except (ValueError, TypeError):  # a file that broke off: as if never finished
            LOG.exception("a share's record cannot be read")
            return None

    def _read(self, record: Record, name: str, code: str) -> bytes:
        try:
            return (self.root / record.id / name).read_bytes()
        except FileNotFoundError as error:
            raise ServiceError(code) from error


def _write_once(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
