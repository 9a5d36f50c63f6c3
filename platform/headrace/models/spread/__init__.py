"""Spread training: one model, learned by the workers of a cluster together, each from its own part of the rows."""
