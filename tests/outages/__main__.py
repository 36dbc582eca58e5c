"""`python -m tests.outages`: break made-up companies in eight ways, and see how often the likely cause is the true one.

Exit code 0 only where every target is reached.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

from bot.enrich.causes.ranking import NAMED_FROM
from tests.kit.outages import FAULTS
from tests.outages.playing import Answer, ask, drawn, founded

INNOCENT = "no fault in view"
FIRST, AMONG_THREE, NOT_NAMED = 0.85, 0.95, 0.90


async def answers(seeds: range, services: int, each: int, faults: tuple[str, ...] = FAULTS) -> list[Answer]:
    """`each` outages of every kind in every company."""
    found = []
    for seed in seeds:
        scene = await founded(seed, services)
        for fault in faults:
            found += [await ask(scene, outage) for outage in drawn(scene, fault, each)]
    return found


def shares(found: list[Answer]) -> tuple[float, float]:
    """(share of answers whose first candidate is right, share with a right one among three)."""
    places = [one.place for one in found]
    first = sum(place == 1 for place in places) / max(1, len(found))
    return first, sum(place is not None and place <= 3 for place in places) / max(1, len(found))


def not_named(found: list[Answer]) -> float:
    """The share of answers that name nobody."""
    return sum(one.verdict.named is None for one in found) / max(1, len(found))


def main() -> int:
    """Print the table; 0 where every target is reached."""
    parser = argparse.ArgumentParser(prog="python -m tests.outages", description=__doc__)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--companies", type=int, default=6)
    parser.add_argument("--services", type=int, default=100)
    parser.add_argument("--each", type=int, default=3)
    parser.add_argument("--show", action="store_true", help="every answer that is not right")
    given = parser.parse_args()
    began = time.monotonic()
    seeds = range(given.first_seed, given.first_seed + given.companies)
    found = asyncio.run(answers(seeds, given.services, given.each))
    print(f"companies {seeds.start} to {seeds.stop - 1}, {given.services} workloads, {time.monotonic() - began:.0f} s")
    print(f"{'':30} {'outages':>8} {'first':>6} {'of three':>9} {'named from':>11}")
    for fault in FAULTS:
        mine = [one for one in found if one.outage.fault == fault]
        first, three = shares(mine)
        said = f"{first:6.2f} {three:9.2f}" if fault != INNOCENT else f"{'':16}"
        print(f"{fault:30} {len(mine):8} {said} {1 - not_named(mine):11.2f}")
    if given.show:
        print("\n".join(map(_wrong, (one for one in found if one.place != 1))))
    guilty = [one for one in found if one.outage.fault != INNOCENT]
    first, three = shares(guilty)
    none = not_named([one for one in found if one.outage.fault == INNOCENT])
    print(
        f"first {first:.3f} (target {FIRST}), among three {three:.3f} (target {AMONG_THREE}), "
        f"innocent alerts that name nobody {none:.3f} (target {NOT_NAMED}; named from p {NAMED_FROM})"
    )
    return 0 if first >= FIRST and three >= AMONG_THREE and none >= NOT_NAMED else 1


def _wrong(one: Answer) -> str:
    said = [f"{each.service} {each.p:.2f} {each.sentences[:2]}" for each in one.verdict.candidates[:3]]
    (alerting, about), causes = one.outage.alert, sorted(one.outage.causes)[:3]
    return f"{one.outage.fault}: alert on {alerting.id} ({about}), cause {causes} at {one.place}: {said}"


if __name__ == "__main__":
    sys.exit(main())
