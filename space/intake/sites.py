"""What yt-dlp finds behind a link, streamed: the only module that imports it, in a process of its own.

There is no download folder. yt-dlp's downloaders write to an outlet, and the pieces of a stream, which they
would put beside the file, stay in memory. A few of its own methods are replaced for that; should they change,
nothing leaks, because the process may not write to any file (``confinement``): the download fails.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from yt_dlp import YoutubeDL
from yt_dlp.downloader.dash import DashSegmentsFD
from yt_dlp.downloader.hls import HlsFD
from yt_dlp.downloader.http import HttpFD
from yt_dlp.networking import Request
from yt_dlp.networking._urllib import UrllibRH
from yt_dlp.networking.exceptions import HTTPError, TransportError
from yt_dlp.utils import YoutubeDLError

from space.errors import LinkError
from space.intake.addresses import is_among, parse_link
from space.intake.downloads import Order, Outlet
from space.intake.refusals import Complaint, name_refusal

Info = dict[str, Any]  # yt-dlp's "info dict"

SOCKET_S = 10
N_RETRIES = 2
BLOCK_BYTES = 64 * 1024


def fetch(order: Order, outlet: Outlet) -> None:
    """Find the video and stream it.

    Raises:
        LinkError, SourceError: it is not to be had, or beyond a limit.
    """
    try:
        with _Downloader(_options(order)) as ydl:
            info = _first_video(ydl.extract_info(order.url, download=False))
            _require_fit(info, order)
            _stream(ydl, info, order, outlet)
    except (YoutubeDLError, TimeoutError, ConnectionError) as error:
        raise LinkError(name_refusal(_complaint(error))) from error


# --- finding ----------------------------------------------------------------------------------


class _WebRH(UrllibRH):  # type: ignore[misc]
    """No ftp, no data links."""

    _SUPPORTED_URL_SCHEMES = ("http", "https")


class _Downloader(YoutubeDL):  # type: ignore[misc]
    """One way to the web, whichever other libraries are installed: the one that the audit hook sees."""

    def build_request_director(self, handlers: Any, preferences: Any = None) -> Any:  # noqa: ARG002
        return super().build_request_director([_WebRH])


class _Silence:
    """yt-dlp's words hold links; they go nowhere."""

    def debug(self, message: str) -> None:
        pass

    info = warning = error = debug


def _options(order: Order) -> Info:
    def refuse(info: Info, *, incomplete: bool) -> None:  # noqa: ARG001 - yt-dlp passes it by name
        _require_fit(info, order)

    return {
        "proxy": order.proxy,
        "allowed_extractors": list(order.sites),
        "format": choose_format(order.max_bytes),
        "match_filter": refuse,
        "noplaylist": True,
        "playlist_items": "1",
        "lazy_playlist": True,
        "allow_unplayable_formats": False,
        "socket_timeout": SOCKET_S,
        "retries": N_RETRIES,
        "fragment_retries": N_RETRIES,
        "extractor_retries": N_RETRIES,
        "skip_unavailable_fragments": False,
        "keep_fragments": True,  # none is on a disk, so none is to be removed
        "buffersize": BLOCK_BYTES,
        "cachedir": False,
        "updatetime": False,
        "js_runtimes": {},
        "quiet": True,
        "no_warnings": True,
        "noprogress": True,
        "logger": _Silence(),
    }


def choose_format(max_bytes: int) -> str:
    """yt-dlp's format selector: faces need no more than 720 lines, one file beats a stream, AV1 is slow to decode.

    Sound is not needed. What is known to be too large is taken only where there is nothing else.
    """
    fits = f"[filesize<?{max_bytes}][filesize_approx<?{max_bytes}]"
    choices = (
        f"bv*[height<=720][height>=360][vcodec!*=av01][protocol^=http]{fits}",
        f"b[height<=720]{fits}",
        f"bv*[height<=720]{fits}",
        "w",
        "wv*",
    )
    return "/".join(choices)


def _first_video(info: Info | None) -> Info:
    """The first video of a page that has several."""
    while info is not None and info.get("_type", "video") != "video":
        info = next(iter(info.get("entries") or ()), None)
    if info is None:
        raise LinkError("no_video_on_page")
    return info


def _require_fit(info: Info, order: Order) -> None:
    """Refuse what must not be fetched, as soon as it is known."""
    if info.get("is_live") or info.get("live_status") in {"is_live", "is_upcoming"}:
        raise LinkError("live_stream")
    if info.get("has_drm") is True:
        raise LinkError("drm_protected")
    order.require_length(info.get("duration"))
    order.require_size(info.get("filesize"))
    page = info.get("webpage_url")  # where the link has led
    if order.allowed_hosts is not None and page and not is_among(parse_link(page).host, order.allowed_hosts):
        raise LinkError("host_not_allowed")


# --- streaming --------------------------------------------------------------------------------


def _stream(ydl: YoutubeDL, info: Info, order: Order, outlet: Outlet) -> None:
    make = STREAMS.get(str(info.get("protocol")))
    if make is None:
        raise LinkError("link_failed")

    def tell(status: Info) -> None:
        order.require_size(status.get("total_bytes"))
        total = status.get("total_bytes") or status.get("total_bytes_estimate")
        if total:
            outlet.tell_fraction(min(1.0, status["downloaded_bytes"] / total))

    stream = make(ydl, ydl.params)
    stream.order, stream.outlet = order, outlet
    stream.add_progress_hook(tell)
    succeeded, _ = stream.download("-", info)
    if not succeeded:
        raise LinkError("link_failed")


