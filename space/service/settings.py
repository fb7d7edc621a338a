"""What a server can be told by its environment."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from space.errors import RequestError

SWEEP_S = 60.0  # how often what has had its time is looked for
KEPT_S = 30 * 60 - SWEEP_S  # so that nothing unshared is older than 30 minutes when it goes
GRACE_S = 10.0  # a check that was stopped has this long to notice before its turn is taken away


@dataclass(frozen=True)
class ServiceSettings:
    """How a server runs. The name of the environment's variable stands beside each choice."""

    data: Path | None = None  # TELLTALE_DATA: database, reports, vault; None: a private folder, deleted at the end
    database_url: str | None = None  # DATABASE_URL, as SQLAlchemy reads it; None: SQLite in the data folder
    base_url: str = "http://127.0.0.1:7860"  # SPACE_URL: where people reach this server; no slash at the end
    shares: Path | None = None  # TELLTALE_SHARES: folder that outlives a restart; None: in the data folder
    signing_key: str | None = None  # TELLTALE_SIGNING_KEY: of shared reports; None: made once, in their folder
    contact: str | None = None  # TELLTALE_CONTACT: e-mail address or URL for complaints about shared reports
    ensemble: Path | None = None  # TELLTALE_ENSEMBLE: folder of another ensemble than the shipped one
    token: str | None = None  # TELLTALE_TOKEN: whoever sends it as X-Telltale-Token is not rate-limited
    trusted_proxies: int = 0  # TELLTALE_PROXIES: how many in front of this server write X-Forwarded-For
    exempt_loopback: bool = False  # TELLTALE_EXEMPT_LOOPBACK: this machine's own callers are not rate-limited
    max_jobs: int = 16  # TELLTALE_QUEUE: checks that wait or run
    allowed_hosts: tuple[str, ...] | None = None  # TELLTALE_HOSTS: of links, "a.org,b.org"; None: any public one
    n_downloads: int = 2  # TELLTALE_DOWNLOADS: links that are fetched at once
    jobs_per_window: int = 6  # TELLTALE_JOBS_PER_WINDOW: checks of one caller in window_s
    window_s: float = 600.0  # TELLTALE_WINDOW_S
    jobs_at_once: int = 1  # TELLTALE_JOBS_AT_ONCE: unfinished checks of one caller
    job_limit_s: float = 900.0  # TELLTALE_JOB_LIMIT_S: from acceptance to the end, waiting included; at most 1500
    run_limit_s: float = 300.0  # TELLTALE_RUN_LIMIT_S: of the analysis alone
    upload_limit_s: float = 300.0  # TELLTALE_UPLOAD_LIMIT_S: for sending one file
    max_uploads: int = 16  # TELLTALE_UPLOADS: files that are being sent or wait for their check

    @property
    def upload_kept_s(self) -> float:
        """How long an upload waits for its check: the longest check that follows still ends within ``KEPT_S``."""
        return KEPT_S - self.job_limit_s


def settings_from(environment: Mapping[str, str]) -> ServiceSettings:
    """The choices of an environment; an empty variable is as good as none.

    The address follows ``GRADIO_SERVER_PORT``, which Gradio reads by itself. On a Hugging Face Space it is
    ``SPACE_HOST`` unless ``SPACE_URL`` is set, and one proxy is trusted unless ``TELLTALE_PROXIES`` says
    otherwise: every caller comes through the platform's own.

    Raises:
        RequestError: ``bad_setting``.
    """
    choices: dict[str, Any] = {}
    if port := environment.get("GRADIO_SERVER_PORT", "").strip():
        choices.update(base_url=f"http://127.0.0.1:{port}")
    if host := environment.get("SPACE_HOST"):
        choices.update(base_url=f"https://{host}", trusted_proxies=1)
    for name, (field, convert) in VARIABLES.items():
        value = environment.get(name, "").strip()
        if not value:
            continue
        try:
            choices[field] = convert(value)
        except ValueError as error:
            raise RequestError("bad_setting", name=name, value=value) from error
    return ServiceSettings(**choices)


# --- what a value may be ----------------------------------------------------------------------


def _count(minimum: int) -> Callable[[str], int]:
    def convert(value: str) -> int:
        number = int(value)
        if number < minimum:
            raise ValueError(value)
        return number

    return convert


def _seconds(maximum: float = math.inf) -> Callable[[str], float]:
    def convert(value: str) -> float:
        number = float(value)
        if not 0 < number <= maximum or math.isinf(number):
            raise ValueError(value)
        return number

    return convert


def _switch(value: str) -> bool:
    choices = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if value.lower() not in choices:
        raise ValueError(value)
    return choices[value.lower()]


def _names(value: str) -> tuple[str, ...]:
    return tuple(name.strip().lower() for name in value.split(",") if name.strip())


def _address(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError(value)
    return value.rstrip("/")


VARIABLES: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "TELLTALE_DATA": ("data", Path),
    "DATABASE_URL": ("database_url", str),
    "SPACE_URL": ("base_url", _address),
    "TELLTALE_SHARES": ("shares", Path),
    "TELLTALE_SIGNING_KEY": ("signing_key", str),
    "TELLTALE_CONTACT": ("contact", str),
    "TELLTALE_ENSEMBLE": ("ensemble", Path),
    "TELLTALE_TOKEN": ("token", str),
    "TELLTALE_PROXIES": ("trusted_proxies", _count(0)),
    "TELLTALE_EXEMPT_LOOPBACK": ("exempt_loopback", _switch),
    "TELLTALE_QUEUE": ("max_jobs", _count(1)),
    "TELLTALE_HOSTS": ("allowed_hosts", _names),
    "TELLTALE_DOWNLOADS": ("n_downloads", _count(1)),
    "TELLTALE_JOBS_PER_WINDOW": ("jobs_per_window", _count(1)),
    "TELLTALE_WINDOW_S": ("window_s", _seconds()),
    "TELLTALE_JOBS_AT_ONCE": ("jobs_at_once", _count(1)),
    "TELLTALE_JOB_LIMIT_S": ("job_limit_s", _seconds(1500)),
    "TELLTALE_RUN_LIMIT_S": ("run_limit_s", _seconds(1500)),
    "TELLTALE_UPLOAD_LIMIT_S": ("upload_limit_s", _seconds(1500)),
    "TELLTALE_UPLOADS": ("max_uploads", _count(1)),
}
