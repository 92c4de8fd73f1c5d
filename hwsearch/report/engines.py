"""Delivered engines of a report: each belongs to one of its searches."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hwsearch.deploy.manifest import Manifest, read_manifest
from hwsearch.errors import HwsearchError
from hwsearch.report.panel import Delivered, Search
from hwsearch.search.evaluations import match_table

CLOSE = 0.01
"""Share of a distance by which it may differ where other threads or another device computed it."""


def read_engines(folders: Sequence[Path], searches: Sequence[Search]) -> list[Delivered]:
    """Reads of each engine what was predicted and measured.

    Args:
        folders: Of the engines.
        searches: That they may belong to.

    Raises:
        HwsearchError: If an engine belongs to none of them, or its manifest is damaged.
    """
    return [_read(folder, searches) for folder in folders]


def _read(folder: Path, searches: Sequence[Search]) -> Delivered:
    manifest = read_manifest(folder)
    latency = manifest.latency
    labels = [target.table for search in searches for target in search.evaluations.targets]
    table = match_table(manifest.table, labels)
    its = [one for one in searches if any(t.table == table for t in one.evaluations.targets)]
    if not any(_measured_alike(manifest, search) for search in its):
        raise HwsearchError(
            "the engine's distance was measured with another teacher or other images than those of "
            f"{' and '.join(str(search.folder) for search in its)}",
            where=folder,
            fix="Leave it out of --engines, or report the search that it is from",
        )
    return Delivered(
        folder=folder,
        subnet=manifest.subnet,
        table=table,
        predicted_ms=latency.predicted_ms + latency.around_ms,
        measured_ms=latency.measured_ms + latency.around_ms,
        predicted_distance=manifest.distance.searched,
        measured_distance=manifest.distance.engine,
    )


def _measured_alike(manifest: Manifest, search: Search) -> bool:
    """Whether distances of an engine and of a search can be compared, as far as both tell."""
    distance, found = manifest.distance, search.evaluations
    if distance.images_fingerprint != found.yardstick.images:
        return False
    row = search.row_of(manifest.subnet, manifest.precision)
    return row is None or bool(
        np.isclose(distance.searched, found.distance[row], rtol=CLOSE, atol=CLOSE**2)
    )
