"""Property tests try the same cases in every run, so that a red one is red for all; HYPOTHESIS_CASES=other tries others.

Threads wait for each other as they do in the platform (decision 0040).
"""

import os

from hypothesis import settings

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
settings.register_profile("same", derandomize=True)
settings.register_profile("other", derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_CASES", "same"))
