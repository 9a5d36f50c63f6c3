"""Why models say what they say: of all rows, of slices, of one row, and what another model sees otherwise."""
