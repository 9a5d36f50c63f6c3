"""Sources: what lands, read exactly once."""
