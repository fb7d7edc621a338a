"""Every member on every face, batch by batch; what the first ones say can be told before the rest is done.

A batch is always the same stretch of the same list: faces by track, then by time. Only the order of the batches
changes where somebody waits for a first word, so that the scores are the same, bit by bit, whoever listens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from space.analysis.crops import cut_crop
from space.analysis.maps import LAYERS, map_crops
from space.analysis.scores import score_crops
from space.analysis.sequences import score_track
from space.analysis.tracks import link_tracks
from space.contract import Crop, Face, MemberMaps, MemberScores, Track
from space.models.weights import Ensemble, LoadedMember

# Given the faces scored so far, as tracks, and their scores; whether that was enough, so that no more need be told.
Tell = Callable[[Sequence[Track], Sequence[MemberScores]], bool]


@dataclass(frozen=True)
class Scored:
    """What the members say of some faces."""

    scores: tuple[MemberScores, ...]  # one per member
    maps: tuple[MemberMaps, ...]  # one per member; none without maps


# Scores the crops of one batch of faces, given by member and in the members' order, with or without maps. It may
# compute elsewhere.
Compute = Callable[[Mapping[str, Sequence[Crop]], bool], Scored]


class ComputeRefusedError(Exception):
    """What was to score a batch elsewhere will not do it now."""


class Scorer:
    """Scores a clip's faces.

    Members that score sequences see a track as a whole, once it is known to its end: with one of them no first word
    is told, and they compute here whatever is computed elsewhere.

    Args:
        ensemble: of members of either kind.
        batch_size: faces at a time.
        maps: whether to make heat maps, out of the same forward pass.
        tell: called after each batch until it has enough; None: nobody waits.
        compute: does the work of a batch; None: the ensemble's members, here.
    """

    def __init__(
        self,
        ensemble: Ensemble,
        *,
        batch_size: int,
        maps: bool,
        tell: Tell | None = None,
        compute: Compute | None = None,
    ) -> None:
        self._members = [member for member in ensemble.members if member.kind == "frame"]
        self._readers = [member for member in ensemble.members if member.kind == "sequence"]
        self._names = [member.card.name for member in ensemble.members]
        self._compute = compute
        self._batch_size = batch_size
        self._maps = maps
        self._tell = None if self._readers else tell
        self._early: tuple[tuple[Face, ...], Scored] | None = None

    def begin_early(self, faces: Sequence[Face], n_frames: int, progress: Callable[[], None]) -> None:
        """Score the first batch while later frames are still to come, if somebody waits and it is complete.

        Tracks only grow with further frames: the first one's first faces are the first batch for good.

        Args:
            faces: of the first ``n_frames`` frames.
            progress: called before each member.
        """
        if self._tell is None or self._early or n_frames % self._batch_size or len(faces) < self._batch_size:
            return
        first = link_tracks(faces)[0]
        if len(first.faces) >= self._batch_size:
            batch = first.faces[: self._batch_size]
            self._early = (batch, self._score_batch(batch, progress))
            self._tell_of((Track(first.track_id, batch),), self._early[1])

    def score(self, tracks: Sequence[Track], progress: Callable[[float], None]) -> Scored:
        """Score all faces.

        Args:
            progress: called before each member's batch with the share done, in [0, 1].

        Returns:
            In the order of the faces by track, then by time.
        """
        faces = [face for track in tracks for face in track.faces]
        batches = [tuple(faces[i : i + self._batch_size]) for i in range(0, len(faces), self._batch_size)]
        n_steps = max(1, len(batches) * len(self._members) + len(tracks) * len(self._readers))
        done: dict[int, Scored] = {}
        for number, position in enumerate(self._order(tracks, batches) if self._members else []):
            early = self._recall(batches[position])
            step = _counted(progress, number * len(self._members), n_steps)
            done[position] = early or self._score_batch(batches[position], step)
            if not early and len(done) < len(batches):
                self._tell_of(*_so_far(tracks, batches, done))
        parts = [done[i] for i in sorted(done)] or [self._score_batch((), lambda: None)]
        read = self._read_tracks(tracks, _counted(progress, len(batches) * len(self._members), n_steps))
        return _in_order(self._names, [join_scored(parts), read])

    def _read_tracks(self, tracks: Sequence[Track], progress: Callable[[], None]) -> Scored:
        """What the members that score sequences say of every track."""
        scores: list[MemberScores] = []
        maps: list[MemberMaps] = []
        for member in self._readers:
            said = []
            for track in tracks:
                progress()
                crops = _cut_crops(member, track.faces)
                said.append(score_track(member, crops, maps=self._maps, batch_size=self._batch_size))
            said = said or [score_batch(member, (), maps=self._maps)]
            joined = join_scored([Scored((one,), drawn) for one, drawn in said])
            scores += joined.scores
            maps += joined.maps
        return Scored(tuple(scores), tuple(maps))

    def _order(self, tracks: Sequence[Track], batches: Sequence[Sequence[Face]]) -> list[int]:
        """Positions of batches; where somebody waits, the one with most of the main person's face comes first."""
        positions = list(range(len(batches)))
        if self._tell is None or self._early or not tracks:
            return positions
        main = max(tracks, key=lambda track: sum(face.quality.weight for face in track.faces))
        ids = {id(face) for face in main.faces}
        weights = [sum(face.quality.weight for face in batch if id(face) in ids) for batch in batches]
        first = max(positions, key=lambda position: weights[position])
        return [first, *(position for position in positions if position != first)]

    def _recall(self, batch: Sequence[Face]) -> Scored | None:
        if self._early is None or len(batch) != len(self._early[0]):
            return None
        is_same = all(face is early for face, early in zip(batch, self._early[0], strict=True))
        return self._early[1] if is_same else None

    def _tell_of(self, tracks: Sequence[Track], scored: Scored) -> None:
        if self._tell is not None and self._tell(tracks, scored.scores):
            self._tell = None

    def _score_batch(self, batch: Sequence[Face], progress: Callable[[], None]) -> Scored:
        if self._compute is not None and batch and self._members:
            progress()
            crops = {member.card.name: _cut_crops(member, batch) for member in self._members}
            return self._compute(crops, self._maps)
        scores: list[MemberScores] = []
        maps: list[MemberMaps] = []
        for member in self._members:
            progress()
            member_scores, member_maps = score_batch(member, _cut_crops(member, batch), maps=self._maps)
            scores.append(member_scores)
            maps.extend(member_maps)
        return Scored(tuple(scores), tuple(maps))


