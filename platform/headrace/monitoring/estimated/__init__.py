"""How good a model is before labels come: estimated from what it did on its own test set."""
