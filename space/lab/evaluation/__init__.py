"""Metrics of members and ensembles, with their protocol and interval."""
