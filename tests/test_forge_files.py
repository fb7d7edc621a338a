"""Forged twins as files: compressed alike, marked as what they are, repeated by the seed."""

from __future__ import annotations

import csv
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.data import astronaut
from typer.testing import CliRunner

from space.contract import U8
from space.lab.cli import app
from space.lab.forge import dataset
from space.lab.forge.compress import (
    CRFS,
    MIN_SIDE_PX,
    Compression,
    decode_masks,
    draw_compression,
    encode_clip,
    encode_masks,
)
from space.lab.forge.dataset import MARK, MIN_SOURCES, forge_dataset
from space.lab.forge.gallery import CELL_PX, TITLE_PX, Example, draw_sheet
from space.lab.forge.sources import MIN_FRAMES, read_stills


def make_view(index: int) -> U8:
    """The astronaut, each time from a little nearer, in other light: as many faces as a test wants."""
    portrait = astronaut()[:300, 90:390]  # type: ignore[no-untyped-call]
    zoom = cv2.getRotationMatrix2D((135, 110), index % 3 - 1, 0.85 + 0.02 * index)
    view = cv2.warpAffine(portrait, zoom, (280, 280), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.convertScaleAbs(view, alpha=0.8 + 0.03 * index, beta=2), np.uint8)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for index in range(MIN_SOURCES):
        cv2.imwrite(str(folder / f"view-{index}.png"), make_view(index)[:, :, ::-1])
    return folder


def read_rows(manifest: Path) -> list[dict[str, str]]:
    with manifest.open(newline="") as lines:
        return list(csv.DictReader(lines))


def read_picture(path: Path) -> tuple[tuple[int, int], str]:
    """Width and height, and the comment."""
    with Image.open(path) as picture:
        return picture.size, str(picture.info["Comment"])


# --- compression ------------------------------------------------------------------------------------


def make_frames(n_frames: int, size_hw: tuple[int, int] = (120, 140)) -> list[U8]:
    rng = np.random.default_rng(0)
    coarse = rng.uniform(0, 255, (12, 14 + n_frames, 3)).astype(np.float32)
    wide = cv2.resize(coarse, (size_hw[1] + 4 * n_frames, size_hw[0]), interpolation=cv2.INTER_CUBIC)
    wide = np.clip(wide + rng.normal(0, 6, wide.shape), 0, 255).astype(np.uint8)
    return [np.ascontiguousarray(wide[:, 4 * i : 4 * i + size_hw[1]]) for i in range(n_frames)]


