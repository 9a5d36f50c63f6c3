"""Load: how much a server bears, asked in an open loop, and held against what is promised of it."""