class _ToOutlet:
    """Writes to the outlet what a downloader writes to its file. To be mixed in."""

    order: Order
    outlet: Outlet

    def sanitize_open(self, filename: str, open_mode: str) -> tuple[Outlet, str]:
        """yt-dlp's own takes ``-`` for standard output; there is no other file here."""
        if filename != "-":
            raise PermissionError("there are no files here")
        return self.outlet.open(open_mode), filename


class _File(_ToOutlet, HttpFD):  # type: ignore[misc]
    """A video that is one file."""


class _Pieces(_ToOutlet):
    """Keeps a stream's piece in memory until it is appended. To be mixed in."""

    ydl: YoutubeDL

    def _download_fragment(
        self, ctx: Info, frag_url: str, info_dict: Info, headers: Any = None, request_data: Any = None
    ) -> bool:
        request = Request(frag_url, request_data, headers or info_dict.get("http_headers"))
        piece = self._read(request, N_RETRIES)
        ctx["complete_frags_downloaded_bytes"] += len(piece)
        ctx["fragment_filename_sanitized"] = "-"  # yt-dlp asks whether there is one
        ctx["piece"] = piece
        if ctx["total_frags"]:
            self.outlet.tell_fraction(min(1.0, ctx["fragment_index"] / ctx["total_frags"]))
        return True

    def _read(self, request: Request, n_retries: int) -> bytes:
        try:
            with self.ydl.urlopen(request) as response:
                return self._read_whole(response)
        except (HTTPError, TransportError) as error:
            is_worth_another_try = not isinstance(error, HTTPError) or error.status >= 500
            if n_retries == 0 or not is_worth_another_try:  # told at once: yt-dlp would try again, then not say why
                raise LinkError(name_refusal(_complaint(error))) from error
        return self._read(request, n_retries - 1)

    def _read_whole(self, response: Any) -> bytes:
        piece = bytearray()
        while block := response.read(BLOCK_BYTES):
            piece += block
            self.order.require_size(len(piece))
        return bytes(piece)

    def _read_fragment(self, ctx: Info) -> bytes:
        piece: bytes = ctx.pop("piece")
        return piece

    def decrypter(self, info_dict: Info) -> Callable[[Info, bytes], bytes]:  # noqa: ARG002 - yt-dlp's signature
        """Turns a piece into plaintext; yt-dlp's own is pure Python and takes minutes."""
        keys: dict[str, bytes] = {}

        def decrypt(fragment: Info, piece: bytes) -> bytes:
            lock = fragment.get("decrypt_info") or {"METHOD": "NONE"}
            if lock["METHOD"] != "AES-128":
                return piece
            if lock["URI"] not in keys:
                keys[lock["URI"]] = self._read(Request(lock["URI"]), N_RETRIES)
            start = lock.get("IV") or fragment["media_sequence"].to_bytes(16, "big")
            return _decrypt_aes(piece, keys[lock["URI"]], start)

        return decrypt


def _decrypt_aes(piece: bytes, key: bytes, start: bytes) -> bytes:
    """AES-128 in CBC mode with PKCS #7 padding (RFC 8216, 4.3.2.4)."""
    unlock = Cipher(algorithms.AES(key), modes.CBC(start)).decryptor()
    unpad = PKCS7(algorithms.AES.block_size).unpadder()
    return unpad.update(unlock.update(piece) + unlock.finalize()) + unpad.finalize()


class _Dash(_Pieces, DashSegmentsFD):  # type: ignore[misc]
    """A video in pieces that are listed."""


class _Hls(_Pieces, HlsFD):  # type: ignore[misc]
    """A video in pieces that a playlist names."""

    def can_download(self, manifest: str, info_dict: Info, *_: object) -> bool:  # noqa: ARG002 - yt-dlp's signature
        """Judge the playlist; yt-dlp's own hands what it cannot do to ffmpeg, which knows no guard."""
        methods = set(KEY_METHOD.findall(manifest))
        if methods - {"NONE", "AES-128"} or self._has_drm(manifest):
            raise LinkError("drm_protected")
        if "#EXT-X-ENDLIST" not in manifest and "#EXT-X-PLAYLIST-TYPE:VOD" not in manifest:
            raise LinkError("live_stream")
        self.order.require_length(sum(float(seconds) for seconds in PIECE_SECONDS.findall(manifest)))
        return True


KEY_METHOD = re.compile(r"^#EXT-X-(?:SESSION-)?KEY:(?:.*,)?METHOD=([A-Z0-9-]+)", re.MULTILINE)
PIECE_SECONDS = re.compile(r"^#EXTINF:\s*([0-9]+(?:\.[0-9]+)?)", re.MULTILINE)

STREAMS: dict[str, Callable[[YoutubeDL, Info], Any]] = {
    "http": _File,
    "https": _File,
    "http_dash_segments": _Dash,
    "m3u8": _Hls,
    "m3u8_native": _Hls,
}


# --- failing ----------------------------------------------------------------------------------


def _complaint(error: BaseException) -> Complaint:
    """What a failure says, looking through the exceptions it came from."""
    causes = tuple(_causes(error))
    words = [str(cause.orig_msg) for cause in causes if hasattr(cause, "orig_msg")]  # without site and id
    return Complaint(
        words=" ".join(words) or str(error),
        status=next((cause.status for cause in causes if isinstance(cause, HTTPError)), None),
        is_timeout=any(isinstance(cause, TimeoutError) for cause in causes),
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: list[object] = []
    waiting: list[object] = [error]
    while waiting:
        cause = waiting.pop(0)
        if not isinstance(cause, BaseException) or any(cause is known for known in seen):
            continue
        seen.append(cause)
        yield cause
        waiting += [cause.__cause__, cause.__context__, getattr(cause, "cause", None), getattr(cause, "reason", None)]
        waiting += list(getattr(cause, "exc_info", None) or ())[1:2]
