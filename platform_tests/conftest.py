"""Property tests try the same cases in every run, so that a red one is red for all; HYPOTHESIS_CASES=other tries others."""

import os

from hypothesis import settings

settings.register_profile("same", derandomize=True)
settings.register_profile("other", derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_CASES", "same"))
