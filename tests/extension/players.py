"""Videos in pages, and what frames of them show."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from playwright.sync_api import Page

from space.contract import U8
from tests.media import number_of

STATE = "video => [video.currentTime, video.paused, video.muted, video.volume, video.playbackRate]"


def ready(page: Page, at_s: float = 2.0) -> list[Any]:
    """Wind the page's video somewhere; its state."""
    page.evaluate(f"""async () => {{
      const video = document.querySelector("video");
      if (!video) return;
      if (video.readyState < 2) await new Promise((resolve) => video.addEventListener("loadeddata", resolve));
      const there = new Promise((resolve) => video.addEventListener("seeked", resolve));
      [video.currentTime, video.volume, video.playbackRate] = [{at_s}, 0.4, 1.25];
      await there;
    }}""")
    return state(page)


def state(page: Page) -> list[Any]:
    found: list[Any] = page.evaluate(f"() => [...document.querySelectorAll('video')].slice(0, 1).flatMap({STATE})")
    return found


def numbers(frames: list[dict[str, Any]]) -> list[int]:
    """The numbers that captured frames show."""
    return [number_of(picture) for picture in pictures(frames)]


def pictures(frames: list[dict[str, Any]]) -> list[U8]:
    """What captured frames show: (height, width, 3) RGB."""
    return [np.asarray(jpeg.convert("RGB")) for jpeg in jpegs(frames)]


def jpegs(frames: list[dict[str, Any]]) -> list[JpegImageFile]:
    """Captured frames as Pillow opens them."""
    opened = [Image.open(io.BytesIO(base64.b64decode(frame["jpeg"]))) for frame in frames]
    assert all(isinstance(picture, JpegImageFile) for picture in opened)
    return opened  # type: ignore[return-value]
