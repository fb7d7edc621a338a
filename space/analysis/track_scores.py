"""What each track's verdict rests on: its members' logits, and in clips what its outline says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from space.analysis.outline import measure_outlines
from space.analysis.verdict import Combination, TrackScores
from space.contract import F32, SourceInfo, Track


def score_tracks(
    tracks: Sequence[Track], raw: Mapping[str, F32], combination: Combination, source: SourceInfo
) -> list[TrackScores]:
    """One record per track.

    Args:
        raw: member -> logits of all faces, track after track; at least those of the tracks' faces.
        source: of a picture, outlines do not count: one face says too little by itself.
    """
    evidence = None if source.kind == "image" else combination.record.outline
    result, start = [], 0
    for track in tracks:
        part = slice(start, start + len(track.faces))
        logits = {member: values[part] for member, values in raw.items()}
        softness = evidence.softness(measure_outlines(track.faces)) if evidence else None
        said = combination.logits(logits)
        result.append(
            TrackScores(
                track_id=track.track_id,
                time_s=np.array([face.time_s for face in track.faces]),
                qualities=tuple(face.quality for face in track.faces),
                logits=said + evidence.weight * softness if evidence and softness is not None else said,
                member_logits=combination.member_logits(logits),
                softness=softness,
                outline_weight=evidence.weight if evidence else 0.0,
            )
        )
        start = part.stop
    return result
