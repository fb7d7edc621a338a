"""Telltale: checks a video for a manipulated face and shows what gives it away."""

__version__ = "0.1.0"
