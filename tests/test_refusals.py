"""What yt-dlp says of a site, as one of our codes."""

from __future__ import annotations

import pytest

from space.errors import LinkError
from space.intake.refusals import STATUS_CODES, Complaint, name_refusal


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("Sign in to confirm you’re not a bot. Use --cookies-from-browser for the authentication", "blocked_by_site"),
        ("Got HTTP Error 403 caused by Cloudflare anti-bot challenge; try again", "blocked_by_site"),
        ("Requested content is not available, rate-limit reached or login required", "blocked_by_site"),
        ("Your IP address is blocked from accessing this post", "blocked_by_site"),
        ("Your IP address is unable to access the Reddit API", "blocked_by_site"),
        ("The uploader has not made this video available in your country", "blocked_by_site"),
        ("This video is not available from your location due to geo restriction", "blocked_by_site"),
        ("Private video. Sign in if you've been granted access to this video", "private_video"),
        ("This video is private", "private_video"),
        ("You are not authorized to view this protected tweet", "private_video"),
        ("This video is protected by a password, use the --video-password option", "private_video"),
        ("Join this channel to get access to members-only content like this video", "private_video"),
        ("Sign in to confirm your age. This video may be inappropriate for some users", "login_needed"),
        ("This video is only available for registered users. Use --cookies", "login_needed"),
        ("NSFW tweet requires authentication", "login_needed"),
        ("You need to log in to access this content", "login_needed"),
        ("Account authentication is required", "login_needed"),
        ("This live event will begin in 3 hours.", "live_stream"),
        ("Premieres in 2 hours", "live_stream"),
        ("The channel is not currently live", "live_stream"),
        ("This video is DRM protected", "drm_protected"),
        ("The requested site is known to use DRM protection. It will NOT be supported.", "drm_protected"),
        ("Unsupported URL: https://example.org/private/login", "no_video_on_page"),
        ("No video could be found in this tweet", "no_video_on_page"),
        ("There's no video in this tweet", "no_video_on_page"),
        ("No video formats found!", "no_video_on_page"),
        ("Requested format is not available. Use --list-formats for a list", "no_video_on_page"),
        ("This account does not have any videos posted", "no_video_on_page"),
        ("No suitable extractor found for URL https://example.org/", "no_video_on_page"),
        ("Video unavailable. This video has been removed by the uploader", "gone"),
        ("Broadcast no longer exists", "gone"),
        ("This video does not exist", "gone"),
        ("Account has been suspended", "gone"),
        ("The read operation timed out", "download_timeout"),
        ("Unable to extract player version", "link_failed"),
        ("Unable to download webpage: https://example.org/captcha", "link_failed"),
        ("", "link_failed"),
    ],
)
def test_words_have_a_code(words: str, code: str) -> None:
    assert name_refusal(Complaint(words)) == code


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "login_needed"),
        (403, "blocked_by_site"),
        (404, "gone"),
        (410, "gone"),
        (418, "link_failed"),
        (429, "blocked_by_site"),
        (451, "blocked_by_site"),
        (500, "link_failed"),
        (503, "link_failed"),
    ],
)
def test_a_status_has_a_code(status: int, code: str) -> None:
    words = f"Unable to download webpage: HTTP Error {status}: Private login captcha"  # a server's own words
    assert name_refusal(Complaint(words, status=status, is_timeout=True)) == code


def test_a_site_says_more_than_its_status() -> None:
    assert name_refusal(Complaint("This video is private", status=404)) == "private_video"


def test_silence_is_a_timeout() -> None:
    assert name_refusal(Complaint("Unable to download webpage", is_timeout=True)) == "download_timeout"


def test_every_code_is_one_of_a_links() -> None:
    assert set(STATUS_CODES.values()) <= LinkError.codes
