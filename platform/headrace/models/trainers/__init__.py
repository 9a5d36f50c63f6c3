"""Trainers: each knows one library, and turns rows into a model that is stored as plain bytes."""
