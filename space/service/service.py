"""A server's parts, put together from its settings and taken apart at its end."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from starlette.routing import Route

from space.errors import RequestError, ServiceError
from space.intake.links import FetchedLink, fetch_link
from space.intake.vault import Vault
from space.service.analyses import Analyse, Models, pipeline
from space.service.api import api_routes
from space.service.callers import Callers
from space.service.faults import log_fault
from space.service.jobs import Jobs
from space.service.reports import Reports
from space.service.settings import SWEEP_S, ServiceSettings
from space.service.share.routes import share_routes
from space.service.share.shares import Shares
from space.service.share.signature import load_signing_key
from space.service.sources import Fetch
from space.service.store import Store, sqlite_url
from space.service.uploads import Uploads
from space.settings import LinkSettings, Settings

WATCH_S = 1.0
PREFIX = "telltale-"  # of private folders
LOCK = "lock"


@dataclass(frozen=True)
class Service:
    """What pages and routes work with."""

    settings: ServiceSettings
    choices: Settings  # how a check is made, limits included
    vault: Vault
    store: Store
    models: Models
    uploads: Uploads
    jobs: Jobs
    callers: Callers
    shares: Shares
    sharing: threading.Lock = field(default_factory=threading.Lock)

    def share(self, job_id: str) -> Mapping[str, Any]:
        """Share a finished job's report: the fields of ``Shared``, and the same again for whoever asks again.

        Raises:
            ServiceError: ``bad_job_id``, ``job_unknown``, ``job_unfinished``; ``share_failed``.
        """
        with self.sharing:
            shared = self.jobs.shared(job_id)
            if shared is None or not self._is_kept(shared["id"]):
                shared = asdict(self.shares.create(self.jobs.analysis(job_id)))
                self.jobs.note_share(job_id, shared)
        return shared

    def _is_kept(self, share_id: str) -> bool:
        try:
            self.shares.report(share_id)
        except ServiceError as error:
            if error.code != "report_unknown":
                raise
            return False
        return True


@contextmanager
def open_service(
    settings: ServiceSettings,
    *,
    choices: Settings | None = None,
    prepare: Callable[[], Analyse] | None = None,
    fetch: Fetch | None = None,
    clock: Callable[[], float] = time.time,
) -> Iterator[Service]:
    """A server's parts for the length of the block; what is due is swept meanwhile.

    Args:
        choices: how a check is made; None: the defaults.
        prepare: loads the models; None: the ensemble of the settings.
        fetch: gets a link's video; None: ``intake.links``.
        clock: seconds since the epoch.

    Raises:
        RequestError: ``bad_setting``: the data folder cannot be used, or another server uses it.
    """
    choices = choices or Settings()
    with ExitStack() as stack:
        data = stack.enter_context(_open_data(settings.data))
        vault = stack.enter_context(Vault(data / "vault", clock=clock))
        store = Store(settings.database_url or sqlite_url(data / "jobs.sqlite"))
        stack.callback(store.close)
        models = Models(prepare or (lambda: pipeline(choices, settings.ensemble)))
        jobs = Jobs(
            store=store,
            reports=Reports(data / "reports"),
            models=models,
            fetch=fetch or _fetch_with(vault, choices, LinkSettings(allowed_hosts=settings.allowed_hosts)),
            settings=settings,
            clock=clock,
        )
        stack.callback(jobs.close)
        uploads = Uploads(vault, settings, max_bytes=choices.limits.max_bytes, clock=clock)
        shares = _open_shares(settings, data, clock)
        callers = Callers(settings, clock=clock)
        service = Service(settings, choices, vault, store, models, uploads, jobs, callers, shares)
        stack.enter_context(repeating(WATCH_S, lambda: jobs.watch(now=clock())))
        stack.enter_context(repeating(SWEEP_S, lambda: sweep(service, now=clock())))
        yield service


def service_routes(service: Service) -> list[Route]:
    """What a server answers beside the page; for ``launch(app_kwargs={"routes": ...})``."""
    return [*api_routes(service), *share_routes(service.shares)]


def sweep(service: Service, *, now: float) -> None:
    """Delete what has had its time.

    Args:
        now: seconds since the epoch.
    """
    service.uploads.sweep(now=now)
    service.vault.sweep(now=now)
    service.jobs.sweep(now=now)
    service.shares.sweep(now=now)


@contextmanager
def repeating(every_s: float, act: Callable[[], None]) -> Iterator[None]:
    """Do something again and again, in a thread, for the length of the block."""
    done = threading.Event()

    def run() -> None:
        while not done.wait(every_s):
            try:
                act()
            except Exception as error:  # noqa: BLE001 - the next round may succeed, and must take place
                log_fault("what is done regularly failed", error)

    thread = threading.Thread(target=run, name="repeating", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


# --- the data folder --------------------------------------------------------------------------


@contextmanager
def _open_data(chosen: Path | None) -> Iterator[Path]:
    """The chosen folder, or a private one that is deleted at the end; locked against a second server."""
    if chosen is None:
        delete_abandoned(Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix=PREFIX)) if chosen is None else chosen
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (folder / LOCK).open("wb")
    except OSError as error:
        raise RequestError("bad_setting", name="TELLTALE_DATA", value=str(folder)) from error
    with lock:
        if not _lock(lock.fileno()):
            raise RequestError("bad_setting", name="TELLTALE_DATA", value=str(folder))
        try:
            yield folder
        finally:
            if chosen is None:
                shutil.rmtree(folder)


def delete_abandoned(parent: Path) -> None:
    """Delete the private folders of servers that were killed: nobody holds their locks."""
    for folder in parent.glob(f"{PREFIX}*"):
        path = folder / LOCK
        if not path.is_file() or path.stat().st_uid != os.getuid():
            continue
        with path.open("rb") as lock:
            if _lock(lock.fileno()):
                shutil.rmtree(folder)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open_shares(settings: ServiceSettings, data: Path, clock: Callable[[], float]) -> Shares:
    folder = settings.shares or data / "shares"
    return Shares(
        folder,
        key=load_signing_key(folder, settings.signing_key),
        base_url=settings.base_url,
        persistent=settings.shares is not None,
        contact=settings.contact,
        clock=clock,
    )


def _fetch_with(vault: Vault, choices: Settings, links: LinkSettings) -> Fetch:
    def fetch(url: str, progress: Callable[[float], None], stop: threading.Event) -> FetchedLink:
        return fetch_link(url, vault=vault, limits=choices.limits, links=links, progress=progress, stop=stop)

    return fetch
