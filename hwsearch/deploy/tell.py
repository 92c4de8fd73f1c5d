"""What a person is told about a delivered engine, or about a folder that becomes one elsewhere."""

from pathlib import Path

import numpy as np

from hwsearch.deploy.manifest import Latency, Manifest
from hwsearch.kit.delivery import PROGRAM, Delivery
from hwsearch.kit.jobs import RESULTS
from hwsearch.latency.lookup import of_measured
from hwsearch.progress import say


def tell_engine(folder: Path, manifest: Manifest) -> None:
    """Prints what was delivered."""
    say(f"engine {folder / manifest.engine} ({manifest.runtime} {manifest.precision})")
    tell_findings(manifest)


def tell_findings(manifest: Manifest) -> None:
    """Prints which network an engine is of, and what was measured and compared."""
    latency, distance, parity = manifest.latency, manifest.distance, manifest.parity
    by = f"as {distance.stand_in} computes its file" if distance.stand_in else "of the engine"
    say(
        f"  subnet    {_subnet(manifest)}\n"
        f"  latency   {latency.taken}, {_marked(latency)}; expected "
        f"{_expected(latency)}\n"
        f"  parity    {parity.relative_error:.1e} relative error against {parity.reference} on "
        f"{parity.images} images\n"
        f"  distance  {distance.engine:.4f} {by}, {_distances(manifest)}"
    )
    _tell_classes(manifest)


def tell_build_folder(folder: Path, delivery: Delivery, found: Manifest) -> None:
    """Prints what a build folder holds, and what to do with it."""
    parity, distance = found.parity, found.distance
    device = delivery.header["device"]
    say(
        f"build folder {folder} ({found.runtime} {found.precision}, for {device}): nothing was "
        "built or measured yet\n"
        f"  subnet    {_subnet(found)}\n"
        f"  latency   expected {_expected(found.latency)}\n"
        f"  parity    {parity.relative_error:.1e} relative error of {delivery.model}, computed by "
        f"{distance.stand_in}, against {parity.reference} on {parity.images} images\n"
        f"  distance  {distance.engine:.4f} of that, {_distances(found)}"
    )
    _tell_classes(found)
    say(
        f"Copy the folder to the device and run there: python3 {PROGRAM}\n"
        f"Bring {RESULTS} back and run here: hwsearch import {folder / RESULTS}"
    )


def _subnet(manifest: Manifest) -> str:
    return ",".join(f"{name}={value}" for name, value in manifest.subnet.items())


def _expected(latency: Latency) -> str:
    return f"{latency.predicted_ms:.3f} ms ({latency.low_ms:.3f} to {latency.high_ms:.3f})"


def _distances(manifest: Manifest) -> str:
    distance = manifest.distance
    return f"{distance.searched:.4f} as searched, {distance.float_net:.4f} of the float network"


def _marked(latency: Latency) -> str:
    """Says whether the measurement can be relied on, and is as promised."""
    limit_ms = latency.limit_ms
    if latency.flags:
        return f"noisy ({', '.join(latency.flags)})"
    if limit_ms is None:
        inside = latency.low_ms <= latency.measured_ms <= latency.high_ms
        return f"{'inside' if inside else 'outside'} the expected interval"
    found = np.array([latency.measured_ms]), np.array([latency.measured_stderr_rel])
    kept = of_measured(*found).high_ms[0] + latency.around_ms <= limit_ms
    return f"confirmed within {limit_ms:g} ms" if kept else f"not within {limit_ms:g} ms"


def _tell_classes(manifest: Manifest) -> None:
    if (dense := manifest.dense) is not None:
        say(
            f"  {dense.measure:<9} {dense.quality:.3f} ({dense.low:.3f} to {dense.high:.3f}) of "
            f"{len(dense.classes)} classes, each of {dense.images} images told by what the others "
            "taught"
        )
    if (told := manifest.classifier) is not None:
        say(
            f"  accuracy  {told.accuracy:.1%} ({told.low:.1%} to {told.high:.1%}) of "
            f"{len(told.classes)} classes, each of {told.images} images told by what the others "
            "taught"
        )
