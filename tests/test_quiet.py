"""What is kept from standard error, and what is not."""

from __future__ import annotations

import os
import re

import pytest

from space.analysis.quiet import NOISE, drop_lines

WORDS = re.compile(rb"^noise")


def test_only_noise_is_dropped_and_the_order_kept(capfd: pytest.CaptureFixture[str]) -> None:
    with drop_lines(WORDS):
        os.write(2, b"noise 1\nfirst\n")
        os.write(2, b"noise 2\nsecond, without an end")
    os.write(2, b"; third")
    assert capfd.readouterr().err == "first\nsecond, without an end; third"


def test_lines_before_an_exception_are_shown(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OSError, match="Bad file descriptor"), drop_lines(WORDS):
        os.fstat(os.write(2, b"noise\nwhy it failed\n") + 10**6)
    assert capfd.readouterr().err == "why it failed\n"


def test_closed_standard_error_is_left_closed() -> None:
    own = os.dup(2)
    os.close(2)
    try:
        with drop_lines(WORDS):
            pass
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(2)
    finally:
        os.dup2(own, 2)
        os.close(own)


@pytest.mark.parametrize(
    ("line", "is_noise"),
    [
        (b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.", True),
        (b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR", True),
        (b"W0000 00:00:1.6 32302 inference_feedback_manager.cc:114] Feedback manager requires a model", True),
        (b"W0000 00:00:1.7 32304 landmark_projection_calculator.cc:186] Using NORM_RECT without", True),
        (b"I0000 00:00:1.8 1 gl_context_egl.cc:85] Successfully initialized EGL.", True),
        (b"E0000 00:00:1.9 1 calculator_graph.cc:900] INVALID_ARGUMENT: CalculatorGraph::Run() failed", False),
        (b"F0000 00:00:1.9 1 op_resolver.cc:1] Check failed", False),
        (b"W0000 00:00:1.9 1 tensor.cc:9] Something new", False),
        (b"Traceback (most recent call last):", False),
    ],
)
def test_known_chatter_is_noise_and_errors_are_not(line: bytes, is_noise: bool) -> None:
    assert bool(NOISE.search(line)) is is_noise
