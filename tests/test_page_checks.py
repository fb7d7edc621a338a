"""A check behind the page: its events, its turn, its file, and how it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from space.contract import Analysis
from space.errors import InternalError, SourceError, WeightsError
from space.service.page.checks import (
    Analyse,
    Busy,
    Checker,
    Event,
    Failed,
    Finished,
    Loading,
    Progress,
    Stopped,
    Waiting,
    Working,
)
from space.service.page.turns import LineFullError, StoppedError, Turns
from tests.analyses import make_analysis

ANALYSIS = make_analysis("little")
PATIENCE_S = 10


class Source:
    """A file whose being held is watched."""

    def __init__(self) -> None:
        self.held = False
        self.left = threading.Event()

    def __enter__(self) -> Path:
        self.held = True
        return Path("clip")

    def __exit__(self, *_: object) -> None:
        self.held = False
        self.left.set()


def simple(path: Path, progress: Progress) -> Analysis:
    progress("faces", 0.25)
    progress("scores", 0.5)
    return ANALYSIS


def checker_of(analyse: Analyse, *, max_waiting: int = 8) -> Checker:
    return Checker(lambda: analyse, max_waiting=max_waiting)


def until_last(events: Iterator[Event]) -> list[Event]:
    """Events without their repetitions."""
    found: list[Event] = []
    for event in events:
        if not found or found[-1] != event:
            found.append(event)
    return found


class Gate:
    """An analysis that waits at its first step until it is let through."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def __call__(self, path: Path, progress: Progress) -> Analysis:
        progress("frames", 0.1)
        self.reached.set()
        assert self.opened.wait(PATIENCE_S)
        progress("faces", 0.2)
        return ANALYSIS


@contextmanager
def running(checker: Checker, job: str = "first") -> Iterator[Callable[[], list[Event]]]:
    """A check in a thread, as Gradio runs it; yields a function that waits for its events."""
    events: list[Event] = []
    thread = threading.Thread(target=lambda: events.extend(until_last(checker.check(Source(), job=job))))
    thread.start()

    def result() -> list[Event]:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
        return events

    try:
        yield result
    finally:
        thread.join(PATIENCE_S)


# --- how a check goes -------------------------------------------------------------------------


def test_a_check_tells_its_stages_and_ends_with_a_report() -> None:
    source = Source()
    events = until_last(checker_of(simple).check(source, job="j"))
    assert events == [Loading(), Working("faces", 0.25), Working("scores", 0.5), Finished(ANALYSIS)]
    assert source.left.wait(PATIENCE_S)


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (SourceError("unreadable"), "unreadable"),
        (WeightsError("weights_missing", name="b0"), "weights_missing"),
        (RuntimeError("a bug"), "internal"),
        (MemoryError(), "internal"),
    ],
)
def test_a_failure_is_an_event_with_its_code(raised: Exception, code: str) -> None:
    def fail(path: Path, progress: Progress) -> Analysis:
        raise raised

    source = Source()
    last = until_last(checker_of(fail).check(source, job="j"))[-1]
    assert isinstance(last, Failed)
    assert last.error.code == code
    assert source.left.wait(PATIENCE_S)


def test_our_faults_are_logged_with_their_trace(caplog: pytest.LogCaptureFixture) -> None:
    def fail(path: Path, progress: Progress) -> Analysis:
        raise RuntimeError("a bug")

    until_last(checker_of(fail).check(Source(), job="j"))
    assert "RuntimeError: a bug" in caplog.text


def test_a_file_that_is_gone_is_a_failure() -> None:
    class Gone(Source):
        def __enter__(self) -> Path:
            raise FileNotFoundError("swept")

    last = until_last(checker_of(simple).check(Gone(), job="j"))[-1]
    assert isinstance(last, Failed)
    assert isinstance(last.error, InternalError)


# --- models -----------------------------------------------------------------------------------


def test_models_are_loaded_once() -> None:
    loads = []

    def prepare() -> Analyse:
        loads.append(1)
        return simple

    checker = Checker(prepare)
    checker.warm_up()
    for _ in range(3):
        assert isinstance(until_last(checker.check(Source(), job="j"))[-1], Finished)
    assert len(loads) == 1


