"""What a check leaves on the disk: ``report.json`` and the pictures it names."""

from __future__ import annotations

import json
from pathlib import Path

from space.analysis.report import to_json
from space.contract import Analysis, Report
from space.errors import RequestError

REPORT_FILE = "report.json"


def to_text(report: Report) -> str:
    """A report as indented JSON."""
    return json.dumps(to_json(report), ensure_ascii=False, indent=2) + "\n"


def prepare_folder(folder: Path) -> None:
    """Create a folder, so that a bad place is known before the work is done.

    Raises:
        RequestError: ``bad_output``.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError("bad_output", name=str(folder)) from error


def write_analysis(analysis: Analysis, folder: Path) -> Path:
    """Write report and pictures into a folder; the report comes last, so that its pictures are there.

    Returns:
        The report's path.

    Raises:
        RequestError: ``bad_output``.
    """
    prepare_folder(folder)
    for name, picture in analysis.pictures.items():
        _write(folder / name, picture)
    return write_report(analysis.report, folder / REPORT_FILE)


def write_report(report: Report, path: Path) -> Path:
    """Write a report alone.

    Raises:
        RequestError: ``bad_output``.
    """
    _write(path, to_text(report).encode())
    return path


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise RequestError("bad_output", name=str(path)) from error
