"""The sensor that retrains: what it looks at, and how its looks are kept."""
