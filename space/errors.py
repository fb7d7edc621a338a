"""Errors with codes. A failure is one of these, never a value and never a verdict.

TelltaleError
├── SourceError            the input was refused (exit status 2)
│   ├── not_found            no such file
│   ├── empty                zero bytes
│   ├── unsupported_type     neither a video nor an image we read
│   ├── too_large            more bytes than the limit
│   ├── too_long             longer than the limit
│   ├── too_many_pixels      more pixels per frame than the limit
│   ├── too_many_fps         more frames per second than the limit
│   ├── no_video             a container without a video stream
│   ├── unreadable           damaged: nothing could be decoded
│   ├── decode_timeout       decoding took longer than the limit
│   └── url_unsupported      links are not read by this door
├── LinkError              what a link leads to cannot be had (exit status 2)
│   ├── bad_url              not a link of the web, or one that hides where it leads
│   ├── blocked_address      leads to a machine or port that is not open to the public
│   ├── host_not_allowed     a site this service is told not to visit
│   ├── blocked_by_site      the site refuses servers, or this country
│   ├── private_video        only for whom its owner chose
│   ├── login_needed         only for people who are signed in
│   ├── live_stream          running, or to come
│   ├── drm_protected        encrypted for certain players only
│   ├── no_video_on_page     a page without a video we find
│   ├── gone                 no such host, page or video
│   ├── download_timeout     fetching took longer than the limit
│   └── link_failed          anything else on the way
├── RequestError           a choice out of range (exit status 2)
│   ├── bad_frames           number of frames out of range
│   ├── bad_members          unknown member or weight
│   ├── bad_output           the output place cannot be written
│   ├── bad_setting          a setting of the environment that cannot be used
│   └── bad_space            no name of a Space
├── ServiceError           a request to the running service that cannot be met (exit status 2)
│   ├── job_unknown          no job has this id, or it has vanished
│   ├── bad_job_id           not 32 hex digits
│   ├── job_unfinished       asked for what only a finished job has
│   ├── job_timeout          the check took longer than the limit
│   ├── server_restarted     the server went down while the check ran
│   ├── busy                 the queue is full
│   ├── rate_limited         too many checks from one caller
│   ├── upload_unknown       no such upload, or it was used or has vanished
│   ├── upload_timeout       the upload took longer than the limit
│   ├── bad_capture          frames of a page that cannot be used
│   ├── picture_unknown      the report has no such picture
│   ├── report_unknown       no shared report has this id, or it has vanished
│   ├── bad_token            the token does not fit the report
│   ├── bad_signature        the report is not what was signed
│   ├── share_failed         there is no room to keep a shared report
│   └── not_signed           a file that is no signed report
├── WeightsError           weights that cannot be used (exit status 1)
│   ├── weights_missing      file or card not there
│   ├── weights_checksum     the file is not the one the card describes
│   ├── weights_mismatch     keys or shapes do not fit the architecture
│   ├── weights_layout       a checkpoint in no layout we know
│   ├── card_invalid         the card is not a valid card
│   └── download_failed      the hub did not deliver
├── DeployError            a Space cannot be sent (exit status 1)
│   ├── not_deployable       not a checkout, or something is missing
│   └── push_failed          the hub did not take it
└── InternalError          our fault (exit status 1)
    └── internal

Codes and sentences are in ``shared/errors.json`` and ``shared/text/<lang>.json`` (``error.<code>``,
``error.<code>.next``); this module only ties them to exceptions.
"""

from __future__ import annotations

from collections.abc import Mapping


class TelltaleError(Exception):
    """An error that a person can be told about.

    Args:
        code: id in shared/errors.json.
        params: values for the sentence's placeholders.
    """

    exit_status = 1
    codes: frozenset[str] = frozenset()

    def __init__(self, code: str, **params: str | int | float) -> None:
        if code not in self.codes:
            raise ValueError(f"{type(self).__name__} has no code {code!r}")
        self.code = code
        self.params: Mapping[str, str | int | float] = params
        details = ", ".join(f"{key}={value}" for key, value in params.items())
        super().__init__(f"{code}: {details}" if details else code)

    def __reduce__(self) -> tuple[object, ...]:
        """Errors cross the border between processes."""
        return _rebuild, (type(self), self.code, dict(self.params))


def _rebuild(kind: type[TelltaleError], code: str, params: Mapping[str, str | int | float]) -> TelltaleError:
    return kind(code, **params)


class SourceError(TelltaleError):
    """The input was refused."""

    exit_status = 2
    codes = frozenset(
        "not_found empty unsupported_type too_large too_long too_many_pixels too_many_fps no_video "
        "unreadable decode_timeout url_unsupported".split()
    )


class LinkError(TelltaleError):
    """What a link leads to cannot be had."""

    exit_status = 2
    codes = frozenset(
        "bad_url blocked_address host_not_allowed blocked_by_site private_video login_needed live_stream "
        "drm_protected no_video_on_page gone download_timeout link_failed".split()
    )


class RequestError(TelltaleError):
    """A choice is out of range."""

    exit_status = 2
    codes = frozenset("bad_frames bad_members bad_output bad_setting bad_space".split())


class ServiceError(TelltaleError):
    """A request to the running service cannot be met. ``retry_after_s`` among the parameters is whole seconds."""

    exit_status = 2
    codes = frozenset(
        "job_unknown bad_job_id job_unfinished job_timeout server_restarted busy rate_limited upload_unknown "
        "upload_timeout bad_capture picture_unknown report_unknown bad_token bad_signature "
        "share_failed not_signed".split()
    )


class WeightsError(TelltaleError):
    """Weights that cannot be used."""

    codes = frozenset(
        "weights_missing weights_checksum weights_mismatch weights_layout card_invalid download_failed".split()
    )


class DeployError(TelltaleError):
    """A Space cannot be sent."""

    codes = frozenset("not_deployable push_failed".split())


class InternalError(TelltaleError):
    """Our fault; the cause is chained."""

    codes = frozenset(["internal"])


ALL_CODES: frozenset[str] = frozenset().union(
    SourceError.codes,
    LinkError.codes,
    RequestError.codes,
    ServiceError.codes,
    WeightsError.codes,
    DeployError.codes,
    InternalError.codes,
)


class StoppedError(Exception):
    """Whoever asked for the work wants it no more. No failure: nobody is told."""
