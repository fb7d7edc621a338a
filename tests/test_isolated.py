"""Decoding in a child process: the same as in this one, and whatever happens to the child, one clip's error."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from space.contract import Clip, Frame, SourceKind
from space.errors import InternalError, RequestError, SourceError, TelltaleError
from space.intake import isolated
from space.intake.captured import CapturedFrame, pack_frames
from space.intake.frames import sample_frames
from space.intake.isolated import isolated_clip
from space.intake.source import open_sealed
from space.intake.vault import Sealed, Vault
from space.settings import MIB, PROJECT_ROOT, Limits
from tests import media
from tests.hostile_decoder import LIES
from tests.weighed import Weighed

LIMITS = Limits()
OTHERS: set[str] = set()


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    with Vault(tmp_path_factory.mktemp("vault")) as vault:
        yield vault


def seal(vault: Vault, data: bytes) -> Sealed:
    with vault.writer(max_bytes=200 * MIB) as writer:
        writer.write(data)
        return writer.seal()


@pytest.fixture(scope="module")
def video(vault: Vault, tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    path = media.write_clip(tmp_path_factory.mktemp("video") / "a.mp4")
    sealed = seal(vault, path.read_bytes())
    path.unlink()
    return sealed


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a decoder that misbehaves in some way in the real one's place."""
    monkeypatch.setattr(isolated, "GRACE_S", 0.5)

    def put(what: str) -> None:
        monkeypatch.setattr(isolated, "COMMAND", (sys.executable, "-m", "tests.hostile_decoder", what))

    return put


def run(sealed: Sealed, *, n_frames: int = 4, limits: Limits = LIMITS, kind: SourceKind = "upload") -> list[Frame]:
    with isolated_clip(sealed, n_frames=n_frames, limits=limits, kind=kind) as (_, frames):
        return list(frames)


def refusal(sealed: Sealed, *, limits: Limits = LIMITS, n_frames: int = 4) -> TelltaleError:
    with pytest.raises(TelltaleError) as refused:
        run(sealed, limits=limits, n_frames=n_frames)
    return refused.value


@pytest.fixture(autouse=True)
def _others() -> Iterator[None]:
    OTHERS.clear()  # other tests may have left a browser running
    OTHERS.update(children())
    yield
    assert not children()


def children() -> set[str]:
    """Processes that a test started and that still run, or were not waited for."""
    found: set[str] = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):  # a thread that has just ended
            found.update((task / "children").read_text().split())
    return found - OTHERS


# --- as in one process ------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["video", "photo", "frames"])
def test_clip_and_frames_are_those_of_one_process(vault: Vault, video: Sealed, what: str) -> None:
    kinds: dict[str, tuple[Sealed, SourceKind]] = {
        "video": (video, "url"),
        "photo": (seal(vault, media.encode_image(media.draw(7), "JPEG")), "upload"),
        "frames": (
            seal(vault, pack_frames([CapturedFrame(i, media.encode_image(media.draw(i), "WEBP")) for i in range(6)])),
            "frames",
        ),
    }
    sealed, kind = kinds[what]
    clip = open_sealed(sealed, limits=LIMITS, kind=kind, host="example.org", capture_method="canvas")
    with isolated_clip(sealed, n_frames=8, limits=LIMITS, kind=kind, host="example.org", capture_method="canvas") as (
        theirs,
        frames,
    ):
        assert theirs.info == clip.info
        with theirs.open() as stream:
            assert len(stream.read()) == sealed.size_bytes
        for frame, expected in zip(frames, sample_frames(clip, 8, limits=LIMITS), strict=True):
            assert (frame.index, frame.time_s) == (expected.index, expected.time_s)
            assert np.array_equal(frame.image, expected.image)
            assert frame.image.flags.writeable


@pytest.mark.parametrize(
    ("data", "n_frames", "limits", "code"),
    [
        (b"", 4, LIMITS, "empty"),
        (b"not a video", 4, LIMITS, "unsupported_type"),
        (bytes(2 * MIB), 4, Limits(max_bytes=MIB), "too_large"),
        (b"\x00\x00\x00\x18ftypmp42" + bytes(100), 4, LIMITS, "unreadable"),
        (media.encode_image(media.draw(1), "JPEG"), 3, LIMITS, "bad_frames"),
    ],
)
def test_refusals_cross_the_border(vault: Vault, data: bytes, n_frames: int, limits: Limits, code: str) -> None:
    sealed = seal(vault, data)
    with pytest.raises(TelltaleError) as here:
        sample_frames(open_sealed(sealed, limits=limits, kind="upload"), n_frames, limits=limits)
    there = refusal(sealed, limits=limits, n_frames=n_frames)
    assert (type(there), there.code, there.params) == (type(here.value), code, here.value.params)


def test_a_deleted_video_is_not_found(vault: Vault) -> None:
    sealed = seal(vault, b"gone")
    handle = sealed.handle()
    sealed.delete()
    with pytest.raises(SourceError, match="not_found"):
        run(sealed)
    forgotten = Sealed(handle, lambda _: None)
    assert refusal(forgotten).params == {"name": sealed.id}


