"""What a link to a shared report looks like in a messenger: the verdict in icon, words and colour, and a heat map."""

from __future__ import annotations

import io
from contextlib import suppress

from PIL import Image, ImageDraw

from space.service.page.palette import load_palette
from space.service.share.icons import draw_icon, icon_names
from space.service.share.lettering import MissingLettersError, set_lines
from space.service.share.story import Story
from space.service.share.words import StoryWords
from space.texts import FALLBACK_LANGUAGE

WIDTH_PX, HEIGHT_PX = 1200, 630  # Open Graph's
MARGIN_PX = 64
PICTURE_PX = HEIGHT_PX - 2 * MARGIN_PX
GAP_PX = 56
TEXT_PX = WIDTH_PX - 2 * MARGIN_PX - PICTURE_PX - GAP_PX
RADIUS_PX = 18
ICON_PX = 92
SUMMARY_LINE_PX = 35
JPEG_QUALITY = 88


def draw_preview(story: Story, picture: bytes | None, *, lang: str) -> bytes:
    """A picture of 1200 by 630, in English where no font has the language's letters.

    Args:
        picture: the strongest moment's heat map over the face, as JPEG or PNG; without one the icon takes its place.

    Returns:
        JPEG.
    """
    try:
        canvas = _draw(story, picture, lang)
    except MissingLettersError:
        canvas = _draw(story, picture, FALLBACK_LANGUAGE)
    out = io.BytesIO()
    canvas.save(out, "JPEG", quality=JPEG_QUALITY, optimize=True, subsampling=0)
    return out.getvalue()


def _draw(story: Story, picture: bytes | None, lang: str) -> Image.Image:
    words = StoryWords(lang)
    code = story.verdict.code
    colours, ground = load_palette()["verdicts"][code]["light"], load_palette()["themes"]["light"]
    canvas = Image.new("RGB", (WIDTH_PX, HEIGHT_PX), colours["tint"])
    draw = ImageDraw.Draw(canvas)
    right = WIDTH_PX - MARGIN_PX - PICTURE_PX
    icon = icon_names()[code]
    if picture is None:
        side = PICTURE_PX * 2 // 3
        big = draw_icon(icon, side, colours["ink"])
        canvas.paste(big, (right + (PICTURE_PX - side) // 2, (HEIGHT_PX - side) // 2), big)
        top = MARGIN_PX
    else:
        canvas.paste(*_rounded(picture, right))
        small = draw_icon(icon, ICON_PX, colours["ink"])
        canvas.paste(small, (MARGIN_PX - 4, MARGIN_PX - 8), small)
        top = MARGIN_PX + ICON_PX + 16

    title = set_lines(
        words.say(story.verdict.sentence), width_px=TEXT_PX, max_lines=3, sizes=range(58, 35, -2), weight="Bold"
    )
    title.draw(draw, (MARGIN_PX, top), colours["ink"])
    when = words.t("share.preview.foot", date=story.created[:10])
    foot = set_lines(when, width_px=TEXT_PX, max_lines=1, sizes=range(25, 17, -1), weight="Regular")
    foot.draw(draw, (MARGIN_PX, HEIGHT_PX - MARGIN_PX - foot.height), ground["ink"])
    summary_top = top + title.height + 20
    room_px = HEIGHT_PX - MARGIN_PX - foot.height - 20 - summary_top
    with suppress(MissingLettersError):  # a report of another version may say anything
        summary = set_lines(
            words.summary(story),
            width_px=TEXT_PX,
            max_lines=max(1, room_px // SUMMARY_LINE_PX),
            sizes=range(29, 22, -1),
            weight="Regular",
        )
        summary.draw(draw, (MARGIN_PX, summary_top), ground["ink"])
    return canvas


def _rounded(picture: bytes, left: int) -> tuple[Image.Image, tuple[int, int], Image.Image]:
    """A picture at its size and place, and the mask of its rounded corners."""
    size = (PICTURE_PX, PICTURE_PX)
    with Image.open(io.BytesIO(picture), formats=("JPEG", "PNG")) as opened:
        image = opened.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    mask = Image.new("L", (2 * PICTURE_PX, 2 * PICTURE_PX), 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, 2 * PICTURE_PX - 1, 2 * PICTURE_PX - 1), 2 * RADIUS_PX, fill=255)
    return image, (left, MARGIN_PX), mask.resize(size, Image.Resampling.LANCZOS)
