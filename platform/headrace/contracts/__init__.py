"""Contracts: what rows must be before anybody builds on them."""
