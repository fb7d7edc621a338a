"""Examples for programs, as the page shows them: files that run, with this server's address in them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from space.service.documents import DOCS

ADDRESS = "https://example.hf.space"  # in the files
FILES = {
    "curl": DOCS / "check.sh",
    "python": DOCS / "check.py",
    "javascript": DOCS / "check.mjs",
    "mcp": DOCS / "mcp.json",
}


@dataclass(frozen=True)
class Snippet:
    """One example."""

    name: str  # of a text id: page.developers.<name>
    code: str


@cache
def read_snippets(*, base_url: str) -> tuple[Snippet, ...]:
    """All examples.

    Args:
        base_url: where this server is reached; no slash at the end.
    """
    return tuple(
        Snippet(name, path.read_text(encoding="utf-8").rstrip().replace(ADDRESS, base_url))
        for name, path in FILES.items()
    )
