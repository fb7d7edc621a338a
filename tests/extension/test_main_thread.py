"""How much of a page's main thread a check takes, against the same page playing by itself, in one run.

``pytest -m timed tests/extension/test_main_thread.py`` prints the figures. They are the thread's own time: on a
machine that does other things as well, wall time counts those.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from space.contract import U8
from tests.extension.test_coder import WATCH
from tests.extension_browser import Rig, copy_extension, extension_rig, wait_until
from tests.fake_space import FakeSpace
from tests.fixture_sites import fixture_sites
from tests.main_thread import Work, record
from tests.media import write_clip

pytestmark = [pytest.mark.browser, pytest.mark.timed]

SIZE_WH = (1280, 720)
FPS, N_FRAMES = 25, 100
QUIET_S = 4.0
MOST_MS_PER_S = 30.0  # while sampling
MOST_IDLE_MS_PER_S = 5.0  # with the verdict shown; the page itself moves by as much from one second to the next
LEAST_GAIN = 2.0  # of the coder's frame over coding on the page's thread


def draw_frames() -> Iterator[U8]:
    """Soft shapes that move, under the noise of a camera: as heavy to code as a real video, or heavier."""
    rng = np.random.default_rng(1)
    soft = Image.fromarray(rng.integers(0, 256, (90, 160, 3), np.uint8)).resize(SIZE_WH, Image.Resampling.BICUBIC)
    shapes = np.asarray(soft).astype(np.int16)
    noise = rng.normal(0, 6, (SIZE_WH[1], SIZE_WH[0], 1)).astype(np.int16)
    for i in range(N_FRAMES):
        frame = np.roll(shapes, 3 * i, axis=1) + np.roll(noise, 17 * i, axis=0)
        yield np.clip(frame, 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Measured:
    """One check on a playing page."""

    spans: dict[str, Work]  # the page by itself, entered, sampled, waiting, with the verdict shown
    n_frames: int

    @property
    def frame_ms(self) -> float:
        """What one frame took, beyond what the page does by itself."""
        alone_ms = self.spans["alone"].cpu_ms_per_s * self.spans["sampled"].span_s
        return (self.spans["sampled"].cpu_ms - alone_ms) / self.n_frames

    def added_ms_per_s(self, name: str) -> float:
        return self.spans[name].cpu_ms_per_s - self.spans["alone"].cpu_ms_per_s


def check_recorded(rig: Rig, space: FakeSpace, url: str, *, on_page: bool) -> Measured:
    """Check a page's video while it plays."""
    page = rig.open(url)
    page.evaluate(WATCH, on_page)  # a page that removes the coder's frame codes its frames itself
    page.evaluate("() => Object.assign(document.querySelector('video'), { loop: true, width: 640 }).play()")
    time.sleep(1)
    with record(page) as recording:
        recording.mark("alone")
        time.sleep(QUIET_S)
        recording.mark("entered")
        job_id = rig.check(page)
        recording.mark("sampled")
        wait_until(lambda: rig.job(job_id)["stage"] != "capturing", every_s=0.02)
        recording.mark("waited")
        rig.wait_for_stage(job_id, "done")
        time.sleep(1)
        recording.mark("shown")
        time.sleep(QUIET_S)
    page.close()
    return Measured(recording.spans(), len(space.last["frames"]))


def test_sampling_leaves_the_main_thread_alone(
    chromium_path: str, tmp_path: Path, space: FakeSpace, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"preset": "ultrafast", "crf": "20", "g": "25"}
    clip = write_clip(tmp_path / "own.mp4", fps=FPS, size_wh=SIZE_WH, images=draw_frames(), options=options)
    extension = copy_extension(tmp_path / "telltale", space.url)
    with (
        fixture_sites(tmp_path, clip.read_bytes()) as sites,
        extension_rig(chromium_path, extension, tmp_path / "profile") as rig,
    ):
        rig.settings(space_url=space.url, consented=True, language="en")
        url = sites.url("/own")
        drawn, coded = (check_recorded(rig, space, url, on_page=on_page) for on_page in (True, False))
    added, idle = coded.added_ms_per_s("sampled"), coded.added_ms_per_s("shown")
    gain = drawn.frame_ms / coded.frame_ms
    lines = []
    for title, measured in {"on the page": drawn, "in the extension's frame": coded}.items():
        lines.append(f"{measured.n_frames} frames coded {title}, {measured.frame_ms:.1f} ms each")
        lines += [f"  {name:8} {work}" for name, work in measured.spans.items()]
    lines.append(f"sampling adds {added:.1f} ms/s; a frame costs 1/{gain:.1f}; the verdict shown adds {idle:.1f} ms/s")
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(lines) + "\n")
    assert added < MOST_MS_PER_S
    assert gain > LEAST_GAIN
    assert idle < MOST_IDLE_MS_PER_S
