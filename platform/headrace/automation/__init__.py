"""Automation: what runs when, and why."""
