"""What went wrong at a site, from what yt-dlp says of it, as one of our codes.

Its words carry the site's own and the link; they are read here and go no further.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

STATUS_CODES = {
    401: "login_needed",
    402: "login_needed",
    403: "blocked_by_site",
    404: "gone",
    407: "link_failed",
    410: "gone",
    429: "blocked_by_site",
    451: "blocked_by_site",
}

# The first that fits counts: a site asks people whom it takes for robots to sign in.
_PHRASES = {
    "drm_protected": r"\bDRM\b",
    "blocked_by_site": (
        r"not a (ro)?bot|captcha|anti-bot|cloudflare|unusual traffic|rate.?limit|too many requests"
        r"|IP address is (blocked|unable)|geo.?(restrict|block)|(in|from) your (country|location|region)"
    ),
    "private_video": r"\bprivate\b|protected tweet|password|members.only|available to this channel's members",
    "login_needed": (
        r"log.?in\b|logged.in|sign.?in\b|registered users|authentication|authori[sz]ed|cookies|premium|subscri"
        r"|confirm your age|age.restricted|account (that|is)|purchase|\brent"
    ),
    "live_stream": r"\bpremieres\b|live ?(event|stream|broadcast)|will begin|not (yet|currently) live|has not started",
    "no_video_on_page": (
        r"unsupported url|no video|no media|no suitable extractor|no formats|does not have any videos"
        r"|requested format is not available|only images are available"
    ),
    "gone": (r"not exist|no longer|not found|unavailable|not available|removed|deleted|terminated|suspended|expired"),
    "download_timeout": r"timed? ?out",
}
_RULES = {code: re.compile(phrases, re.IGNORECASE) for code, phrases in _PHRASES.items()}
_NOT_WORDS = re.compile(r"https?://\S+|HTTP Error \d+: [^(]*")  # a link's or a server's own say nothing of the kind


@dataclass(frozen=True)
class Complaint:
    """What is known of a failure."""

    words: str = ""  # yt-dlp's
    status: int | None = None  # of the last answer over HTTP, if that was the failure
    is_timeout: bool = False  # no answer in time


def name_refusal(complaint: Complaint) -> str:
    """The code of a ``LinkError``."""
    words = _NOT_WORDS.sub(" ", complaint.words)
    for code, pattern in _RULES.items():
        if pattern.search(words):
            return code
    if complaint.status is not None:
        return STATUS_CODES.get(complaint.status, "link_failed")
    return "download_timeout" if complaint.is_timeout else "link_failed"
