"""Profiles as a table: one row for each day, model and column, so that a drift over any window reads no other rows."""
