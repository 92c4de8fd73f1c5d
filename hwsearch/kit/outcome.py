"""From the results of a build folder to the finished manifest, on the device and at home alike."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from hwsearch.errors import HwsearchError
from hwsearch.kit.delivery import ENGINE, Delivery
from hwsearch.kit.given import given_outputs, last_given
from hwsearch.kit.parity import ErrorMeter, OutputError, check_errors
from hwsearch.measurement import Visit, summarise
from hwsearch.measurement.flags import flags_of

CHECKSUM = "checksum"
"""Name of the field that holds it."""


def checked_errors(
    delivery: Delivery, row: Mapping[str, Any], expected: Mapping[str, np.ndarray], fix: str
) -> dict[str, OutputError]:
    """Compares what an engine gave for the stored images with what the float network gives.

    Args:
        delivery: The order of the build folder.
        row: Of the results, with the engine's outputs.
        expected: The float network's, by name.
        fix: What to do if they differ.

    Raises:
        HwsearchError: If they differ by more than the precision allows.
    """
    given, meter = given_outputs(row, delivery.outputs), ErrorMeter([*delivery.outputs])
    meter.add([given[name] for name in delivery.outputs], [*expected.values()])
    errors, promised = meter.errors(), delivery.manifest
    check_errors(
        errors,
        promised["parity"]["tolerance"],
        precision=promised["precision"],
        engine=f"{promised['runtime']} engine",
        reference=promised["parity"]["reference"],
        fix=fix,
    )
    return errors


def manifest_text(values: Mapping[str, Any]) -> str:
    """Returns a manifest as it is written, with a checksum that shows damage.

    Args:
        values: All but the checksum, as JSON values.
    """
    return json.dumps({**values, CHECKSUM: checksum_of(values)}, indent=2) + "\n"


def checksum_of(values: Mapping[str, Any]) -> str:
    """Returns the sha256 of a manifest's values, however they are laid out."""
    plain = {name: value for name, value in values.items() if name != CHECKSUM}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def finished_manifest(
    delivery: Delivery,
    header: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    errors: Mapping[str, OutputError],
) -> dict[str, Any]:
    """Returns the manifest of an engine that was built, checked and measured, as JSON values.

    Args:
        delivery: The order of the build folder.
        header: Of the results.
        rows: Of the results.
        errors: As `checked_errors` gives them.

    Raises:
        HwsearchError: If the engine was not measured.
    """
    row, promised = last_given(rows), delivery.manifest
    visits = [Visit.from_row(row) for row in rows if "visit" in row]
    ended = next((row for row in reversed(rows) if "ended" in row), None)
    if row is None or ended is None or not visits:
        raise HwsearchError(
            "the engine was not measured", fix="Give it more time with --measure-seconds"
        )
    estimate = summarise(visits, delivery.scale)[ENGINE]
    measured = {
        "measured_ms": estimate.latency_ms,
        "measured_stderr_rel": estimate.stderr_rel,
        "flags": list(flags_of(estimate)),
    }
    outputs = {name: asdict(error) for name, error in errors.items()}
    end = time.gmtime(max(visit.at for visit in visits))
    return {
        **promised,
        "provider": ended["provider"],
        "engine": next(iter(row["files"])),
        "latency": {**promised["latency"], **measured},
        "parity": {**promised["parity"], "outputs": outputs},
        "device": header["fingerprint"],
        "versions": {**promised["versions"], **header["versions"]},
        "created": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", end),
        "files": {**{name: delivery.files[name] for name in delivery.kept}, **row["files"]},
    }
