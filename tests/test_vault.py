"""The vault: what is taken in comes out byte for byte, what was touched is an error, and nothing is left behind."""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from space.errors import InternalError, SourceError
from space.intake.sealed import SEGMENT_BYTES, TAG_BYTES, SealedHandle
from space.intake.vault import MAX_AGE_S, SWEEP_S, Sealed, Vault
from space.settings import MIB

STORED_BYTES = SEGMENT_BYTES + TAG_BYTES
MARK = b"plaintext that must never be found on a disk: "


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    with Vault(tmp_path / "vault") as vault:
        yield vault


def seal(vault: Vault, data: bytes, *, piece_bytes: int = 100_000) -> Sealed:
    with vault.writer(max_bytes=len(data)) as writer:
        for start in range(0, len(data), piece_bytes):
            assert writer.write(data[start : start + piece_bytes]) == len(data[start : start + piece_bytes])
        return writer.seal()


def bytes_of(n: int) -> bytes:
    """Bytes in which every place is recognisable."""
    return b"".join(i.to_bytes(4, "big") for i in range(-(-n // 4)))[:n]


def files_of(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def only_file(folder: Path) -> Path:
    (path,) = files_of(folder)
    return path


# --- round trips ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "size",
    [0, 1, SEGMENT_BYTES - 1, SEGMENT_BYTES, SEGMENT_BYTES + 1, 2 * SEGMENT_BYTES, 10 * SEGMENT_BYTES + 7],
)
@pytest.mark.parametrize("piece_bytes", [1000, SEGMENT_BYTES, 1 << 20])
def test_what_is_sealed_comes_out_again(vault: Vault, tmp_path: Path, size: int, piece_bytes: int) -> None:
    data = bytes_of(size)
    sealed = seal(vault, data, piece_bytes=piece_bytes)
    assert (sealed.size_bytes, sealed.sha256) == (size, sha256(data).hexdigest())
    with sealed.open() as stream:
        assert stream.read() == data
        assert stream.read() == b""
    assert only_file(tmp_path).stat().st_size == size + TAG_BYTES * max(1, -(-size // SEGMENT_BYTES))


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[bytes, Sealed]]:
    with Vault(tmp_path_factory.mktemp("long")) as vault:
        data = bytes_of(12 * SEGMENT_BYTES + 345)  # more than a stream remembers
        yield data, seal(vault, data)


PLACES = st.integers(0, 13 * SEGMENT_BYTES) | st.sampled_from(
    [i * SEGMENT_BYTES + d for i in range(13) for d in (0, 1)]
)


@given(steps=st.lists(st.tuples(PLACES, st.integers(0, 3 * SEGMENT_BYTES)), min_size=1, max_size=20))
def test_seeking_and_reading_give_the_same_as_in_memory(
    long: tuple[bytes, Sealed], steps: list[tuple[int, int]]
) -> None:
    data, sealed = long
    with sealed.open() as stream:
        for place, length in steps:
            assert stream.seek(place) == place
            assert stream.read(length) == data[place : place + length]
            assert stream.tell() == place + len(data[place : place + length])


def test_places_count_from_start_here_and_end(long: tuple[bytes, Sealed]) -> None:
    data, sealed = long
    with sealed.open() as stream:
        assert stream.seek(-5, os.SEEK_END) == len(data) - 5
        assert stream.read() == data[-5:]
        assert stream.seek(-len(data), os.SEEK_CUR) == 0
        for place, whence in ((-1, os.SEEK_SET), (-len(data) - 1, os.SEEK_END)):
            with pytest.raises(ValueError, match="begins at 0"):
                stream.seek(place, whence)
        assert (stream.readable(), stream.seekable(), stream.writable()) == (True, True, False)


def test_streams_of_one_file_do_not_disturb_each_other(long: tuple[bytes, Sealed]) -> None:
    data, sealed = long
    with sealed.open() as first, sealed.open() as second:
        first.seek(SEGMENT_BYTES)
        assert second.read(9) == data[:9]
        assert first.read(9) == data[SEGMENT_BYTES : SEGMENT_BYTES + 9]


def test_a_handle_travels_and_does_not_show_its_key(vault: Vault) -> None:
    sealed = seal(vault, MARK)
    handle = pickle.loads(pickle.dumps(sealed.handle()))
    with handle.open() as stream:
        assert stream.read() == MARK
    assert handle.key.hex() not in repr(handle)
    assert repr(handle.key) not in repr(handle)


def test_every_file_has_its_own_key(vault: Vault) -> None:
    first, second = (seal(vault, MARK) for _ in range(2))
    assert first.id != second.id
    assert first.handle().key != second.handle().key
    assert len({path.read_bytes() for path in (first.handle().path, second.handle().path)}) == 2


# --- nothing readable on the disk -------------------------------------------------------------


def test_no_plaintext_lies_on_the_disk_while_writing_or_after(vault: Vault, tmp_path: Path) -> None:
    data = MARK * (3 * SEGMENT_BYTES // len(MARK))
    with vault.writer(max_bytes=len(data)) as writer:
        for start in range(0, len(data), 10_000):
            writer.write(data[start : start + 10_000])
            assert not any(MARK[:8] in path.read_bytes() for path in files_of(tmp_path))
        sealed = writer.seal()
    with sealed.open() as stream:
        stream.read()
        key = sealed.handle().key
        assert not any(secret in path.read_bytes() for path in files_of(tmp_path) for secret in (MARK[:8], key))


def test_files_are_for_this_account_only(vault: Vault, tmp_path: Path) -> None:
    seal(vault, b"x")
    assert (tmp_path / "vault").stat().st_mode & 0o777 == 0o700
    assert only_file(tmp_path).stat().st_mode & 0o777 == 0o600


# --- touched files ----------------------------------------------------------------------------


def swap(data: bytes) -> bytes:
    return data[STORED_BYTES : 2 * STORED_BYTES] + data[:STORED_BYTES] + data[2 * STORED_BYTES :]


def flip(place: int) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        at = place % len(data)
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]

    return change


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(flip(0), id="first-bit"),
        pytest.param(flip(STORED_BYTES - 1), id="a-tag"),
        pytest.param(flip(-1), id="last-tag"),
        pytest.param(swap, id="segments-swapped"),
        pytest.param(lambda data: data[:STORED_BYTES] * 2 + data[2 * STORED_BYTES :], id="a-segment-twice"),
        pytest.param(lambda data: data[STORED_BYTES:], id="first-segment-gone"),
        pytest.param(lambda data: data[: 2 * STORED_BYTES], id="last-segment-gone"),
        pytest.param(lambda data: data[:-1], id="last-byte-gone"),
        pytest.param(lambda data: data[: STORED_BYTES + 5], id="cut-off"),
        pytest.param(lambda data: bytes(len(data)), id="zeros"),
        pytest.param(lambda data: b"", id="emptied"),
    ],
)
@pytest.mark.parametrize("size", [2 * SEGMENT_BYTES + 99, 3 * SEGMENT_BYTES])
def test_a_touched_file_is_an_error(vault: Vault, change: Callable[[bytes], bytes], size: int) -> None:
    sealed = seal(vault, bytes_of(size))
    path = sealed.handle().path
    path.write_bytes(change(path.read_bytes()))
    with sealed.open() as stream, pytest.raises(InternalError):
        stream.read()


@given(place=st.integers(0, 3 * STORED_BYTES - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_spoils_its_segment_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, place: int, bit: int
) -> None:
    data = bytes_of(3 * SEGMENT_BYTES)
    with Vault(tmp_path_factory.mktemp("flipped")) as vault:
        sealed = seal(vault, data)
        path = sealed.handle().path
        stored = bytearray(path.read_bytes())
        stored[place] ^= 1 << bit
        path.write_bytes(stored)
        for number in range(3):
            start = number * SEGMENT_BYTES
            with sealed.open() as stream:
                stream.seek(start)
                if number == place // STORED_BYTES:
                    with pytest.raises(InternalError):
                        stream.read(1)
                else:
                    assert stream.read(16) == data[start : start + 16]


def test_another_files_segments_do_not_fit(vault: Vault) -> None:
    first, second = (seal(vault, bytes_of(2 * SEGMENT_BYTES)) for _ in range(2))
    first.handle().path.write_bytes(second.handle().path.read_bytes())
    with first.open() as stream, pytest.raises(InternalError):
        stream.read(1)


def test_a_shorter_file_does_not_pass_for_a_longer_one_begun_alike(vault: Vault) -> None:
    """What ends at a segment's border cannot be told from what goes on there, but by what is bound to the end."""
    sealed = seal(vault, bytes_of(3 * SEGMENT_BYTES))
    handle = sealed.handle()
    shortened = SealedHandle(handle.id, handle.path, handle.key, 2 * SEGMENT_BYTES, handle.sha256)
    with shortened.open() as stream, pytest.raises(InternalError):
        stream.read()


# --- too much, given up, deleted --------------------------------------------------------------


def test_too_much_is_refused_and_leaves_nothing(vault: Vault, tmp_path: Path) -> None:
    with vault.writer(max_bytes=2 * MIB) as writer:
        writer.write(bytes(2 * MIB))
        with pytest.raises(SourceError) as refusal:
            writer.write(bytes(MIB))
    assert (refusal.value.code, refusal.value.params) == ("too_large", {"limit_mb": 2.0, "actual_mb": 3.0})
    assert files_of(tmp_path) == []


def test_what_was_too_large_once_cannot_be_sealed(vault: Vault, tmp_path: Path) -> None:
    with vault.writer(max_bytes=3) as writer:
        with suppress(SourceError):
            writer.write(b"four")
        with pytest.raises(SourceError, match="too_large"):
            writer.seal()
    assert files_of(tmp_path) == []


def test_as_much_as_the_limit_is_taken(vault: Vault) -> None:
    assert seal(vault, b"four").size_bytes == 4


def test_leaving_without_sealing_deletes(vault: Vault, tmp_path: Path) -> None:
    with suppress(KeyError), vault.writer(max_bytes=MIB) as writer:
        writer.write(bytes(SEGMENT_BYTES * 3))
        assert only_file(tmp_path).stat().st_size
        raise KeyError
    assert files_of(tmp_path) == []
    with pytest.raises(ValueError, match="closed"):
        writer.write(b"more")


def test_a_sealed_file_takes_no_more(vault: Vault) -> None:
    with vault.writer(max_bytes=MIB) as writer:
        sealed = writer.seal()
        for use in (lambda: writer.write(b"x"), writer.seal):
            with pytest.raises(ValueError, match="closed"):
                use()
    assert sealed.size_bytes == 0


def test_deleting_twice_is_deleting_once(vault: Vault, tmp_path: Path) -> None:
    sealed = seal(vault, MARK)
    handle = sealed.handle()
    assert vault.find(sealed.id) is sealed
    with sealed.open() as stream:
        sealed.delete()
        sealed.delete()
        assert files_of(tmp_path) == []
        assert stream.read() == MARK
    for use in (sealed.open, sealed.handle, handle.open, lambda: vault.find(sealed.id)):
        with pytest.raises(SourceError) as refusal:
            use()
        assert (refusal.value.code, refusal.value.params) == ("not_found", {"name": sealed.id})


# --- crashes and time -------------------------------------------------------------------------


def test_what_a_crash_left_is_deleted_at_the_next_start(tmp_path: Path) -> None:
    with Vault(tmp_path) as crashed, crashed.writer(max_bytes=MIB) as unfinished:
        seal(crashed, MARK)
        unfinished.write(bytes(2 * SEGMENT_BYTES))
        left = {path: path.read_bytes() for path in files_of(tmp_path)}
    for path, stored in left.items():
        path.write_bytes(stored)
    assert len(files_of(tmp_path)) == 2
    others = tmp_path / "notes.txt"
    others.write_text("not the vault's")
    with Vault(tmp_path):
        assert files_of(tmp_path) == [others]


def test_nothing_is_left_after_thirty_minutes(tmp_path: Path) -> None:
    minutes = [0.0]
    with Vault(tmp_path, clock=lambda: 1e9 + 60 * minutes[0]) as vault:
        first = seal(vault, MARK)
        drip = vault.writer(max_bytes=MIB)
        drip.write(bytes(2 * SEGMENT_BYTES))
        minutes[0] = 20
        later = seal(vault, MARK)
        for minute, n_left in ((28, 3), (30, 1), (49, 1), (50, 0)):
            vault.sweep(now=1e9 + 60 * minute)
            assert len(files_of(tmp_path)) == n_left
        for sealed in (first, later):
            with pytest.raises(SourceError, match="not_found"):
                sealed.open()
        with pytest.raises(SourceError, match="not_found"):
            drip.seal()
    assert MAX_AGE_S + SWEEP_S == 30 * 60


def test_closing_deletes_everything_and_takes_in_nothing_more(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    sealed = seal(vault, MARK)
    vault.close()
    vault.close()
    assert files_of(tmp_path) == []
    with pytest.raises(SourceError, match="not_found"):
        sealed.open()
    with pytest.raises(ValueError, match="closed"):
        vault.writer(max_bytes=1)


def test_many_threads_write_and_delete_at_once(vault: Vault, tmp_path: Path) -> None:
    found: list[bool] = []

    def run(number: int) -> None:
        data = bytes([number]) * (SEGMENT_BYTES * 2 + number)
        for _ in range(5):
            sealed = seal(vault, data)
            with sealed.open() as stream:
                found.append(stream.read() == data)
            sealed.delete()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 40
    assert files_of(tmp_path) == []