@given(seed=st.integers(0, 2**32 - 1), n_frames=st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_what_is_drawn_can_be_played(seed: int, n_frames: int) -> None:
    compression = draw_compression(np.random.default_rng(seed), n_frames)
    assert compression.crf in CRFS
    assert 0.5 <= compression.scale <= 1
    assert compression.kept[0] == 0
    assert list(compression.kept) == sorted(compression.kept)
    assert n_frames * 0.3 <= len(compression.kept) <= n_frames


@pytest.mark.parametrize("seed", range(4))
def test_twins_are_compressed_alike(seed: int) -> None:
    frames = make_frames(8)
    compression = draw_compression(np.random.default_rng(seed), len(frames))
    first, second = compression.apply(frames), compression.apply([frame.copy() for frame in frames])
    masks = compression.select([np.zeros(frame.shape[:2], np.uint8) for frame in frames])
    apart = [np.abs(a.astype(int) - b).max() for a, b in zip(first, second, strict=True)]
    assert max(apart) == 0, apart
    assert [mask.shape for mask in masks] == [frame.shape[:2] for frame in first]


def test_a_higher_crf_costs_detail() -> None:
    frames = make_frames(4)
    losses = [
        np.abs(np.stack(Compression(crf, 1.0, (0, 1, 2, 3), 25.0).apply(frames)).astype(int) - np.stack(frames)).mean()
        for crf in CRFS
    ]
    assert losses == sorted(losses)
    assert losses[-1] > 1.3 * losses[0]


@pytest.mark.parametrize(
    ("size_hw", "scale", "expected"),
    [
        ((120, 140), 1.0, (120, 140)),
        ((121, 141), 1.0, (120, 140)),
        ((200, 300), 0.5, (100, 150)),
        ((100, 140), 0.5, (MIN_SIDE_PX, 134)),
        ((60, 80), 0.5, (60, 80)),
    ],
)
def test_sides_are_even_and_not_too_small(size_hw: tuple[int, int], scale: float, expected: tuple[int, int]) -> None:
    frames = make_frames(2, size_hw)
    compression = Compression(crf=28, scale=scale, kept=(0, 0, 1), fps=25.0)
    seen = compression.apply(frames)
    assert [frame.shape for frame in seen] == [(*expected, 3)] * 3


def test_masks_are_kept_exactly() -> None:
    masks = [np.arange(96 * 96, dtype=np.uint32).reshape(96, 96).astype(np.uint8), np.full((96, 96), 255, np.uint8)]
    data = encode_masks(masks, fps=25)
    assert all(np.array_equal(a, b) for a, b in zip(masks, decode_masks(data), strict=True))


def test_nothing_cannot_be_encoded() -> None:
    with pytest.raises(ValueError, match="no frames"):
        encode_clip([], crf=23, fps=25)


# --- files ------------------------------------------------------------------------------------------


def test_stills_are_written_with_masks_and_marks(photos: Path, tmp_path: Path) -> None:
    rows = read_rows(forge_dataset(photos, tmp_path, families=["swap", "inpaint"], videos=False, seed=5, count=1))
    forged = [row for row in rows if row["label"] == "1"]
    assert {row["method"] for row in forged} == {"swap/swap", "inpaint/fill", "inpaint/smooth", "inpaint/copy"}
    assert len(rows) == 2 * len(forged)
    for row in forged:
        sizes, comments = zip(*(read_picture(tmp_path / row[key]) for key in ("file", "pair", "mask")), strict=True)
        assert len(set(sizes)) == 1
        assert MARK[True] in comments[0]
        assert MARK[False] in comments[1]
        assert cv2.imread(str(tmp_path / row["mask"])).max() > 100
        assert row["donor"] != row["source"]
        assert float(row["change"]) > 1.5 * float(row["noise"]) or row["method"] == "inpaint/smooth"
        assert bool(row["donor"]) == row["method"].startswith("swap")
        size, comment = read_picture(tmp_path / "gallery" / f"{row['method'].replace('/', '-')}.png")
        assert size == (4 * CELL_PX, CELL_PX + TITLE_PX)
        assert MARK[True] in comment


def test_the_same_seed_writes_the_same_files(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = read_stills(photos, MIN_SOURCES, np.random.default_rng(0))
    monkeypatch.setattr(dataset, "read_stills", lambda *_: found)  # faces need not be found three times

    def write(folder: str, families: list[str], seed: int) -> dict[str, bytes]:
        forge_dataset(photos, tmp_path / folder, families=families, videos=False, seed=seed, count=1)
        return {path.name: path.read_bytes() for path in (tmp_path / folder).glob("decoder-codes*.png")}

    first = write("first", ["decoder"], 5)
    assert len(first) == 3
    assert write("among-others", ["self_blend", "decoder"], 5) == first
    assert write("other", ["decoder"], 6) != first


def test_clips_are_written_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "clips"
    data.mkdir()
    monkeypatch.setattr(dataset, "MIN_SOURCES", 2)
    for index in range(2):
        view = make_view(index)
        frames = [np.roll(view, shift, axis=1) for shift in range(MIN_FRAMES)]
        (data / f"clip-{index}.mp4").write_bytes(encode_clip(frames, crf=18, fps=25))
    out = tmp_path / "out"
    rows = read_rows(
        forge_dataset(data, out, families=["self_blend"], videos=True, seed=2, count=1, n_frames=MIN_FRAMES)
    )
    genuine, forged = rows
    codecs = []
    for name, is_forged in ((genuine["file"], False), (forged["file"], True)):
        with av.open(str(out / name)) as container:
            assert MARK[is_forged] in container.metadata["comment"]
            stream = container.streams.video[0]
            codecs.append((stream.codec_context.name, stream.width, stream.height, stream.frames, stream.average_rate))
    assert codecs[0] == codecs[1]
    masks = decode_masks((out / forged["mask"]).read_bytes())
    assert len(masks) == codecs[0][3] == int(forged["n_frames"])
    assert masks[0].shape == (codecs[0][2], codecs[0][1])
    assert max(mask.max() for mask in masks) > 100


def test_fakes_of_a_manifest_are_no_sources(photos: Path, tmp_path: Path) -> None:
    lines = ["file,label", *(f"view-{index}.png,{int(index == 0)}" for index in range(MIN_SOURCES))]
    data = tmp_path / "labelled"
    data.mkdir()
    for path in photos.iterdir():
        (data / path.name).write_bytes(path.read_bytes())
    (data / "manifest.csv").write_text("\n".join(lines))
    with pytest.raises(ValueError, match=f"^{MIN_SOURCES - 1} genuine faces"):
        forge_dataset(data, tmp_path / "out", families=["swap"], videos=False, seed=0, count=1)


def test_an_unknown_family_is_named(photos: Path, tmp_path: Path) -> None:
    arguments = ["forge", str(photos), "--out", str(tmp_path / "out"), "--seed", "1", "--families", "nonsense"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "nonsense" in result.output
    assert not (tmp_path / "out").exists()


def test_a_sheet_of_a_clip_shows_moments_side_by_side() -> None:
    frames = make_frames(20)
    masks = [frame[:, :, 0] for frame in frames]
    sheet = draw_sheet("title", [Example(frames, frames, masks)])
    assert sheet.shape == (TITLE_PX + 4 * CELL_PX, 6 * CELL_PX, 3)
    assert sheet[TITLE_PX + 3 * CELL_PX :].max() == 0  # twins that do not differ
    with pytest.raises(ValueError, match="nothing to show"):
        draw_sheet("title", [])
