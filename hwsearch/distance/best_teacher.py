"""A teacher among the networks themselves, found without labels.

The largest network of a supernet that was trained for a short time is not its best: deep networks
are behind shallow, wide ones, and what is close to it is behind, too. The effective rank of the
features of the target images (RankMe, arXiv 2210.02885) tells which networks are ahead.
"""

from collections.abc import Iterator

import numpy as np

from hwsearch.distance.controls.spectrum import Spectrum
from hwsearch.distance.students import Students
from hwsearch.distance.teacher import Teacher
from hwsearch.progress import say, track
from hwsearch.space import Subnet
from hwsearch.spaces.precisions import FULL, in_precision, network_of

BY_RANK = "rank"
"""What names this teacher."""

DRAWN = 64
"""Networks drawn beside the largest one."""


def teacher_by_rank(students: Students, *, drawn: int = DRAWN, seed: int = 0) -> Teacher:
    """Returns the network whose features of the target images have the highest effective rank.

    Args:
        students: The networks.
        drawn: How many of them are looked at beside the largest one; fewer in a small space.
        seed: Of which ones.
    """
    rank = Spectrum(students).rank
    candidates = list(_candidates(students, drawn, seed))
    ranks: dict[Subnet, float] = {}
    with track("find the teacher", len(candidates)) as advance:
        for subnet in candidates:
            ranks[subnet] = rank(subnet)
            advance(note=f"rank {ranks[subnet]:.1f}")
    best, largest = max(candidates, key=ranks.__getitem__), candidates[0]
    above = sum(value > ranks[largest] for value in ranks.values())
    say(
        f"The teacher is {best}: of {len(ranks)} networks its features have the highest effective "
        f"rank, {ranks[best]:.1f}; those of the largest have {ranks[largest]:.1f}, less than "
        f"{above} others"
    )
    return Teacher(students, best)


def _candidates(students: Students, drawn: int, seed: int) -> Iterator[Subnet]:
    """Yields the largest network, then others once each, all in full precision."""
    space, rng = students.space, np.random.default_rng(seed)
    seen: set[Subnet] = set()
    for asked in (space.maximum, *(space.sample(rng) for _ in range(drawn))):
        subnet = space.canonical(in_precision(space, network_of(space, asked), FULL))
        if subnet not in seen:
            seen.add(subnet)
            yield subnet
