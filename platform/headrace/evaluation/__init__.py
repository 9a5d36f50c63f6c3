"""Evaluation: how well candidates do, how sure that is, and which gates they meet."""
