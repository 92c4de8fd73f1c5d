"""Verdicts that a journal remembers: nothing is judged twice."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from hwsearch.evaluate.dense.precision import BoxVerdict
from hwsearch.evaluate.dense.segmentation import MaskVerdict
from hwsearch.evaluate.judges import Judge, JudgeName
from hwsearch.evaluate.verdict import ClassVerdict, Verdict
from hwsearch.journal import Journal
from hwsearch.progress import track
from hwsearch.space import Space, Subnet

_KINDS: Mapping[str, type[Verdict]] = {
    kind.kind: kind for kind in (ClassVerdict, BoxVerdict, MaskVerdict)
}

Key = tuple[str, str, int]
"""Network, judge and seed."""


class RememberedVerdicts:
    """Judges that write each verdict into a journal, and never judge again what is in it.

    Args:
        space: Of the networks.
        journal: Where verdicts are kept; other rows of it are passed over.
        judges: By name.
    """

    def __init__(self, space: Space, journal: Journal, judges: Mapping[JudgeName, Judge]) -> None:
        self._journal, self._judges = journal, judges
        rows = (row for row in journal.rows if "verdict" in row)
        self._known = {_key_of(row, space): row["verdict"] for row in rows}

    def __call__(self, subnet: Subnet, judge: JudgeName, seed: int) -> Verdict:
        """Returns a verdict, judging only if the journal does not know it."""
        key = (str(subnet), judge, seed)
        if key not in self._known:
            began = time.monotonic()
            verdict = self._judges[judge](subnet, seed)
            told = verdict.packed() | {"kind": verdict.kind}
            unit = {"subnet": subnet.as_dict(), "judge": judge, "seed": seed}
            seconds = round(time.monotonic() - began, 3)
            self._journal.append(unit | {"seconds": seconds, "verdict": told})
            self._known[key] = told
        return unpack(self._known[key])

    def knows(self, subnet: Subnet, judge: JudgeName, seed: int) -> bool:
        """Tells whether a verdict is in the journal."""
        return (str(subnet), judge, seed) in self._known


def _key_of(row: Mapping[str, Any], space: Space) -> Key:
    return (str(space.subnet(**row["subnet"])), row["judge"], row["seed"])


def unpack(told: Mapping[str, Any]) -> Verdict:
    """Reads a verdict from a row of a journal."""
    return _KINDS[told["kind"]].unpacked(told)


Unit = tuple[Subnet, JudgeName, int]


def judge_all(
    verdicts: RememberedVerdicts, units: Sequence[Unit], what: str
) -> dict[Unit, Verdict]:
    """Judges what is not known yet, network by network, and returns everything.

    Args:
        verdicts: The judges and what they said before.
        units: What to judge.
        what: Words beside the progress bar.
    """
    left = [unit for unit in units if not verdicts.knows(*unit)]
    with track(what, len(units), start=len(units) - len(left), quiet=not left) as advance:
        for unit in left:
            verdicts(*unit)
            advance()
    return {unit: verdicts(*unit) for unit in units}
