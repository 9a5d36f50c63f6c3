"""Releases: what goes live, who let it, why, and whether it stays as it was."""
