"""The analysis as a server runs it: of a video in the vault, loaded once, stoppable."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

from space.contract import Analysis, SourceKind, Verdict
from space.intake.vault import Sealed
from space.service.faults import log_fault
from space.settings import Settings

Progress = Callable[[str, float], None]  # stage, fraction of the analysis in [0, 1]; raises when it is to stop
Loaded = Literal["no", "yes", "failed"]


@dataclass(frozen=True)
class Video:
    """What is to be analysed, and what is known of where it came from."""

    sealed: Sealed
    kind: SourceKind
    host: str | None = None  # of the page or link; None for uploads
    capture_method: str | None = None  # how the extension got the frames; None otherwise


class Analyse(Protocol):
    """Checks one video."""

    def __call__(
        self,
        video: Video,
        *,
        n_frames: int | None,
        progress: Progress,
        on_preliminary: Callable[[Verdict], None],
    ) -> Analysis:
        """Check a video.

        Args:
            n_frames: to look at; None: as many as usual.
            progress: called at least at every stage; what it raises ends the analysis.
            on_preliminary: told what the first faces say, once, if there are faces.

        Raises:
            TelltaleError: no report could be made.
        """
        ...


class Models:
    """The analysis with its models, loaded when first needed and then kept.

    Args:
        prepare: loads the models; called once, and again only after it failed.
    """

    def __init__(self, prepare: Callable[[], Analyse]) -> None:
        self._prepare = prepare
        self._analyse: Analyse | None = None
        self._lock = threading.Lock()
        self._loaded: Loaded = "no"

    @property
    def loaded(self) -> Loaded:
        """Whether the models are there."""
        return self._loaded

    def get(self) -> Analyse:
        """The analysis, after the models have been loaded.

        Raises:
            TelltaleError: the weights cannot be used.
        """
        with self._lock:
            if self._analyse is None:
                self._loaded = "failed"
                self._analyse = self._prepare()
                self._loaded = "yes"
            return self._analyse

    def warm_up(self) -> None:
        """Load the models in the background; a failure is logged here and told to each check that meets it.

        Where the processor is lent, they are loaded before this returns: the platform wants to know at launch.
        """
        from space.service.zerogpu import is_lent

        if is_lent():
            self._warm_up()
            return
        threading.Thread(target=self._warm_up, name="load-models", daemon=True).start()

    def _warm_up(self) -> None:
        try:
            self.get()
        except Exception as error:  # noqa: BLE001 - the body of a thread: there is nobody else to catch it
            log_fault("the models could not be loaded", error)


def pipeline(settings: Settings, folder: Path | None = None) -> Analyse:
    """Load an ensemble for the pipeline.

    Args:
        folder: holds ``ensemble.json`` and its members; None: the shipped ones.

    Raises:
        TelltaleError: the weights cannot be used.
    """
    from space.analysis.pipeline import check_clip
    from space.intake.isolated import isolated_clip
    from space.models.weights import SHIPPED, load_ensemble
    from space.service.zerogpu import compute_on_gpu, is_lent

    ensemble = load_ensemble(settings.members, folder=folder or SHIPPED)
    compute = compute_on_gpu(ensemble) if is_lent() else None

    def analyse(
        video: Video, *, n_frames: int | None, progress: Progress, on_preliminary: Callable[[Verdict], None]
    ) -> Analysis:
        wanted = settings if n_frames is None else replace(settings, n_frames=n_frames)
        progress("source", 0.0)
        with isolated_clip(
            video.sealed,
            n_frames=wanted.n_frames,
            limits=wanted.limits,
            kind=video.kind,
            host=video.host,
            capture_method=video.capture_method,
        ) as (clip, frames):
            return check_clip(
                clip,
                settings=wanted,
                ensemble=ensemble,
                progress=progress,
                frames=frames,
                on_preliminary=on_preliminary,
                compute=compute,
            )

    return analyse
