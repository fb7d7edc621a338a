"""The analysis, step by step: faces, scores, maps, parts, verdict, report; their order is in `pipeline`."""