def test_a_touched_video_is_our_error(vault: Vault, tmp_path: Path) -> None:
    sealed = seal(vault, media.write_clip(tmp_path / "a.mp4", n_frames=4).read_bytes())
    path = sealed.handle().path
    path.write_bytes(bytes(path.stat().st_size))
    assert isinstance(refusal(sealed), InternalError)


def test_who_leaves_early_leaves_nothing_running(video: Sealed) -> None:
    with isolated_clip(video, n_frames=16, limits=LIMITS, kind="upload") as (_, frames):
        next(frames)
        assert len(children()) == 1
    assert not children()


def test_several_at_once_do_not_mix(vault: Vault, video: Sealed) -> None:
    photos = [seal(vault, media.encode_image(media.draw(number), "PNG")) for number in (21, 22)]
    with ExitStack() as stack:
        opened = [
            stack.enter_context(isolated_clip(sealed, n_frames=4, limits=LIMITS, kind="upload"))
            for sealed in (*photos, video)
        ]
        numbers = [[media.number_of(frame.image) for frame in frames] for _, frames in opened]
    assert numbers[:2] == [[21], [22]]
    assert len(numbers[2]) == 4


# --- hostile media ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("deed", "code"),
    [
        ("measuring:crash", "unreadable"),
        ("measuring:spin", "decode_timeout"),
        ("measuring:devour", "unreadable"),
        ("sampling:crash", "unreadable"),
    ],
)
def test_what_a_codec_does_to_the_child_is_one_clips_error(
    video: Sealed, hostile: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, deed: str, code: str
) -> None:
    monkeypatch.setattr(isolated, "MEMORY_BYTES", 1024 * MIB)
    hostile(deed)
    assert refusal(video).code == code


@pytest.mark.parametrize("when", ["measuring", "sampling"])
def test_a_hang_is_ended(video: Sealed, hostile: Callable[[str], None], when: str) -> None:
    hostile(f"{when}:hang")
    limits = Limits(max_decode_s=2.0)
    began = time.monotonic()
    refused = refusal(video, limits=limits)
    assert (refused.code, refused.params) == ("decode_timeout", {"limit_s": 2.0})
    assert time.monotonic() - began < isolated.START_S


def test_frames_that_came_before_a_crash_are_handed_out(video: Sealed, hostile: Callable[[str], None]) -> None:
    hostile("sampling:crash")
    found: list[int] = []
    with isolated_clip(video, n_frames=4, limits=LIMITS, kind="upload") as (_, frames):
        with pytest.raises(SourceError, match="unreadable"):
            found.extend(frame.index for frame in frames)
        assert next(frames, None) is None
    assert found == [0, 1]


