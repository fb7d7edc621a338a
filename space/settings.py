"""Choices, as frozen records with defaults. Facts are constants with their unit."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

MIB = 1024 * 1024
PROJECT_ROOT = Path(__file__).resolve().parent.parent
SHARED = PROJECT_ROOT / "shared"  # the project's own: schema, texts, palette

MIN_FRAMES = 4
MAX_FRAMES = 128


@dataclass(frozen=True)
class Limits:
    """What is taken in; beyond it a source is refused with a code."""

    max_bytes: int = 100 * MIB
    max_duration_s: float = 600.0
    max_pixels: int = 16_700_000  # per frame, as displayed
    max_fps: float = 120.0
    max_decode_s: float = 60.0  # wall clock for sampling one clip


# Sites whose videos are asked for, by yt-dlp's names for them. "html5" and "generic" read any other page.
SITES = tuple(
    "youtube(:tab|:clip|:consent)? YoutubeYtBe vimeo(:.*)? dailymotion(:playlist)? twitter(:.*)? Bluesky TikTok "
    "vm.tiktok tiktok:.* Douyin facebook(:.*)? FacebookRedirectURL FacebookPluginsVideo Instagram InstagramIOS "
    "instagram:story Reddit telegram:embed Rumble RumbleEmbed lbry(:channel)? BitChute Streamable Imgur(:.*)? "
    "LinkedIn Pinterest SnapchatSpotlight Tumblr Truth Gab 9gag Coub vk(:.*)? rutube(:.*)? Odnoklassniki dzen.ru "
    "mailru BiliBili Weibo(Video)? twitch:(clips|vod) kick:(clips|videos) bbc(.co.uk)?(:article)? CNN Reuters "
    "CSpan TedTalk archive.org wikimedia.org PeerTube loom DRM html5 generic".split()
)


@dataclass(frozen=True)
class LinkSettings:
    """What is fetched from the web, and for how long; size and length are ``Limits``."""

    allowed_hosts: tuple[str, ...] | None = None  # of the links given, with their subdomains; None: any public host
    sites: tuple[str, ...] = SITES  # regular expressions over yt-dlp's extractors
    max_seconds: float = 120.0  # wall clock for one link, everything included


@dataclass(frozen=True)
class FaceSettings:
    """What counts as a face."""

    min_confidence: float = 0.5  # of the detector
    max_faces: int = 12  # per frame, the largest first
    min_native_px: float = 64.0  # below it a face is not usable
    min_sharpness: float = 12.0  # Quality.sharpness below it is not usable
    max_yaw_deg: float = 60.0
    patch_margin: float = 2.0  # patch side / landmarks' box side
    patch_px: int = 512  # patches larger than this are reduced


@dataclass(frozen=True)
class Settings:
    """Everything a check can be told."""

    n_frames: int = 16
    maps: bool = True
    n_evidence: int = 4  # moments shown, at least 3 where there are as many frames
    batch_size: int = 8
    picture_px: int = 320  # side of crops and overlays in the report
    members: tuple[tuple[str, float], ...] | None = None  # None: the shipped ensemble
    limits: Limits = field(default_factory=Limits)
    faces: FaceSettings = field(default_factory=FaceSettings)
