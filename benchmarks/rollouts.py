"""How often a rollout is wrong, and how many requests it takes to be right: `python -m benchmarks.rollouts`."""

import numpy as np

from benchmarks.worlds import HARM, SAME, SHORT, WORLDS, Nature, rollouts
from headrace.rollout.declaration import Canary


def main() -> None:
    """Print what became of made-up rollouts, each looked at after every 50 requests."""
    worlds: list[tuple[str, Nature, Canary]] = [(name, *world) for name, world in SAME.items()]
    worlds += [(name, nature, canary) for name, nature in HARM.items() for canary in (Canary(), SHORT)]
    print(f"| {WORLDS} worlds each | first step | went back | requests until then | took over | requests until then |")
    print("|---|---|--:|--:|--:|--:|")
    for seed, (name, nature, canary) in enumerate(worlds):
        found = rollouts(nature, canary, seed=seed)
        over = found.on[np.isfinite(found.on)]
        back = f"{found.requests:,.0f}" if found.share_back else "-"
        on = f"{np.median(over):,.0f}" if len(over) else "-"
        print(
            f"| {name} | {canary.steps[0]} | {found.share_back:.2%} | {back} | {len(over) / WORLDS:.2%} | {on} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
