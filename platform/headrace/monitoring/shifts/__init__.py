"""Drift beyond one column: of columns together, of slices, and of labels."""
