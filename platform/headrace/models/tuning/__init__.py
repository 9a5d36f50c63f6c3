"""Tuning: the learner's parameters are searched for on spans of the training rows, each judged after what it learned from."""
