"""Shared reports: kept for 30 days behind a link nobody can guess, signed, deleted by whoever has the key for it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from space.analysis.report import InvalidReportError, from_json, to_json
from space.contract import Analysis, Report
from space.errors import ServiceError
from space.service.share.folder import LIFETIME_S, Record, ShareFolder
from space.service.share.link import read_link, write_link
from space.service.share.pages import Forms, Place, render_message, render_story
from space.service.share.preview import draw_preview
from space.service.share.recent import Recent
from space.service.share.signature import PublicKey, SigningKey, read_signed, sign_report
from space.service.share.story import Story, tell
from space.service.views import iso_time
from space.texts import FALLBACK_LANGUAGE

MAX_PICTURE_BYTES = 2 * 1024 * 1024
SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")  # of JPEG and PNG
N_RECENT_STORIES = 32
N_RECENT_PREVIEWS = 64  # about 100 kB each
REASONS = ("privacy", "harm", "unlawful", "other")  # share.abuse.reason.<id>


@dataclass(frozen=True)
class Shared:
    """What whoever shares a report is given."""

    id: str
    url: str
    delete_token: str  # nobody has it but them
    expires: str  # ISO 8601, UTC
    persistent: bool  # whether the link outlives a restart of the service
    link: str | None  # a URL that holds the report itself, without pictures; None where that is too much for one


class Shares:
    """All shared reports of a service.

    After its signing key was changed, the service no longer vouches for what it shared before: such a page is
    refused like an altered one.
    """

    def __init__(
        self,
        folder: Path,
        *,
        key: SigningKey,
        base_url: str,
        persistent: bool,
        contact: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Nothing is read or written yet.

        Args:
            folder: of all shares; may be a mounted bucket.
            base_url: where people reach this service, without a slash at the end.
            persistent: whether the folder outlives a restart.
            contact: e-mail address or URL for complaints; None: only the form.
            clock: seconds since the epoch.
        """
        self._folder = ShareFolder(folder)
        self._key = key
        self._base_url = base_url.rstrip("/")
        self._persistent = persistent
        self._contact = contact
        self._clock = clock
        self._stories: Recent[str, Story] = Recent(N_RECENT_STORIES)
        self._previews: Recent[tuple[str, str], bytes] = Recent(N_RECENT_PREVIEWS)

    @property
    def public_key(self) -> PublicKey:
        """What the service's signatures are checked with."""
        return self._key.public

    # --- kept reports -------------------------------------------------------------------------

    def create(self, analysis: Analysis) -> Shared:
        """Share a report with the pictures it names.

        Raises:
            ServiceError: ``share_failed``: it cannot be kept.
            ValueError: a picture is missing, or is no JPEG or PNG of a reasonable size.
        """
        document = to_json(analysis.report)
        pictures = {name: _take_picture(name, analysis.pictures) for name in picture_names(analysis.report)}
        signed = json.dumps(sign_report(document, pictures, self._key), ensure_ascii=False, indent=1)
        record, token = self._folder.write(signed.encode(), pictures, now=self._clock())
        return Shared(
            id=record.id,
            url=f"{self._base_url}/e/{record.id}",
            delete_token=token,
            expires=iso_time(record.expires_s),
            persistent=self._persistent,
            link=self._link_or_none(analysis.report),
        )

    def page(self, share_id: str, *, lang: str = FALLBACK_LANGUAGE) -> str:
        """The page of a shared report.

        Raises:
            ServiceError: ``report_unknown``; ``bad_signature``: what is kept is not what was signed.
        """
        record = self._find(share_id)
        return render_story(
            self._story(record),
            Place(self._base_url, f"/e/{share_id}", lang),
            expires=iso_time(record.expires_s),
            fingerprint=self.public_key.fingerprint,
            forms=Forms(REASONS, self._contact),
            is_temporary=not self._persistent,
        )

    def picture(self, share_id: str, name: str) -> bytes:
        """A picture the report names.

        Raises:
            ServiceError: ``report_unknown`` or ``picture_unknown``.
        """
        return self._folder.read_picture(self._find(share_id), name)

    def preview(self, share_id: str, *, lang: str = FALLBACK_LANGUAGE) -> bytes:
        """What the link looks like in a messenger: a JPEG of 1200 by 630.

        Raises:
            ServiceError: as ``page``.
        """
        record = self._find(share_id)
        return self._previews.get((share_id, lang), lambda: self._draw(record, lang))

    def report(self, share_id: str) -> bytes:
        """The signed report as JSON.

        Raises:
            ServiceError: ``report_unknown``.
        """
        return self._folder.read_report(self._find(share_id))

    def delete(self, share_id: str, token: str) -> None:
        """Delete a shared report for good.

        Raises:
            ServiceError: ``report_unknown``, also the second time; ``bad_token``.
        """
        self._folder.check_token(self._find(share_id), token)
        self._folder.remove(share_id)
        self._stories.forget(lambda key: key == share_id)
        self._previews.forget(lambda key: key[0] == share_id)

    def complain(self, share_id: str, reason: str) -> None:
        """Keep a visitor's complaint.

        Args:
            reason: one of ``REASONS``; anything else counts as "other".

        Raises:
            ServiceError: ``report_unknown``; ``share_failed``: it cannot be kept.
        """
        known = reason if reason in REASONS else "other"
        self._folder.complain(self._find(share_id), known, now=self._clock())

    def sweep(self, now: float) -> int:
        """Delete what has had its time.

        Args:
            now: seconds since the epoch.

        Returns:
            How many were deleted.
        """
        return self._folder.sweep(now=now)

    # --- reports inside their links -----------------------------------------------------------

    def link(self, report: Report) -> str:
        """A URL that holds a report itself, without pictures: it needs no storage, and cannot be deleted.

        Raises:
            ServiceError: ``share_failed``: too much for a URL.
        """
        return f"{self._base_url}/v/{write_link(tell(report), self._key)}"

    def linked_page(self, payload: str, *, lang: str = FALLBACK_LANGUAGE) -> str:
        """The page a link holds.

        Raises:
            ServiceError: ``bad_signature``; ``report_unknown``: its time is over.
        """
        story, expires_s = self._open(payload)
        return render_story(
            story,
            Place(self._base_url, f"/v/{payload}", lang),
            expires=iso_time(expires_s),
            fingerprint=self.public_key.fingerprint,
            is_temporary=not (self._persistent or self._key.is_given),
        )

    def linked_preview(self, payload: str, *, lang: str = FALLBACK_LANGUAGE) -> bytes:
        """What such a link looks like in a messenger.

        Raises:
            ServiceError: as ``linked_page``.
        """
        story, _ = self._open(payload)
        return self._previews.get((payload, lang), lambda: draw_preview(story, None, lang=lang))

    def message(self, title: str, sentence: str, *, lang: str, back: str | None = None) -> str:
        """A page that says one thing.

        Args:
            back: a shared report's id to lead back to.
        """
        place = Place(self._base_url, f"/e/{back}" if back else "/", lang)
        return render_message(title, sentence, place, leads_back=back is not None)

    def _link_or_none(self, report: Report) -> str | None:
        try:
            return self.link(report)
        except ServiceError:
            return None

    # --- inside -------------------------------------------------------------------------------

    def _find(self, share_id: str) -> Record:
        return self._folder.find(share_id, now=self._clock())

    def _story(self, record: Record) -> Story:
        return self._stories.get(record.id, lambda: self._read(record))

    def _read(self, record: Record) -> Story:
        signed = read_signed(self._folder.read_report(record))
        if signed.check([self.public_key]) != "valid":
            raise ServiceError("bad_signature")
        try:
            return tell(from_json(signed.report))
        except InvalidReportError as error:  # of a version with another schema
            raise ServiceError("bad_signature") from error

    def _draw(self, record: Record, lang: str) -> bytes:
        story = self._story(record)
        name = story.moments[0].overlay if story.moments else None
        picture = self._folder.read_picture(record, name) if name else None
        return draw_preview(story, picture, lang=lang)

    def _open(self, payload: str) -> tuple[Story, float]:
        story = read_link(payload, self.public_key)
        made = datetime.strptime(story.created, "%Y-%m-%dT%H:%M:%S%z").timestamp()
        if self._clock() >= made + LIFETIME_S:
            raise ServiceError("report_unknown")
        return story, made + LIFETIME_S


def picture_names(report: Report) -> list[str]:
    """All pictures a report names."""
    names = [track.thumbnail for track in report.tracks]
    for moment in report.evidence:
        names += [moment.crop, moment.overlay]
        names += [name for layers in moment.maps.values() for name in layers.values()]
    return names


def _take_picture(name: str, pictures: Mapping[str, bytes]) -> bytes:
    picture = pictures.get(name)
    if picture is None or not picture.startswith(SIGNATURES) or len(picture) > MAX_PICTURE_BYTES:
        raise ValueError(f"no picture to share: {name!r}")
    return picture
