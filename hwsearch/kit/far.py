"""The build folder on its device: its engine is built, checked and measured, and described."""

import argparse
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwsearch.device import told_difference
from hwsearch.errors import HwsearchError
from hwsearch.journal import write_atomic
from hwsearch.kit.child import check_in_child
from hwsearch.kit.defaults import default_memory_bytes
from hwsearch.kit.delivery import ENGINE, INPUTS, MANIFEST, ORDER, PROGRAM, Delivery
from hwsearch.kit.engines import Built
from hwsearch.kit.given import last_given
from hwsearch.kit.jobs import RESULTS
from hwsearch.kit.listing import damaged_files, require_files
from hwsearch.kit.order import CheckOrder, failures, is_finished, try_again
from hwsearch.kit.outcome import checked_errors, finished_manifest, manifest_text
from hwsearch.kit.program import degrees, positive, run_program, say
from hwsearch.kit.site import Site, results_header
from hwsearch.measurement import REFERENCES, Job, Settings
from hwsearch.runtime import get_runtime

MIN_SECONDS = 2.0
"""One engine makes short rounds: more of them spread the visits over time."""

_AGAIN = "The same command with --fresh begins anew"


@dataclass(frozen=True)
class Place:
    """The build folder, opened on the device.

    Attributes:
        folder: Its path.
        delivery: Its order.
        site: Where the work goes.
    """

    folder: Path
    delivery: Delivery
    site: Site

    def forget(self) -> None:
        """Removes what an earlier run found; what it built is found again."""
        (self.folder / MANIFEST).unlink(missing_ok=True)
        self.site.forget()

    def is_delivered(self, rows: Sequence[Mapping[str, Any]], seconds: float) -> bool:
        """Whether the engine was built, checked and measured, and lies in the folder."""
        row = last_given(rows)
        return (
            row is not None
            and is_finished(rows, seconds)
            and not damaged_files(self.folder, row["files"])
        )


def _run(folder: Path, words: Sequence[str]) -> None:
    folder = folder.absolute()
    delivery = Delivery.read(folder / ORDER)
    given = _parser(delivery).parse_args(words)
    require_files(folder, delivery.files, "build folder")
    header = results_header(delivery.header, delivery.identity, delivery.threads)
    _require_device(delivery, header["fingerprint"])
    place = Place(folder, delivery, Site(folder / RESULTS, folder / "work", header))
    with place.site.alone():
        if given.fresh:
            place.forget()
            shutil.rmtree(place.site.work, ignore_errors=True)
        _go_on(place, given)


def _go_on(place: Place, given: argparse.Namespace) -> None:
    with place.site.open(_AGAIN) as journal:
        if not (delivered := place.is_delivered(journal.rows, given.measure_seconds)):
            try_again(journal)
    if not delivered:
        (place.folder / MANIFEST).unlink(missing_ok=True)
        built = _checked(place, _built(place))
        _measure(place, built, given.measure_seconds, given.max_temperature)
        _copy(place, built)
    _finish(place)


def _parser(delivery: Delivery) -> argparse.ArgumentParser:
    header = delivery.header
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description=f"Builds, checks and measures one {header['runtime']} engine in "
        f"{header['precision']}. Stopped at any moment, the same command goes on.",
    )
    add = parser.add_argument
    seconds, rest = delivery.measure_seconds, "rest while hotter, in degrees C (0: never)"
    add("--measure-seconds", type=positive, default=seconds, help="most time for measuring")
    add("--max-temperature", type=degrees, default=0.0, help=rest)
    add("--fresh", action="store_true", help="forget an earlier run")
    return parser


def _require_device(delivery: Delivery, here: Mapping[str, str]) -> None:
    if fields := told_difference(delivery.fingerprint, here):
        raise HwsearchError(
            f"the network was chosen for another device ({fields})",
            fix="Copy the folder to that device, or choose by a latency table of this one",
        )


