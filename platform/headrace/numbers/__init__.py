"""Numbers: what a product costs, how fast and how well it does, over time."""
