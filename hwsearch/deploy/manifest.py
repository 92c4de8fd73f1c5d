"""The manifest of a delivered engine: what it is, what was measured, and the hash of each file."""

import json
from pathlib import Path
from typing import Annotated

import msgspec

from hwsearch.deploy.fields import (
    HEAD_OUTPUTS,
    Classifier,
    Count,
    Dense,
    Distance,
    InPrecision,
    Input,
    Latency,
    Output,
    Parity,
    input_of,
)
from hwsearch.errors import HwsearchError
from hwsearch.journal import sha256_of, write_atomic
from hwsearch.kit.outcome import CHECKSUM, checksum_of, manifest_text
from hwsearch.kit.parity import OutputError

__all__ = [
    "HEAD_OUTPUTS",
    "MANIFEST_NAME",
    "SCHEMA",
    "Classifier",
    "Dense",
    "Distance",
    "InPrecision",
    "Input",
    "Latency",
    "Manifest",
    "Output",
    "OutputError",
    "Parity",
    "check_files",
    "input_of",
    "read_manifest",
    "write_manifest",
]

MANIFEST_NAME = "manifest.json"
SCHEMA = 5
"""Version 1: the first format. 2: mean and std of each channel; what parity was compared with.
3: what distance the search found. 4: the budget, and marks of the measurement; several
outputs, the errors of each; a classifier. 5: the precisions it was chosen from; inputs of
any batch, and of bytes; heads for detection and segmentation;
a checksum of the manifest itself."""

_AGAIN = "Deploy the engine again, or copy the folder again from its source"


class Manifest(msgspec.Struct, frozen=True):
    """Everything about one delivered engine.

    Attributes:
        schema: Version of this format.
        space: Name of the space.
        subnet: Value of each dimension.
        table: Name of the latency table the choice was made on.
        runtime: Name of the runtime that the engine is for.
        provider: The device or provider that ran it.
        precision: Numbers it computes in.
        threads: Threads it was measured with.
        engine: File name of the engine.
        files: sha256 of every file but the manifest.
        precisions: What it was chosen from with --precision auto, the most exact first.
        classifier: What it tells classes by, if it does.
        dense: What it finds boxes or tells the classes of pixels by, if it does.
        checkpoint: Fingerprint of the weights it was extracted from, or of the ready model.
        device: Fingerprint of the machine that built and measured it.
        versions: Versions of the packages that built it.
        created: Date and time, ISO 8601, UTC.
    """

    schema: int
    space: str
    subnet: dict[str, int | str]
    table: str
    runtime: str
    provider: str
    precision: str
    threads: Count
    engine: str
    input: Input
    outputs: Annotated[tuple[Output, ...], msgspec.Meta(min_length=1)]
    latency: Latency
    parity: Parity
    distance: Distance
    classifier: Classifier | None
    checkpoint: str
    device: dict[str, str]
    versions: dict[str, str]
    created: str
    files: dict[str, str]
    precisions: tuple[InPrecision, ...] = ()
    dense: Dense | None = None

    @property
    def is_ready_model(self) -> bool:
        """Whether it was a model of a catalogue rather than part of a supernet."""
        return ":" in self.space


class _Versioned(msgspec.Struct, frozen=True):
    """What a manifest of any version holds."""

    schema: int


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Writes the manifest into a folder that already holds the files it names."""
    write_atomic(folder / MANIFEST_NAME, manifest_text(json.loads(msgspec.json.encode(manifest))))


def read_manifest(folder: Path) -> Manifest:
    """Reads the manifest of an engine folder; the files it names are not opened.

    Raises:
        HwsearchError: If there is none, it is malformed or was changed since it was written, or it
            names files outside the folder.
    """
    path = folder / MANIFEST_NAME
    try:
        data = path.read_bytes()
        _check_schema(path, msgspec.json.decode(data, type=_Versioned).schema)
        manifest, values = msgspec.json.decode(data, type=Manifest), json.loads(data)
    except OSError as cause:
        raise HwsearchError(
            "no readable manifest", where=path, fix="Name a folder written by hwsearch deploy"
        ) from cause
    except (RecursionError, ValueError, msgspec.MsgspecError) as cause:
        raise HwsearchError(
            f"malformed manifest: {cause}", where=path, fix="Deploy the engine again"
        ) from cause
    outside = [name for name in (*manifest.files, manifest.engine) if not _is_plain(name)]
    if outside:
        raise HwsearchError(
            f"the manifest names files outside its folder: {outside[0]!r}",
            where=path,
            fix="Do not use this folder; get the engine from its source again",
        )
    if values.get(CHECKSUM) != checksum_of(values):
        raise HwsearchError("the manifest does not match its own checksum", where=path, fix=_AGAIN)
    _check_classes(path, manifest)
    return manifest


def _check_schema(path: Path, schema: int) -> None:
    if schema != SCHEMA:
        raise HwsearchError(
            f"manifest of schema {schema}; this version reads schema {SCHEMA}",
            where=path,
            fix="Deploy the engine again, or use the version of hwsearch that wrote it",
        )


def _check_classes(path: Path, manifest: Manifest) -> None:
    told, (scores, _) = manifest.classifier or manifest.dense, HEAD_OUTPUTS
    found = [output.shape[0] for output in manifest.outputs if output.name == scores]
    if told is not None and found != [len(told.classes)]:
        raise HwsearchError(
            f"malformed manifest: {len(told.classes)} classes, and {found} {scores}",
            where=path,
            fix="Deploy the engine again",
        )


def _is_plain(name: str) -> bool:
    return name not in ("", ".", "..") and not any(mark in name for mark in "/\\:\0")


def check_files(folder: Path, manifest: Manifest) -> None:
    """Compares the hash of every file with the manifest.

    Raises:
        HwsearchError: If a file is missing, is a link, cannot be read, or differs.
    """
    if manifest.engine not in manifest.files:
        raise HwsearchError("the engine has no hash in the manifest", where=folder, fix=_AGAIN)
    for name, expected in manifest.files.items():
        path = folder / name
        try:
            found = "" if path.is_symlink() or not path.is_file() else sha256_of(path)
        except OSError as cause:
            raise HwsearchError(
                f"cannot read a file of the engine: {cause.strerror}",
                where=path,
                fix="Have its owner let you read all files of the folder",
            ) from cause
        if not found:
            raise HwsearchError("a file of the engine is missing", where=path, fix=_AGAIN)
        if found != expected:
            raise HwsearchError(
                "the file does not match its hash in the manifest", where=path, fix=_AGAIN
            )
