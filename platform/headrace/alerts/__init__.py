"""Alerts: who is told of an incident, when, and how."""
