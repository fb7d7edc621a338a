"""Copies what the project shares into the extension, and packs it into a zip that is the same to the byte each time.

``python -m extension.pack`` in the project's folder does both; ``--copy`` stops after copying. The copies are kept in
git, so that a checkout can be loaded as it is; a test compares them with what they are copies of.
"""

from __future__ import annotations

import argparse
import json
import zipfile
from pathlib import Path

from space.service.page.palette import heat_gradient, load_palette
from space.settings import PROJECT_ROOT, SHARED
from space.texts import languages

EXTENSION = Path(__file__).parent
COPIES = EXTENSION / "shared"

PACKED = {".css", ".html", ".js", ".json", ".png"}
KEPT_OUT = {"package.json", "package-lock.json", "tsconfig.json"}  # development only
FOLDERS_KEPT_OUT = {"node_modules", "__pycache__"}
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can say


def make_copies() -> dict[str, bytes]:
    """What belongs into ``extension/shared``: path in it -> bytes.

    The shared files as they are, the list of languages (an extension cannot list its own files), and the palette as
    CSS variables.
    """
    names = [
        "errors.json",
        "palette.json",
        "parts.json",
        "verdicts.json",
        *(f"text/{lang}.json" for lang in languages()),
    ]
    copies = {name: (SHARED / name).read_bytes() for name in names}
    copies["languages.json"] = (json.dumps(languages()) + "\n").encode()
    copies["palette.css"] = palette_css().encode()
    return copies


def palette_css() -> str:
    """The palette as CSS variables for a page or, in a shadow root, its host; the browser chooses light or dark."""
    light, dark = (f"color-scheme: {theme};{_variables(theme)}" for theme in ("light", "dark"))
    heat = f"\n  --tt-heat: {heat_gradient()};"
    return (
        f"/* Made by pack.py from shared/palette.json. */\n:root, :host {{\n  {light}{heat}\n}}\n"
        f"@media (prefers-color-scheme: dark) {{\n:root, :host {{\n  {dark}\n}}\n}}\n"
    )


def _variables(theme: str) -> str:
    palette = load_palette()
    colours = {f"--tt-{name}": colour for name, colour in palette["themes"][theme].items()}
    for code, themes in palette["verdicts"].items():
        colours |= {f"--tt-{code}-{role}": colour for role, colour in themes[theme].items()}
    return "".join(f"\n  {name}: {colour};" for name, colour in colours.items())


def copy_shared(folder: Path = COPIES) -> None:
    """Write the copies, and delete what is no longer one."""
    copies = make_copies()
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder).as_posix() not in copies:
            path.unlink()
    for name, content in copies.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def packed_files() -> list[Path]:
    """What a browser gets, in the order of the zip."""
    files = (path for path in EXTENSION.rglob("*") if path.is_file() and path.suffix in PACKED)
    wanted = (path for path in files if path.name not in KEPT_OUT and not FOLDERS_KEPT_OUT & set(path.parts))
    return sorted(wanted, key=lambda path: path.relative_to(EXTENSION).as_posix())


def pack(target: Path) -> Path:
    """Write the zip.

    Nothing in it depends on the machine: fixed order, dates and permissions, and no compression, since compressors
    differ between versions.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in packed_files():
            entry = zipfile.ZipInfo(path.relative_to(EXTENSION).as_posix(), EPOCH)
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, path.read_bytes())
    return target


def read_version() -> str:
    """The version in the manifest."""
    version: str = json.loads((EXTENSION / "manifest.json").read_text(encoding="utf-8"))["version"]
    return version


def main() -> None:
    """Copy, then pack."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--copy", action="store_true", help="copy the shared files, pack nothing")
    asked = parser.parse_args()
    copy_shared()
    if not asked.copy:
        target = pack(PROJECT_ROOT / "dist" / f"telltale-{read_version()}.zip")
        print(target.relative_to(PROJECT_ROOT), target.stat().st_size)  # noqa: T201 - a command's answer


if __name__ == "__main__":
    main()
