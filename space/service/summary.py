"""A job's end in a few sentences, for assistants: a whole report would fill what they can read."""

from __future__ import annotations

from typing import Any

from space.service.views import JobView, view_json


def summarise(view: JobView, *, base_url: str) -> dict[str, Any]:
    """The verdict, what it rests on and its limits, in English, and where the rest is.

    Args:
        view: the last one of a job.
    """
    report = view.report
    told = {name: value for name, value in view_json(view).items() if name in ("job_id", "stage", "error", "expires")}
    if report is None:
        return told
    verdict = report["verdict"]
    parts = report["parts"]
    job_url = f"{base_url}/api/v1/jobs/{view.job_id}"
    return {
        **told,
        "verdict": {
            "code": verdict["code"],
            "sentence": verdict["sentence"]["en"],
            "reasons": [reason["en"] for reason in verdict["reasons"]],
            "p_fake": verdict["p_fake"],
            "interval": verdict["interval"],
        },
        "people": [
            {"person": track["id"], "verdict": track["verdict"]["code"], "sentence": track["verdict"]["sentence"]["en"]}
            for track in report["tracks"]
        ],
        "moments": [
            {
                "time_s": moment["time_s"],
                "person": moment["track"],
                "sentence": moment["sentence"]["en"],
                "picture": f"{job_url}/pictures/{moment['overlay']}",
            }
            for moment in report["evidence"]
        ],
        "parts": None if parts is None else parts["sentence"]["en"],
        "limits": [limit["en"] for limit in report["limits"]],
        "whole_report": job_url,
    }
