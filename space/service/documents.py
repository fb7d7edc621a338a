"""What the server tells of itself to programs and to those who write them: OpenAPI, the report's schema, a page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from space.settings import SHARED
from space.texts import load_texts

DOCS = Path(__file__).parent / "docs"
EXAMPLES = {"Python": "check.py", "JavaScript": "check.mjs", "curl": "check.sh"}


def make_openapi(*, base_url: str) -> dict[str, Any]:
    """The routes as an OpenAPI 3.1 document."""
    return {**_read_openapi(), "servers": [{"url": base_url}]}


def read_report_schema() -> str:
    """The JSON Schema of reports."""
    return (SHARED / "report.schema.json").read_text(encoding="utf-8")


@cache
def render_docs(*, base_url: str) -> str:
    """The same as a page that loads nothing from anywhere and needs no script. In English, as the code is."""
    environment = Environment(
        loader=FileSystemLoader(DOCS), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("docs.html").render(
        api=make_openapi(base_url=base_url),
        base_url=base_url,
        rows=_rows,
        errors=list(_errors()),
        examples={name: _example(file, base_url) for name, file in EXAMPLES.items()},
    )


@cache
def _read_openapi() -> Mapping[str, Any]:
    document: Mapping[str, Any] = json.loads((DOCS / "openapi.json").read_text(encoding="utf-8"))
    return document


def _example(file: str, base_url: str) -> str:
    return (DOCS / file).read_text(encoding="utf-8").replace("https://example.hf.space", base_url)


def _rows(operation: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """What goes in and what comes out of an operation."""
    for parameter in operation.get("parameters", []):
        known = _resolve(parameter)
        yield _row(known["name"], known["in"], known)
    body = operation.get("requestBody", {}).get("content", {})
    for kind, content in body.items():
        properties = content["schema"].get("properties", {})
        for name, schema in properties.items():
            yield _row(name, "body", schema)
        if not properties:
            yield {"name": kind, "place": "body", "words": "The bytes themselves."}
    for status, answer in operation["responses"].items():
        yield _row(status, "answer", answer)


def _row(name: str, place: str, described: Mapping[str, Any]) -> dict[str, str]:
    return {"name": name, "place": place, "words": described.get("description", "")}


def _resolve(node: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in node:
        return node
    found: Any = _read_openapi()
    for key in node["$ref"].removeprefix("#/").split("/"):
        found = found[key]
    resolved: Mapping[str, Any] = found
    return resolved


def _errors() -> Iterator[dict[str, Any]]:
    for row in json.loads((SHARED / "errors.json").read_text(encoding="utf-8"))["errors"]:
        yield {**row, "sentence": load_texts("en")[row["text"]]}