def _built(place: Place) -> dict[str, Built]:
    """Builds the engine and the references; what is known of another engine is forgotten."""
    header, delivery = place.site.header, place.delivery
    say(f"{header['device']}: {header['runtime']} {header['versions'][header['runtime']]}")
    files = {**dict(zip(REFERENCES, delivery.references, strict=True)), **delivery.jobs}
    built = place.site.build({job: place.folder / name for job, name in files.items()})
    _require_success(place, files)
    row = last_given(place.site.rows())
    if row is not None and built[ENGINE].engine_sha256 not in row["files"].values():
        say("Another engine was checked before; everything begins anew")
        place.forget()
        place.site.open(_AGAIN).close()
        return _built(place)
    return built


def _require_success(place: Place, files: Mapping[str, str]) -> None:
    for job, reason in failures(place.site.rows()).items():
        raise HwsearchError(
            f"the engine of {files[job]} failed: {reason}", where=place.folder, fix=_AGAIN
        )


def _checked(place: Place, built: dict[str, Built]) -> dict[str, Built]:
    """Lets the engine compute the stored images; removes it if it computes something else.

    Raises:
        HwsearchError: If it does.
    """
    site, delivery = place.site, place.delivery
    if last_given(site.rows()) is None:
        check_in_child(_check_order(place, built[ENGINE]), site.work, say)
        _require_success(place, delivery.jobs)
    row = last_given(site.rows())
    assert row is not None
    fix = "It was removed: update the runtime and use --fresh, or choose another --table"
    try:
        checked_errors(delivery, row, delivery.expected(place.folder), fix)
    except HwsearchError:
        shutil.rmtree(built[ENGINE].engine.parent)
        raise
    return built


def _check_order(place: Place, built: Built) -> CheckOrder:
    header, takes = place.site.header, place.delivery.manifest["input"]
    return CheckOrder(
        journal=place.site.out,
        header=header,
        job=ENGINE,
        engine=built.engine,
        runtime=header["runtime"],
        precision=header["precision"],
        threads=header["threads"],
        batch=takes["batch"],
        inputs=place.folder / INPUTS,
        input_name=takes["name"],
        outputs=tuple(place.delivery.outputs),
    )


def _measure(place: Place, built: dict[str, Built], seconds: float, max_celsius: float) -> None:
    engine = built[ENGINE]
    settings = Settings(
        seconds,
        min_seconds=min(MIN_SECONDS, seconds / 2),
        pace_hz=place.site.header["pace_hz"],
        memory_bytes=default_memory_bytes(),
    )
    if not is_finished(place.site.rows(), seconds):
        job = Job(ENGINE, engine.engine, engine.size_bytes)
        place.site.measure(built, [job], settings, max_celsius)
        _require_success(place, place.delivery.jobs)


def _copy(place: Place, built: dict[str, Built]) -> None:
    """Puts the engine's files beside those it was built from."""
    for file in get_runtime(place.site.header["runtime"]).files(built[ENGINE].engine):
        write_atomic(place.folder / file.name, file.read_bytes())


def _finish(place: Place) -> None:
    delivery, rows = place.delivery, place.site.rows()
    row = last_given(rows)
    assert row is not None
    errors = checked_errors(delivery, row, delivery.expected(place.folder), _AGAIN)
    manifest = finished_manifest(delivery, place.site.header, rows, errors)
    write_atomic(place.folder / MANIFEST, manifest_text(manifest))
    latency = manifest["latency"]
    relative = max(error.relative for error in errors.values())
    flags = f" ({', '.join(latency['flags'])})" if latency["flags"] else ""
    say(
        f"engine {place.folder / manifest['engine']}\n"
        f"latency {latency['measured_ms']:.3f} ms{flags}; expected {latency['predicted_ms']:.3f} "
        f"ms ({latency['low_ms']:.3f} to {latency['high_ms']:.3f})\n"
        f"parity {relative:.1e} relative error on {delivery.images} images\n"
        f"Bring back this file: {place.site.out}"
    )


if __name__ == "__main__":
    sys.exit(run_program("build_engine", _run, sys.argv[1:]))