def test_the_childs_memory_is_bounded(
    video: Sealed, hostile: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    peaks: list[int] = []
    monkeypatch.setattr(isolated.subprocess, "Popen", partial(Weighed, peaks))
    monkeypatch.setattr(isolated, "MEMORY_BYTES", 768 * MIB)
    hostile("measuring:devour")
    refusal(video)
    assert 300 * MIB < max(peaks) < 1200 * MIB


def test_the_child_can_write_no_file(video: Sealed, hostile: Callable[[str], None]) -> None:
    hostile("measuring:write")
    assert "nothing could be written" in str(refusal(video).__cause__)


def test_the_child_sees_no_secrets(
    video: Sealed, hostile: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    hostile("measuring:tell")
    refused = refusal(video)
    assert isinstance(refused, InternalError)
    details = str(refused.__cause__)
    told = details[details.index("[[") : details.rindex("]") + 1]
    names, arguments = json.loads(told)
    assert set(names) <= {*isolated.KEPT_VARIABLES, *isolated.SET_VARIABLES, "LC_CTYPE"}
    assert video.handle().key.hex() not in arguments
    assert str(video.handle().path) not in arguments


def test_what_a_library_prints_is_no_message(video: Sealed, hostile: Callable[[str], None]) -> None:
    hostile("measuring:babble")
    assert "babbled" in str(refusal(video).__cause__)


@pytest.mark.parametrize("what", [*LIES, "shout"])
def test_a_child_that_lies_is_not_believed(video: Sealed, hostile: Callable[[str], None], what: str) -> None:
    hostile(what)
    refused = refusal(video, limits=Limits(max_decode_s=10))
    assert (type(refused).__name__, refused.code) in {("SourceError", "unreadable"), ("InternalError", "internal")}
    assert (refused.code == "internal") == (what == "shout")  # that one never began


@pytest.mark.parametrize("program", ["raise SystemExit(3)", "import os; os.kill(os.getpid(), 9)"])
def test_a_child_that_does_not_start_is_our_fault(video: Sealed, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(isolated, "COMMAND", (sys.executable, "-c", program))
    assert isinstance(refusal(video), InternalError)


def test_a_child_that_takes_too_long_to_start_is_our_fault(video: Sealed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "START_S", 0.3)
    monkeypatch.setattr(isolated, "COMMAND", (sys.executable, "-c", "import time; time.sleep(60)"))
    assert isinstance(refusal(video), InternalError)


PARENT = """
import os, signal, sys
from pathlib import Path
from space.intake.isolated import isolated_clip
from space.intake.vault import Vault
from space.settings import Limits
vault = Vault(Path(sys.argv[1]))
with vault.writer(max_bytes=10**8) as writer:
    writer.write(Path(sys.argv[2]).read_bytes())
    sealed = writer.seal()
with isolated_clip(sealed, n_frames=16, limits=Limits(), kind="upload") as (clip, frames):
    next(frames)
    print(Path(f"/proc/self/task/{os.getpid()}/children").read_text(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_child_ends_with_its_parent(tmp_path: Path) -> None:
    path = media.write_clip(tmp_path / "a.mp4", size_wh=(640, 480))  # a frame is more than a pipe holds
    told = subprocess.run(
        [sys.executable, "-c", PARENT, tmp_path / "vault", path],
        cwd=PROJECT_ROOT,
        stdout=subprocess.PIPE,
        check=False,
    )
    assert told.returncode == -signal.SIGKILL
    (child,) = told.stdout.split()
    deadline = time.monotonic() + 30
    while is_running(int(child)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(int(child))
    assert list((tmp_path / "vault").iterdir())  # what a crash leaves: unreadable, and deleted at the next start
    with Vault(tmp_path / "vault"):
        assert not list((tmp_path / "vault").iterdir())


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.mark.parametrize("seed", range(4))
def test_damaged_clips_end_as_in_one_process(vault: Vault, tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = bytearray(media.write_clip(tmp_path / "a.mp4").read_bytes())
    for place in rng.integers(0, len(data), 20 * seed):
        data[place] ^= 1 << int(rng.integers(8))
    sealed = seal(vault, bytes(data))
    here, child = set[object](), set[object]()
    for sample, found in [(sample_here, here), (run, child)] * 6:  # threads mend damaged blocks as they come to them
        try:
            found.add(tuple(frame.image.tobytes() for frame in sample(sealed)))
        except (SourceError, RequestError) as error:
            found.add(error.code)
    assert here & child


def sample_here(sealed: Sealed) -> list[Frame]:
    clip: Clip = open_sealed(sealed, limits=LIMITS, kind="upload")
    return list(sample_frames(clip, 4, limits=LIMITS))


# --- nothing left, little used ----------------------------------------------------------------


def test_no_plaintext_lies_on_the_disk_at_any_time(tmp_path: Path) -> None:
    path = media.write_clip(tmp_path / "a.avi", n_frames=12, codec="rawvideo", options={})
    data = path.read_bytes()
    path.unlink()
    pieces = [data[start : start + 16] for start in range(40_000, len(data) - 16, 40_000)]
    with Vault(tmp_path / "vault") as vault:
        sealed = seal(vault, data)
        with isolated_clip(sealed, n_frames=8, limits=LIMITS, kind="upload") as (_, frames):
            for _ in frames:
                stored = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
                assert not any(piece in stored for piece in pieces)
        sealed.delete()
        assert not [file for file in tmp_path.rglob("*") if file.is_file()]


def test_this_process_holds_one_frame(vault: Vault, tmp_path: Path) -> None:
    size_wh = (640, 480)
    sealed = seal(vault, media.write_clip(tmp_path / "a.mp4", size_wh=size_wh, n_frames=20).read_bytes())
    frame_bytes = size_wh[0] * size_wh[1] * 3
    with isolated_clip(sealed, n_frames=16, limits=LIMITS, kind="upload") as (_, frames):
        tracemalloc.start()
        try:
            for _ in frames:
                pass
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak_bytes < 2.5 * frame_bytes  # the next one is made while the caller still holds the last


def test_the_child_imports_nothing_heavy() -> None:
    program = (
        "import sys, space.intake.decoder; print(*{name.partition('.')[0] for name in sys.modules} & set(sys.argv[1:]))"
    )
    heavy = ["torch", "mediapipe", "gradio", "cv2", "scipy", "sqlalchemy", "yt_dlp", "jsonschema"]
    told = subprocess.run(
        [sys.executable, "-c", program, *heavy], cwd=PROJECT_ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    assert told.stdout.split() == []


@pytest.mark.timed
@pytest.mark.parametrize("name", ["519_515.mp4", "lynaeydofd.mp4"])
def test_a_child_costs_little(vault: Vault, shared_data: Path, name: str) -> None:
    """Of processors' time: about 0.2 s to start, and a copy of every frame."""
    sealed = seal(vault, (shared_data / "clips" / name).read_bytes())

    def here() -> None:
        list(sample_frames(open_sealed(sealed, limits=LIMITS, kind="upload"), 16, limits=LIMITS))

    def seconds(function: Callable[[], object]) -> float:
        before = os.times()
        function()
        after = os.times()
        return sum(after[:4]) - sum(before[:4])

    ratios = [seconds(lambda: run(sealed, n_frames=16)) / seconds(here) for _ in range(5)]
    assert statistics.median(ratios) <= 1.6
