"""Training over sites whose rows stay where they are."""
