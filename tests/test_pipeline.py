"""The whole analysis on the astronaut's face, with small random weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from skimage import data

from space.analysis.pipeline import check_file
from space.analysis.report import from_json, to_json
from space.contract import Analysis, Report
from space.errors import RequestError, SourceError
from space.models.weights import Ensemble, load_ensemble
from space.settings import PROJECT_ROOT, Settings
from tests.ensembles import RECORD, write_ensemble
from tests.explained import tiny_member

N_CLIP_FRAMES = 12
FOUND = PROJECT_ROOT / "space" / "service" / "page" / "examples" / "found"
(BOTH_EYES_FORGED,) = FOUND.glob("*-both_eyes-forged.jpg")


def quiet(_stage: str, _fraction: float) -> None:
    """Progress that nobody watches."""


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory: pytest.TempPathFactory) -> Ensemble:
    return load_ensemble(folder=write_ensemble(tmp_path_factory.mktemp("ensemble")))


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "astronaut.png"
    Image.fromarray(data.astronaut()).save(path)
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The astronaut, panned over."""
    path = tmp_path_factory.mktemp("clip") / "astronaut.mp4"
    picture = data.astronaut()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 400, 400, "yuv420p"
        for i in range(N_CLIP_FRAMES):
            shifted = np.ascontiguousarray(picture[i * 2 : i * 2 + 400, 60 + i * 3 : 460 + i * 3])
            for packet in stream.encode(av.VideoFrame.from_ndarray(shifted, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


@pytest.fixture(scope="module")
def analysis(clip: Path, ensemble: Ensemble) -> Analysis:
    return check_file(clip, settings=Settings(n_frames=6), ensemble=ensemble, progress=quiet)


def pictures_of(report: Report) -> set[str]:
    names = {track.thumbnail for track in report.tracks}
    for moment in report.evidence:
        names |= {moment.crop, moment.overlay}
        names |= {name for layers in moment.maps.values() for name in layers.values()}
    return names


def test_report_holds_one_person_and_the_strongest_moments(analysis: Analysis) -> None:
    report = analysis.report
    assert (report.n_frames, report.n_faces, len(report.tracks)) == (6, 6, 1)
    assert len(report.evidence) == 4
    p = [moment.p_fake for moment in report.evidence]
    assert p == sorted(p, reverse=True)
    assert {frame.time_s for frame in report.tracks[0].frames} >= {moment.time_s for moment in report.evidence}
    assert [member.name for member in report.ensemble.members] == ["small", "other"]
    assert sum(member.weight for member in report.ensemble.members) == pytest.approx(1)


def test_report_survives_the_json_door(analysis: Analysis) -> None:
    document = to_json(analysis.report)
    assert to_json(from_json(document)) == document


def test_every_picture_named_is_there_and_no_other(analysis: Analysis) -> None:
    assert pictures_of(analysis.report) == set(analysis.pictures)
    assert all(data.startswith(b"\xff\xd8\xff") for data in analysis.pictures.values())


def test_parts_of_a_moment_share_its_heat(analysis: Analysis) -> None:
    for moment in analysis.report.evidence:
        assert moment.heat > 0
        assert sum(part.share for part in moment.parts) == pytest.approx(1, abs=1e-6)


def test_frame_estimates_follow_from_logits_and_calibration(analysis: Analysis) -> None:
    for frame in analysis.report.tracks[0].frames:
        mean = frame.logits["small"] / 3 + frame.logits["other"] * 2 / 3
        assert frame.p_fake == pytest.approx(1 / (1 + np.exp(-mean)), abs=1e-6)


def test_progress_only_grows(clip: Path, ensemble: Ensemble) -> None:
    seen: list[tuple[str, float]] = []
    check_file(clip, settings=Settings(n_frames=4), ensemble=ensemble, progress=lambda *step: seen.append(step))
    fractions = [fraction for _, fraction in seen]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert {"source", "frames", "faces", "scores", "verdict", "pictures"} <= {stage for stage, _ in seen}


def test_the_same_clip_gives_the_same_result(clip: Path, ensemble: Ensemble, analysis: Analysis) -> None:
    again = check_file(clip, settings=Settings(n_frames=6), ensemble=ensemble, progress=quiet)
    ours, theirs = (replace(report, id="", created="", timing_s={}) for report in (analysis.report, again.report))
    assert ours == theirs
    assert analysis.pictures == again.pictures


def test_without_maps_the_verdict_is_the_same(clip: Path, ensemble: Ensemble, analysis: Analysis) -> None:
    plain = check_file(clip, settings=Settings(n_frames=6, maps=False), ensemble=ensemble, progress=quiet).report
    assert plain.evidence == ()
    assert plain.parts is None
    assert plain.verdict.code == analysis.report.verdict.code
    assert plain.verdict.p_fake == pytest.approx(analysis.report.verdict.p_fake, abs=1e-4)


@pytest.mark.parametrize(("bias", "code"), [(-1e6, "strong"), (1e6, "little")])
def test_parts_are_named_only_where_the_verdict_allows(photo: Path, tmp_path: Path, bias: float, code: str) -> None:
    ensemble = load_ensemble(folder=write_ensemble(tmp_path, bias=bias))
    report = check_file(photo, settings=Settings(), ensemble=ensemble, progress=quiet).report
    assert report.source.kind == "image"
    assert report.verdict.code == code
    assert report.parts is not None
    assert len(report.evidence) == 1
    if code == "little":
        assert not any(part.compromising for part in report.parts.parts)
        assert report.parts.sentence.id == "parts.withheld"
    else:
        assert report.parts.sentence.id != "parts.withheld"


def test_a_named_part_is_checked_where_it_is_known_what_blurring_usually_takes() -> None:
    ensemble = load_ensemble()
    lower = replace(ensemble.record.thresholds, some_from=0.9)  # parts are named with signs only
    shipped = replace(ensemble, record=replace(ensemble.record, thresholds=lower))
    unknown = replace(shipped, record=replace(shipped.record, usual_drops=None))
    reports = [
        check_file(BOTH_EYES_FORGED, settings=Settings(), ensemble=one, progress=quiet).report
        for one in (shipped, unknown)
    ]
    known, not_known = (report.parts for report in reports)
    assert known is not None
    assert not_known is not None
    named = {part.name for part in known.parts if part.compromising}
    assert named == {part.name for part in not_known.parts if part.compromising}
    assert {"left_eye", "right_eye"} <= named
    assert {part.name for part in known.parts if part.verified is not None} == named - {"outside"}
    assert known.verification is not None
    assert not_known.verification is None
    assert all(part.verified is None and part.drop is None for part in not_known.parts)


def test_no_face_is_not_applicable(tmp_path: Path, ensemble: Ensemble) -> None:
    path = tmp_path / "wall.png"
    Image.new("RGB", (300, 200), (90, 120, 150)).save(path)
    analysis = check_file(path, settings=Settings(), ensemble=ensemble, progress=quiet)
    assert analysis.report.verdict.code == "not_applicable"
    assert (analysis.report.tracks, analysis.report.evidence, analysis.pictures) == ((), (), {})
    to_json(analysis.report)


def test_a_failure_is_an_error_with_a_code(tmp_path: Path, clip: Path, ensemble: Ensemble) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("not a video")
    with pytest.raises(SourceError) as refused:
        check_file(text, settings=Settings(), ensemble=ensemble, progress=quiet)
    assert refused.value.code == "unsupported_type"
    with pytest.raises(RequestError) as out_of_range:
        check_file(clip, settings=Settings(n_frames=3), ensemble=ensemble, progress=quiet)
    assert out_of_range.value.code == "bad_frames"


def test_a_member_that_reads_tracks_counts_by_its_weight(clip: Path) -> None:
    members = (tiny_member(name="small"), tiny_member(sequence=True, name="other"))
    alone, reader, both = (
        check_file(
            clip, settings=Settings(n_frames=6), ensemble=Ensemble(RECORD, chosen, shares), progress=quiet
        ).report
        for chosen, shares in ((members[:1], (1.0,)), (members[1:], (1.0,)), (members, (0.25, 0.75)))
    )
    logits = [[np.log(f.p_fake / (1 - f.p_fake)) for f in report.tracks[0].frames] for report in (alone, reader, both)]
    assert np.ptp(logits[1]) < 1e-9, "a track has one logit"
    assert np.ptp(logits[0]) > 1e-6
    np.testing.assert_allclose(logits[2], 0.25 * np.array(logits[0]) + 0.75 * np.array(logits[1]), atol=1e-6)
    assert set(both.evidence[0].maps) == {"small", "other"}
    assert [member.name for member in both.ensemble.members] == ["small", "other"]
