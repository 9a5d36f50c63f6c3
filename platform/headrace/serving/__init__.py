"""Serving: scores by the model that is live."""
