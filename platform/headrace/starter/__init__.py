"""The starter: a new project with one small product that runs."""
