"""The drill: faults that are planted in a copy of a product, and which of its guards notice."""
