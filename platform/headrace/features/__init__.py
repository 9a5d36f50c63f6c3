"""Features: one definition of what was known when."""
