"""The store: tables with versions, the engine that reads them, models by content, and append-only logs."""