def test_models_that_could_not_be_loaded_are_tried_again() -> None:
    outcomes: list[Analyse | WeightsError] = [WeightsError("weights_missing", name="b0"), simple]

    def prepare() -> Analyse:
        outcome = outcomes.pop(0)
        if isinstance(outcome, WeightsError):
            raise outcome
        return outcome

    checker = Checker(prepare)
    first, second = (until_last(checker.check(Source(), job="j"))[-1] for _ in range(2))
    assert isinstance(first, Failed)
    assert first.error.code == "weights_missing"
    assert second == Finished(ANALYSIS)


# --- one at a time ----------------------------------------------------------------------------


def test_the_next_check_waits_for_its_turn() -> None:
    gate = Gate()
    checker = checker_of(gate)
    with running(checker) as first:
        assert gate.reached.wait(PATIENCE_S)
        second = checker.check(Source(), job="second")
        assert next(second) == Waiting(n_ahead=1)
        gate.opened.set()
        assert first()[-1] == Finished(ANALYSIS)
        assert until_last(second)[-1] == Finished(ANALYSIS)


def test_a_full_line_refuses_at_once_and_lets_go_of_the_file() -> None:
    gate, source = Gate(), Source()
    checker = checker_of(gate, max_waiting=0)
    with running(checker) as first:
        assert gate.reached.wait(PATIENCE_S)
        assert until_last(checker.check(source, job="second")) == [Busy()]
        assert source.left.wait(PATIENCE_S)
        gate.opened.set()
        assert first()[-1] == Finished(ANALYSIS)
    assert until_last(checker.check(Source(), job="third"))[-1] == Finished(ANALYSIS)


def test_a_stopped_check_ends_and_the_next_goes_on() -> None:
    gate = Gate()
    checker = checker_of(gate)
    with running(checker) as first:
        assert gate.reached.wait(PATIENCE_S)
        checker.stop("first")
        assert first()[-1] == Stopped()
        gate.opened.set()
    assert until_last(checker.check(Source(), job="second"))[-1] == Finished(ANALYSIS)


def test_stopping_what_is_over_does_nothing() -> None:
    checker = checker_of(simple)
    until_last(checker.check(Source(), job="j"))
    checker.stop("j")
    checker.stop("never seen")
    assert until_last(checker.check(Source(), job="j"))[-1] == Finished(ANALYSIS)


def test_a_check_nobody_listens_to_ends() -> None:
    gate, source = Gate(), Source()
    events = checker_of(gate).check(source, job="j")
    next(events)
    assert gate.reached.wait(PATIENCE_S)
    events.close()
    assert source.held, "the file is needed until the analysis has noticed"
    gate.opened.set()
    assert source.left.wait(PATIENCE_S)


def test_turns_come_in_order_of_arrival() -> None:
    turns, order = Turns(max_waiting=8), []
    arrived = [threading.Event() for _ in range(4)]

    def take(number: int) -> None:
        def wait_seen(ahead: int) -> None:
            arrived[number].set()

        with turns.turn(stop=threading.Event(), on_wait=wait_seen):
            order.append(number)

    with turns.turn(stop=threading.Event(), on_wait=lambda ahead: None):
        threads = []
        for number in range(4):
            thread = threading.Thread(target=take, args=(number,))
            thread.start()
            assert arrived[number].wait(PATIENCE_S)
            threads.append(thread)
    for thread in threads:
        thread.join(PATIENCE_S)
    assert order == [0, 1, 2, 3]


@pytest.mark.parametrize("max_waiting", [0, 1, 3])
def test_no_more_wait_than_may(max_waiting: int) -> None:
    turns, stop = Turns(max_waiting), threading.Event()
    waiting = threading.Semaphore(0)

    def wait() -> None:
        with pytest.raises(StoppedError), turns.turn(stop=stop, on_wait=lambda ahead: waiting.release()):
            pass

    with turns.turn(stop=threading.Event(), on_wait=lambda ahead: None):
        threads = [threading.Thread(target=wait) for _ in range(max_waiting)]
        for thread in threads:
            thread.start()
        for _ in threads:
            assert waiting.acquire(timeout=PATIENCE_S)
        with pytest.raises(LineFullError), turns.turn(stop=stop, on_wait=lambda ahead: None):
            pass
        stop.set()
        for thread in threads:
            thread.join(PATIENCE_S)
    with turns.turn(stop=threading.Event(), on_wait=lambda ahead: None):
        pass
