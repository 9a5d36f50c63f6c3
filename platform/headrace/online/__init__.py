"""Online features: the newest values of every entity, served as of the instant of a request."""
