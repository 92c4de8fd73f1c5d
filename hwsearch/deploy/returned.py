"""Returned: what came back from another device, from a kit or from a build folder."""

import re
from pathlib import Path
from typing import Any

import msgspec

from hwsearch.deploy.manifest import MANIFEST_NAME, Manifest, read_manifest, write_manifest
from hwsearch.deploy.readme import NAME as README
from hwsearch.deploy.readme import write_readme
from hwsearch.deploy.tell import tell_findings
from hwsearch.errors import HwsearchError
from hwsearch.kit.delivery import ENGINE, ORDER, Delivery
from hwsearch.kit.given import given_outputs, last_given
from hwsearch.kit.listing import require_files
from hwsearch.kit.outcome import checked_errors, finished_manifest
from hwsearch.profiling.imported import ImportOptions, import_results
from hwsearch.profiling.results import Results, check_hash, read_results
from hwsearch.progress import say

__all__ = ["ImportOptions", "import_any"]

_FILE = re.compile(r"engine(\.[a-z0-9]{1,12}){1,3}")
_MEASURE_AGAIN = "Let the build folder measure again on its device, with --fresh"


def import_any(options: ImportOptions) -> Path:
    """Imports the results of a kit or of a build folder, whichever lies beside them.

    Returns:
        The path of the table, or of the manifest.

    Raises:
        HwsearchError: If anything in the file is not what would have been written; nothing is
            written then.
    """
    folder = options.kit or options.results.parent
    if (folder / ORDER).exists():
        return import_engine(options.results, folder, fresh=options.fresh)
    return import_results(options)


def import_engine(path: Path, folder: Path, *, fresh: bool = False) -> Path:
    """Checks what a build folder brought back, and writes the manifest of its engine.

    Parity is computed again from what the engine gave, latency from what was measured.

    Args:
        path: The results.
        folder: The build folder as it was made here.
        fresh: Replace the manifest of another engine.

    Returns:
        The path of the manifest, in the build folder.

    Raises:
        HwsearchError: If anything in the file is not what the build folder would have written, a
            file of the build folder was changed, or another manifest would be lost.
    """
    delivery = Delivery.read(folder / ORDER)
    require_files(folder, delivery.files, "build folder")
    results = read_results(path, delivery, {"given": _check_given})
    manifest = _manifest(delivery, results, path, folder)
    _keep(manifest, folder, fresh)
    device = delivery.header["device"]
    write_readme(folder, manifest, device)
    say(
        f"{folder / MANIFEST_NAME} describes {manifest.engine} ({manifest.runtime} "
        f"{manifest.precision}), which stays on {device}; {README} says how to call it"
    )
    tell_findings(manifest)
    return folder / MANIFEST_NAME


def _check_given(row: dict[str, Any], delivery: Delivery) -> None:
    if set(row) != {"given", "files"} or not row["files"]:
        raise ValueError("fields that outputs do not have")
    for name, digest in row["files"].items():
        if not _FILE.fullmatch(name):
            raise ValueError("a file that no engine has")
        check_hash(digest)
    given_outputs(row, delivery.outputs)


def _manifest(delivery: Delivery, results: Results, path: Path, folder: Path) -> Manifest:
    header, rows = results.header, results.rows
    there = header["fingerprint"]
    differing = [name for name, text in delivery.fingerprint.items() if there.get(name) != text]
    if differing or header["threads"] != delivery.threads:
        raise HwsearchError(
            "the results are not of the latency table's device and threads (differing: "
            f"{', '.join(differing) or 'threads'})",
            where=path,
            fix=_MEASURE_AGAIN,
        )
    row = last_given(rows)
    built = [row["jobs"][ENGINE][1] for row in rows if ENGINE in row.get("jobs", {})]
    if row is None or not built or next(iter(row["files"].values())) != built[-1]:
        raise HwsearchError("the engine was not checked", where=path, fix=_MEASURE_AGAIN)
    errors = checked_errors(delivery, row, delivery.expected(folder), _MEASURE_AGAIN)
    values = finished_manifest(delivery, header, rows, errors)
    return msgspec.convert(values, Manifest)


def _keep(manifest: Manifest, folder: Path, fresh: bool) -> None:
    """Writes the manifest unless that of another engine would be lost."""
    path = folder / MANIFEST_NAME
    if path.exists() and not fresh and read_manifest(folder) != manifest:
        raise HwsearchError(
            "the manifest of another engine is here", where=path, fix="Replace it with --fresh"
        )
    write_manifest(folder, manifest)
