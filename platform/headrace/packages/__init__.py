"""Packages: a released model as a folder that answers wherever it lies."""
