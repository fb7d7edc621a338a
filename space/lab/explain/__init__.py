"""Explanations put to the test: every map method behind one interface, true regions, measures, and the atlas."""
