"""Reports and their pictures as files: a folder per job, written once and whole."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

from space.analysis.report import from_json, to_json
from space.contract import Analysis
from space.errors import ServiceError

PICTURE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.(jpg|png|webp)")
REPORT_FILE = "report.json"
UNFINISHED = ".new"


class Reports:
    """Reports in a folder of this server's own, by the id of their job.

    Job ids must have passed ``jobs.require_job_id``: they become names of folders.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, job_id: str, analysis: Analysis) -> None:
        """Write a report and its pictures; either all of it can be read afterwards or nothing."""
        unfinished = self._folder / f"{job_id}{UNFINISHED}"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        for name, picture in analysis.pictures.items():
            (unfinished / name).write_bytes(picture)
        report = json.dumps(to_json(analysis.report), ensure_ascii=False)
        (unfinished / REPORT_FILE).write_text(report, encoding="utf-8")
        unfinished.rename(self._folder / job_id)

    def read(self, job_id: str) -> dict[str, Any]:
        """A report as JSON.

        Raises:
            ServiceError: ``job_unknown``.
        """
        try:
            document: dict[str, Any] = json.loads((self._folder / job_id / REPORT_FILE).read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise ServiceError("job_unknown") from error
        return document

    def picture(self, job_id: str, name: str) -> bytes:
        """A picture's encoded bytes.

        Args:
            name: may be anything.

        Raises:
            ServiceError: ``picture_unknown``.
        """
        if not PICTURE_NAME.fullmatch(name):
            raise ServiceError("picture_unknown")
        try:
            return (self._folder / job_id / name).read_bytes()
        except FileNotFoundError as error:
            raise ServiceError("picture_unknown") from error

    def analysis(self, job_id: str) -> Analysis:
        """A report with all its pictures.

        Raises:
            ServiceError: ``job_unknown``.
        """
        report = from_json(self.read(job_id))
        files = sorted((self._folder / job_id).iterdir())
        return Analysis(report, {file.name: file.read_bytes() for file in files if file.name != REPORT_FILE})

    def delete(self, job_id: str) -> None:
        """Delete a report; nothing happens if there is none."""
        shutil.rmtree(self._folder / job_id, ignore_errors=True)

    def keep(self, job_ids: Collection[str]) -> None:
        """Delete everything but these jobs' reports: what a crash left half written, or without a job."""
        for path in self._folder.iterdir():
            if path.name not in job_ids:
                shutil.rmtree(path)
