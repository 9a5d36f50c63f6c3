"""Monitoring: whether the world is still the one the model was trained on."""
