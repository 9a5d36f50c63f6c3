"""Rollout: a release takes over in steps, judged all the while against the one before it."""
