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
    "Af7vu0AvptVC01BC6S4rL2YrdX7DGLeTHFr-5sywfbdgSMvUqqD5pLv1qiGsOtpZp4ngLub1D-OL1xKk3_sNTgF42sVW247bOAz9"
    "Fz1rBFGSdcl37NMGgSHL9MStYwe2006x6L8vZTu3mQK97MO-zMiHOiR1SFHZs6KRySFUIaraeG2TQV-Da6K0lQ6qYJwpqeyL1C9g"
    "_pJhp-yu0H8TLAUIyfieXc7dEGvG-0vXcXY6GzIelaV_IIUEroIIjoPykjsluTLgndacpWBl0qYyjYHC1SmEYG0ItXOuwqJQsoHo"
    "k5PoQ9JJQlVojAFkEaqmQGuvEWM1YT-zA_ccCspnmsehf82ZfcGxbtMsrsg_3w98v2cjxmnoxdBjecaRlmRh8xjTZ7YDzvpyWU9s"
    "p_L-6_bTMM1lM8YTTmV8HREzq9-WO7fwhjl2bOefaHiqKMgPKCpTNvMS68Cl8ErzvRSOTkIfXh1yxvAbp_rf0vSUhBRWGy4zZgOf"
    "xwtSCFg-YAGvmBagLVcZK26gEdoB1wRadwMLchm4WcJcMSu8MzyHDqCuoBdggFsCDeWwgYFcWu4y2230w9I2ZFN0-q6d5w4fVb0i"
    "f6qq-0NV76R-mI9t_1pOc-zrqRwu85JNll0GlWWXNh-TFCTQPcku78LdZZdef9QdiNHEbnoWXhYfdQfjPmoM91reNZbWPWm89u5a"
    "rT3DL22NfULRDSl27YT1cu_aE5YkwbqLneM409d-WZDsl_nIVlSM7etxLj_Fr-zwfQ2w_lkqBXxN-Gdh1l3_Icx62ocwdds0lwkf"
    "gyx73pOXdlriPmf2a6ks7TKcaNBNW_Ns_abXPt14UihluBGO6rmVh9295LpZKrSA-6XbzOmI-HnZAIaDMIW7dQdL1I5s6SPHlQC6"
    "-jdTP-ST576jVhOFgruJEppIotWauwPcveNYh81DUOlyUGke6M0w4hHzu5K70uehQMPmmb-dSRaK2OAe8loPhd_W8JQxCAX-Hf1m"
    "zvSs2zt6NQ6rf8gdbwO849_t-ZpYulirPZeazdh1VCB8wbd4OueJwoDlSmHTtKmlQvZILugF_QEC2W1BT2QMzgOoFKGq6hSbmJQG"
    "epij0nUydXTeEtvTFaWH26kqeNLaF7FBNL6q2DpWph7f5iI7vq1Lrd5M_RBKo9LowUqpQxFM1NoH09jCGvp1QMOCvNUuSul9bVQy"
    "MVVOI0asi5CkDDU7rB3etad2FpQoTcqh775tk3TDabaVcZpwWpv_yVKex2FontFp0a7eRu86Qbf19n6t--hcGMd0LL9iLt307IX6"
    "aC5P8bzyE1WG6GDoTh7-BeZXw9A"
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
    assert len(write_link(tell(example_report()), KEY)) < 1500


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
    today = read_link(write_link(tell(example_report()), KEY), KEY.public)
    # Since then the example has got another limit, counts frames instead of moments, and says what blurring showed.
    parts = replace(today.parts, sentence=story.parts.sentence, verification=None)
    assert story == replace(today, limits=today.limits[: len(story.limits)], parts=parts)


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
