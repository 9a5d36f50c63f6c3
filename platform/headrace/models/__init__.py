"""Models: trained, judged, and released only on evidence."""