def score_batch(
    member: LoadedMember, crops: Sequence[Crop], *, maps: bool
) -> tuple[MemberScores, tuple[MemberMaps, ...]]:
    """One member on one batch of its crops; no maps or one."""
    batches = [list(crops)] if crops else []
    if not maps:
        return score_crops(member, batches), ()
    scores, member_maps = map_crops(member, batches)
    return scores, (member_maps,)


def _cut_crops(member: LoadedMember, faces: Sequence[Face]) -> list[Crop]:
    card = member.card
    return [cut_crop(face.patch, face.box_xyxy, margin=card.margin, input_px=card.input_px) for face in faces]


def thin_tracks(tracks: Sequence[Track], n_faces: int) -> tuple[Track, ...]:
    """Tracks with about as many faces together, spread evenly over each track's time; none loses all of its faces."""
    total = sum(len(track.faces) for track in tracks)
    if total <= n_faces:
        return tuple(tracks)
    return tuple(_thin(track, max(1, round(n_faces * len(track.faces) / total))) for track in tracks)


def _thin(track: Track, n_faces: int) -> Track:
    positions = np.linspace(0, len(track.faces) - 1, n_faces).round().astype(int)
    return Track(track.track_id, tuple(track.faces[i] for i in dict.fromkeys(positions.tolist())))


def _counted(progress: Callable[[float], None], n_done: int, n_steps: int) -> Callable[[], None]:
    """Counts the steps of one batch, or of all tracks."""
    steps = iter(range(n_done, n_steps))
    return lambda: progress(next(steps) / n_steps)


def _in_order(names: Sequence[str], parts: Sequence[Scored]) -> Scored:
    """What members of both kinds say, in the order of their names."""
    scores = {s.member: s for part in parts for s in part.scores}
    maps = {m.member: m for part in parts for m in part.maps}
    return Scored(tuple(scores[name] for name in names), tuple(maps[name] for name in names if name in maps))


def _so_far(
    tracks: Sequence[Track], batches: Sequence[Sequence[Face]], done: dict[int, Scored]
) -> tuple[list[Track], Scored]:
    """The faces scored so far as tracks, and their scores in the same order."""
    ids = {id(face) for position in done for face in batches[position]}
    parts = [Track(track.track_id, tuple(face for face in track.faces if id(face) in ids)) for track in tracks]
    return [part for part in parts if part.faces], join_scored([done[i] for i in sorted(done)])


def join_scored(parts: Sequence[Scored]) -> Scored:
    """One after the other.

    Args:
        parts: at least one, all of the same members.
    """
    scores = zip(*(part.scores for part in parts), strict=True)
    maps = zip(*(part.maps for part in parts), strict=True)
    return Scored(
        scores=tuple(MemberScores(s[0].member, np.concatenate([part.logits for part in s])) for s in scores),
        maps=tuple(_join_maps(m) for m in maps),
    )


def _join_maps(parts: Sequence[MemberMaps]) -> MemberMaps:
    """One member's maps of several batches."""
    layers = {layer: np.concatenate([getattr(part, layer) for part in parts]) for layer in LAYERS}
    cells = [part.contributions for part in parts if part.contributions is not None]
    contributions = np.concatenate(cells) if len(cells) == len(parts) else None
    return MemberMaps(parts[0].member, **layers, contributions=contributions, bias=parts[0].bias)
