"""A teacher among the networks themselves, found without labels.

The largest network of a supernet that was trained for a short time is not its best: deep networks
are behind shallow, wide ones, and what is close to it is behind, too. The effective rank of the
features of the target images (RankMe, arXiv 2210.02885) tells which networks are ahead.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from hwsearch.distance.committee import Committee
from hwsearch.distance.controls.spectrum import Spectrum
from hwsearch.distance.students import Students, hash_of_parts
from hwsearch.distance.teacher import Teacher
from hwsearch.journal import Journal
from hwsearch.progress import say, track
from hwsearch.space import Subnet
from hwsearch.spaces.precisions import FULL, in_precision, network_of

MEMBERS = 8
"""Networks in a committee; one alone can be far from all others by chance."""

COMMITTEE = "committee"
BY_RANK = {"rank": 1, COMMITTEE: MEMBERS}
"""What names such a teacher, and how many networks it has."""

KIND = "ranks"

DRAWN = 64
"""Networks drawn beside the largest one."""


def teacher_by_rank(
    students: Students, folder: Path, members: int = 1, *, drawn: int = DRAWN, seed: int = 0
) -> Teacher:
    """Returns the networks whose features of the target images have the highest effective rank.

    Args:
        students: The networks.
        folder: Keeps every rank, so that what was stopped goes on.
        members: How many are the teacher: one network, or several as a committee.
        drawn: How many of them are looked at beside the largest one; fewer in a small space.
        seed: Of which ones.

    Raises:
        HwsearchError: If features are not finite, or the folder cannot be written.
    """
    ranks = _ranks(students, folder, drawn, seed)
    best = sorted(ranks, key=ranks.__getitem__, reverse=True)[:members]
    largest = next(iter(ranks))
    above = sum(value > ranks[largest] for value in ranks.values())
    who = best[0] if len(best) == 1 else f"a committee of {len(best)}"
    say(
        f"The teacher is {who}: of {len(ranks)} networks with the highest effective rank of "
        f"features, {ranks[best[-1]]:.1f} or more; those of the largest have "
        f"{ranks[largest]:.1f}, less than {above} others"
    )
    if len(best) == 1:
        return Teacher(students, best[0])
    return Teacher(Committee(students, best), students.space.maximum)


def _ranks(students: Students, folder: Path, drawn: int, seed: int) -> dict[Subnet, float]:
    """Returns the effective rank of the features of the largest network, then of others."""
    candidates = list(_candidates(students, drawn, seed))
    ranks: dict[Subnet, float] = {}
    with track("find the teacher", len(candidates)) as advance, _kept(students, folder) as rank:
        for subnet in candidates:
            ranks[subnet] = rank(subnet)
            advance(note=f"rank {ranks[subnet]:.1f}")
    return ranks


@contextmanager
def _kept(students: Students, folder: Path) -> Iterator[Callable[[Subnet], float]]:
    """Gives the ranks of these networks on these images, and journals those that are new."""
    space, rank = students.space, Spectrum(students).rank
    name = hash_of_parts(
        students.fingerprint(space.maximum), students.images.fingerprint, students.place
    )
    path = folder / f"ranks-{name[:16]}.jsonl"
    with Journal.open(path, KIND, {"space": space.name, "students": name}) as journal:
        known = {space.subnet(**row["subnet"]): row["rank"] for row in journal.rows}

        def told(subnet: Subnet) -> float:
            if subnet not in known:
                known[subnet] = rank(subnet)
                journal.append({"subnet": subnet.as_dict(), "rank": known[subnet]})
            return known[subnet]

        yield told


def _candidates(students: Students, drawn: int, seed: int) -> Iterator[Subnet]:
    """Yields the largest network, then others once each, all in full precision."""
    space, rng = students.space, np.random.default_rng(seed)
    seen: set[Subnet] = set()
    for asked in (space.maximum, *(space.sample(rng) for _ in range(drawn))):
        subnet = space.canonical(in_precision(space, network_of(space, asked), FULL))
        if subnet not in seen:
            seen.add(subnet)
            yield subnet
