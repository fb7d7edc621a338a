"""Files that were sent: kept once, used once, never for long."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from space.errors import ServiceError, SourceError
from space.intake.vault import Vault
from space.service.callers import EXEMPT
from space.service.settings import ServiceSettings
from space.service.uploads import UPLOADS_PER_JOB, Upload, Uploads
from tests.services import PLAINTEXT, Clock, bytes_below

SETTINGS = ServiceSettings(max_uploads=3, jobs_per_window=1)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def uploads(tmp_path: Path, clock: Clock) -> Iterator[Uploads]:
    with Vault(tmp_path / "vault", clock=clock) as vault:
        yield Uploads(vault, SETTINGS, max_bytes=len(PLAINTEXT), clock=clock)


def send(uploads: Uploads, *, caller: str = EXEMPT, content: bytes = PLAINTEXT) -> Upload:
    with uploads.receive(caller) as coming:
        coming.writer.write(content)
        return uploads.keep(coming)


def n_files(tmp_path: Path) -> int:
    return len(list((tmp_path / "vault").iterdir()))


def test_a_file_waits_for_its_check_and_is_used_once(uploads: Uploads, tmp_path: Path) -> None:
    upload = send(uploads)
    assert PLAINTEXT[:21] not in bytes_below(tmp_path)
    sealed = uploads.take(upload.id)
    assert sealed.open().read() == PLAINTEXT
    with pytest.raises(ServiceError, match="upload_unknown"):
        uploads.take(upload.id)
    with pytest.raises(ServiceError, match="upload_unknown"):
        uploads.take("../vault")


def test_what_breaks_off_leaves_nothing(uploads: Uploads, tmp_path: Path) -> None:
    def break_off() -> None:
        with uploads.receive(EXEMPT) as coming:
            coming.writer.write(PLAINTEXT)
            raise ConnectionError

    with pytest.raises(ConnectionError):
        break_off()
    assert n_files(tmp_path) == 0
    for _ in range(SETTINGS.max_uploads):
        send(uploads)


def test_too_much_is_refused_with_the_limit(uploads: Uploads, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="too_large"):
        send(uploads, content=PLAINTEXT + b"!")
    assert n_files(tmp_path) == 0


def test_no_more_wait_than_may(uploads: Uploads) -> None:
    waiting = [send(uploads) for _ in range(2)]
    with uploads.receive(EXEMPT), pytest.raises(ServiceError) as refusal:
        send(uploads)
    assert refusal.value.code == "busy"
    send(uploads)
    uploads.take(waiting[0].id)
    send(uploads)


def test_a_caller_cannot_send_without_end(uploads: Uploads, clock: Clock) -> None:
    for _ in range(UPLOADS_PER_JOB):
        uploads.take(send(uploads, caller="a").id)
        clock.now += 100
    with pytest.raises(ServiceError) as refusal:
        send(uploads, caller="a")
    assert refusal.value.code == "rate_limited"
    assert refusal.value.params["retry_after_s"] == 301
    uploads.take(send(uploads, caller="b").id)
    clock.now += 301
    send(uploads, caller="a")


def test_files_that_waited_too_long_are_swept(uploads: Uploads, clock: Clock, tmp_path: Path) -> None:
    upload = send(uploads)
    assert upload.expires == clock.now + SETTINGS.upload_kept_s
    clock.now = upload.expires - 1
    uploads.sweep(now=clock.now)
    assert n_files(tmp_path) == 1
    uploads.sweep(now=upload.expires)
    assert n_files(tmp_path) == 0
    with pytest.raises(ServiceError, match="upload_unknown"):
        uploads.take(upload.id)


def test_the_time_counts_from_the_first_byte(uploads: Uploads, clock: Clock) -> None:
    begun = clock.now
    with uploads.receive(EXEMPT) as coming:
        clock.now += 200
        coming.writer.write(b"slowly")
        upload = uploads.keep(coming)
    assert upload.expires == begun + SETTINGS.upload_kept_s
