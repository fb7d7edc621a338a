"""Reports inside their own links: what they carry, how long they are, and what is not let in."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from space.contract import MemberInfo, Report, VerdictCode
from space.errors import ServiceError
from space.service.share.link import LAYOUT, LINK_CONTEXT, MAX_CHARS, MAX_JSON_BYTES, read_link, thin_out, write_link
from space.service.share.signature import SIGNATURE_BYTES, SigningKey
from space.service.share.story import Point, Story, tell
from tests.analyses import example_report, image_analysis, make_analysis
from tests.shared_reports import KEY, OTHER_KEY

# The example report in a link of this layout. If a change of records makes this fail, LAYOUT must grow.
GOLDEN = (
    "AYlRNuqgthOL3NVzxwFMsQ5ijXBydUSBes-562zk7s9knISjA2Dew_b2BnW-A9pNcghyVxdaJwiZ4xHQ_oZENg142sVVyY7jNhD9"
    "F57ZBPfF35FTDEOgyFJbGVkyJHqmg2D-PUVJbrfTAySZHHKxqVf7qyrySEzHkwPRhiiz9somDT4L10VuWxWkIZRILu0LVy9C_8LD"
    "QdqDUb8izJlgnNAjuV2HKWZCx9swUHK5ahSepcU_wRkXVAYWHBXSc-okp1IL75SiJAXLk9Kt7rQwLqcQgrUhZOdcC8ZI3onok-Pg"
    "Q1KJi9YoiEFwE9rOgLX3iLFdYCzkRD0VBvNZyjyNrzWzrzDnPhV2R_74fqLHI5khLtPIphGaK8x4RAkpc0xfyEFQMjbreSEHWfXv"
    "6pdpKU03xwssTXydAarVuB8PbrWbShzIwT-ZwaXFID8wkdVkF6-xTpQzLxU9cuawEvzw8lQzFv-iqv8tTY9JcGaVprxiNtAy3wBD"
    "iPVDrOAdU0woS2XFzDuomXKCKgStewcNugxUr2HumGXeaVpDByHvoGdCC2oR1JjDDgZ0aamr1m43P61jgzKJ1Q99KQN8ZPWO_Cyr"
    "7idZfRiNUzn342uzlDjmpZluZc2m0s6DrLRzW8tEBhF0T7TzB3EP2rlXn3kXaNHFYXkmnpvPvAvtPnMsHr18cMyte-J4m92tW0cC"
    "X_sMYwI2TCkO_QJ53bv-Ag1SsGmRa5wLfh3XA9J-K2eyoWzuX8-l-S1-I6fvW4DtZ-2UoFvCfxdm0_oPYbZqP4TJfdfdFvgYZNX5"
    "q_E6Tmvc58z-WSrruEwXvOiWfXj2eVPbnO52nEmpqWYO-7m3hzy81L5ZbDQTj6XbxekM8GVVEJoKpo17nw6ScBzJOkeOSiZw9d9F"
    "41Qrr3OHo8aMFLuoVksKDAPmCC_wFi_XulREkJosdF2feqxlhNK0-Ij8ABHVrcFXIgbnhZApirbNKXYxSSXwbYpS5aRzdN6itccp"
    "xbfLyTZ47pw3sQPQvm3JtlnLCG_FVMfv50bJN50_hFIgFXhhOVfBBB2V8kF31liNDyTuC3rLLnLufdYy6ZhapwAiZBMS5yGT09bk"
    "ob_0hWGieFlM4_D7fpnsOK53E5cFlq3_T5LmOk9T94wuK3d5v322S2Q_71f4pod1QZzTufkGtaPLs5czxNJc4nWzT9gZNBcax_L0"
    "JyTIef8"
)


def long_report(n_people: int = 12, n_frames: int = 128, n_members: int = 2) -> Report:
    report = example_report()
    track = report.tracks[0]
    frames = tuple(
        replace(track.frames[0], frame_index=i, time_s=i * 4.687, p_fake=(i * 37 % 128) / 127) for i in range(n_frames)
    )
    member = report.ensemble.members[0]
    members = tuple(replace(member, name=f"m{i}", sha256=f"{i:064x}") for i in range(n_members))
    return replace(
        report,
        n_frames=n_frames,
        tracks=tuple(replace(track, id=number + 1, frames=frames) for number in range(n_people)),
        ensemble=replace(report.ensemble, members=members),
    )


def sealed(body: bytes, key: SigningKey = KEY, layout: int = LAYOUT) -> str:
    """A payload around any bytes, signed as ours."""
    head = bytes([layout])
    return base64.urlsafe_b64encode(head + key.sign(LINK_CONTEXT + head + body) + body).decode().rstrip("=")


# --- what a link carries ----------------------------------------------------------------------


@pytest.mark.parametrize("code", ["strong", "some", "inconclusive", "little", "not_applicable"])
def test_a_link_carries_the_report_but_no_pictures(code: VerdictCode) -> None:
    story = tell(make_analysis(code).report)
    read = read_link(write_link(story, KEY), KEY.public)
    assert read.verdict.code == code
    assert read.verdict.sentence == story.verdict.sentence
    assert [reason.id for reason in read.verdict.reasons] == [reason.id for reason in story.verdict.reasons]
    assert read.ensemble == story.ensemble
    assert read.source == story.source
    assert read.limits == story.limits
    assert (read.report_id, read.created, read.app_version) == (story.report_id, story.created, story.app_version)
    assert all(person.thumbnail is None for person in read.people)
    assert all((moment.crop, moment.overlay, dict(moment.maps)) == (None, None, {}) for moment in read.moments)
    assert [person.n_seen for person in read.people] == [person.n_seen for person in story.people]
    for before, after in zip(story.people, read.people, strict=True):
        assert [point.p_fake for point in after.points] == pytest.approx([p.p_fake for p in before.points], abs=5e-4)


def test_a_photo_fits_as_well() -> None:
    story = read_link(write_link(tell(image_analysis().report), KEY), KEY.public)
    assert story.is_image


def test_links_are_the_same_for_the_same_report() -> None:
    story = tell(example_report())
    assert write_link(story, KEY) == write_link(story, KEY)


def test_usual_links_are_short() -> None:
    assert len(write_link(tell(example_report()), KEY)) < 1300


def test_long_reports_lose_points_and_people_but_not_the_strongest() -> None:
    payload = write_link(tell(long_report()), KEY)
    assert len(payload) <= MAX_CHARS
    read = read_link(payload, KEY.public)
    assert 2 <= len(read.people) < 12
    for person in read.people:
        assert person.points[0].frame_index == 0
        assert person.n_seen == 128
    assert read.verdict.code == "strong"


def test_what_cannot_fit_is_an_error() -> None:
    with pytest.raises(ServiceError, match="share_failed"):
        write_link(tell(with_noisy_members(40)), KEY)


def with_noisy_members(n_members: int) -> Report:
    """Checksums do not compress."""
    import hashlib

    report = example_report()
    members = tuple(
        MemberInfo(f"member-{i}", "resnext50", "1", 0.1, hashlib.sha256(bytes([i])).hexdigest())
        for i in range(n_members)
    )
    return replace(report, ensemble=replace(report.ensemble, members=members))


POINTS = st.lists(st.floats(0, 1), min_size=1, max_size=140).map(
    lambda values: tuple(Point(float(i), i, value, usable=True) for i, value in enumerate(values))
)


@given(points=POINTS, n_points=st.integers(2, 40))
def test_thinning_keeps_order_ends_and_the_highest(points: tuple[Point, ...], n_points: int) -> None:
    kept = thin_out(points, n_points)
    assert len(kept) <= max(n_points, 2)
    assert list(kept) == sorted(set(kept), key=lambda point: point.frame_index)
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    if n_points > 2:
        assert max(point.p_fake for point in kept) == max(point.p_fake for point in points)


def test_an_old_link_can_still_be_read() -> None:
    story = read_link(GOLDEN, KEY.public)
    assert story.report_id == example_report().id
    assert story == read_link(write_link(tell(example_report()), KEY), KEY.public)


# --- what is not let in -----------------------------------------------------------------------

PAYLOAD = write_link(tell(example_report()), KEY)


@given(position=st.integers(0, len(PAYLOAD) - 1), letter=st.sampled_from("AZaz09-_=+/. %é"))
def test_no_letter_can_be_changed(position: int, letter: str) -> None:
    changed = PAYLOAD[:position] + letter + PAYLOAD[position + 1 :]
    if changed != PAYLOAD:
        with pytest.raises(ServiceError, match="bad_signature"):
            read_link(changed, KEY.public)


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "A",
        "AQ",
        PAYLOAD[:-1],
        PAYLOAD[:-40],
        PAYLOAD + "A",
        PAYLOAD + "=",
        PAYLOAD + "\n",
        " " + PAYLOAD,
        PAYLOAD.replace("-", "+").replace("_", "/") + "/",
        PAYLOAD * 2,
        "A" * (MAX_CHARS + 1),
        "é" * 100,
        "../../etc",
        write_link(tell(example_report()), OTHER_KEY),
    ],
    ids=lambda payload: payload[:16],
)
def test_what_we_did_not_sign_is_refused(payload: str) -> None:
    with pytest.raises(ServiceError, match="bad_signature"):
        read_link(payload, KEY.public)


def test_nothing_is_unpacked_before_its_signature_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("unpacked")

    monkeypatch.setattr(zlib, "decompressobj", refuse)
    bomb = zlib.compress(bytes(1_000_000), 9)
    with pytest.raises(ServiceError, match="bad_signature"):
        read_link(sealed(bomb, OTHER_KEY), KEY.public)


@pytest.mark.parametrize(
    "body",
    [
        zlib.compress(b" " * (MAX_JSON_BYTES + 1), 9),  # a bomb
        zlib.compress(bytes(1_000_000), 9),
        zlib.compress(b"[]"),
        zlib.compress(b"{}"),
        zlib.compress(b"null"),
        zlib.compress(b"[" * 60_000),
        zlib.compress(b"\xff\xfe"),
        zlib.compress(b"[]") + b"more",
        zlib.compress(json.dumps([None] * 12).encode()),
        zlib.compress(json.dumps(["x"] * 12).encode()),
        b"",
        b"no stream",
        zlib.compress(b"[]" * 100)[:-2],
    ],
    ids=range(13),
)
def test_even_our_signature_lets_no_nonsense_in(body: bytes) -> None:
    with pytest.raises(ServiceError, match="bad_signature"):
        read_link(sealed(body), KEY.public)


def test_another_layout_is_refused() -> None:
    body = base64.urlsafe_b64decode(PAYLOAD + "=" * (-len(PAYLOAD) % 4))[1 + SIGNATURE_BYTES :]
    assert read_link(sealed(body), KEY.public)
    with pytest.raises(ServiceError, match="bad_signature"):
        read_link(sealed(body, layout=LAYOUT + 1), KEY.public)


def test_a_link_holds_no_address() -> None:
    report = example_report()
    source = replace(report.source, kind="url", host="video.example")
    payload = write_link(tell(replace(report, source=source)), KEY)
    text = zlib.decompress(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))[1 + SIGNATURE_BYTES :])
    assert b"video.example" in text
    assert b"://" not in text
    story: Story = read_link(payload, KEY.public)
    assert story.source.host == "video.example"
