"""Warm start: what earlier searches of the same space give to a new one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwsearch.errors import HwsearchError
from hwsearch.journal import Journal, differing_fields, read_journal
from hwsearch.search.evaluations import FILE, KIND, Evaluations
from hwsearch.search.objectives import Objective
from hwsearch.search.sight import Archive
from hwsearch.space import Space
from hwsearch.spaces import get_space
from hwsearch.spaces.precisions import FULL, PrecisionSpace

_SEARCH = ("space", "seed", "batch", "tables", "ships", "limits", "against", "joint", "warm")
"""Fields of a header that say how networks were searched for, not what their distance is."""


@dataclass(frozen=True)
class Warm:
    """What is known before a search.

    Attributes:
        known: Networks whose distance was measured as it is now, of the same weights; or None.
        earlier: What was found with other weights, teachers or images.
    """

    known: Archive | None
    earlier: tuple[Archive, ...]


def require_searches(folders: Sequence[Path], space: Space) -> None:
    """Refuses folders that give nothing to a search of a space.

    Raises:
        HwsearchError: If one holds no search, or one of another space.
    """
    for folder in folders:
        _archive(Evaluations.read(folder), space, folder)


def read_warm(folders: Sequence[Path], header: Mapping[str, Any]) -> Warm:
    """Reads the folders of earlier searches.

    Args:
        folders: Each of a search, finished or not.
        header: Of the new search.

    Raises:
        HwsearchError: If one holds no search, or one of another space.
    """
    known, earlier = [], []
    for folder in folders:
        found, space = Evaluations.read(folder), get_space(header["space"])
        if _same_distance(folder, header):  # and what was stopped early is not known
            known.append(_archive(found.whole(), space, folder))
        else:
            earlier.append(_archive(found, space, folder))
    if not known:
        return Warm(None, tuple(earlier))
    codes = np.concatenate([one.codes for one in known])
    codes, first = np.unique(codes, axis=0, return_index=True)
    distance = np.concatenate([one.distance for one in known])[first]
    return Warm(Archive(codes, distance), tuple(earlier))


def _archive(found: Evaluations, space: Space, folder: Path) -> Archive:
    """Takes a search of a space, or of the networks that a space has in several precisions."""
    if found.space.name == space.name:
        return Archive(found.codes, found.distance)
    if isinstance(space, PrecisionSpace) and found.space.name == space.plain.name:
        subnets = map(found.space.decode, found.codes)
        codes = [space.encode(space.subnet(**one.as_dict(), precision=FULL)) for one in subnets]
        return Archive(np.array(codes), found.distance)
    raise HwsearchError(
        f"--warm names a search of space '{found.space.name}', not '{space.name}'",
        where=folder,
        fix="Name searches of the same space",
    )


def _same_distance(folder: Path, header: Mapping[str, Any]) -> bool:
    then, _ = read_journal(folder / FILE, KIND)
    old, new = (
        {name: value for name, value in one.items() if name not in _SEARCH}
        for one in (then, header)
    )
    return not differing_fields(old, new)


def journal_known(
    journal: Journal, space: Space, known: Archive, latencies: Mapping[str, Objective]
) -> None:
    """Writes known distances into the journal of a search, as if they had been evaluated by it.

    Args:
        journal: Of the search; networks that it holds are left alone.
        space: Of the networks.
        known: What to write.
        latencies: Predicted milliseconds, by label of the table.
    """
    held = {str(space.subnet(**row["subnet"])) for row in journal.rows}
    latency_ms = {label: objective(known.codes) for label, objective in latencies.items()}
    for index, code in enumerate(known.codes):
        subnet = space.decode(code)
        if str(subnet) not in held:
            journal.append(
                {
                    "subnet": subnet.as_dict(),
                    "distance": float(known.distance[index]),
                    "latency_ms": {label: float(ms[index]) for label, ms in latency_ms.items()},
                }
            )
