"""The manifest of a delivered engine: what it is, what was measured, and the hash of each file."""

import json
from pathlib import Path

import msgspec
import numpy as np

from hwsearch.data.prepare import normalise_array
from hwsearch.errors import HwsearchError
from hwsearch.journal import sha256_of, write_atomic
from hwsearch.kit.outcome import CHECKSUM, checksum_of, manifest_text
from hwsearch.kit.parity import OutputError

MANIFEST_NAME = "manifest.json"
SCHEMA = 5
"""Version 1: the first format. 2: mean and std of each channel; what parity was compared with.
3: what distance the search found. 4: the budget, and marks of the measurement; several
outputs, the errors of each; a classifier. 5: the precisions it was chosen from; inputs of
any batch, and of bytes; heads for detection and segmentation;
a checksum of the manifest itself."""


HEAD_OUTPUTS = ("scores", "boxes")
"""Names of what heads give; the other outputs are the network's features."""


class Input(msgspec.Struct, frozen=True):
    """How an image becomes the engine's input.

    Attributes:
        name: Name of the input.
        side: Height and width in pixels, after resizing the shorter side and centre cropping.
        mean: Subtracted from values scaled to 0–1, for red, green and blue.
        std: Divides the result, likewise.
        batch: Images a call.
        any_batch: Whether it takes any number of images a call; `batch` was measured.
        raw: Whether it takes the cut and scaled image as it is, uint8[batch, side, side, 3], and
            normalises it itself, instead of float32[batch, 3, side, side].
    """

    name: str
    side: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    batch: int
    any_batch: bool = False
    raw: bool = False


def input_of(takes: Input, images: np.ndarray) -> np.ndarray:
    """Returns cut and scaled images, uint8[N, S, S, 3], as an engine takes them."""
    return images if takes.raw else normalise_array(images, takes.mean, takes.std)


class Output(msgspec.Struct, frozen=True):
    """One output of the engine, float32[batch, *shape].

    Attributes:
        name: "embedding", "scores" of classes, or "stage1" and so on for feature maps, fine to
            coarse; "scores" and "boxes" as `Dense` says; of a ready model as its file has it.
        shape: For one image: channels, and height and width if it is a map.
    """

    name: str
    shape: tuple[int, ...]


class Latency(msgspec.Struct, frozen=True):
    """Milliseconds a call.

    Attributes:
        predicted_ms: What was expected.
        low_ms: Lower end of its 90 % interval.
        high_ms: Upper end.
        measured_ms: Of this engine.
        measured_stderr_rel: Relative standard error of that between passes.
        flags: Marks of the measurement: "noisy", "throttled" or "budget" (its time ended before
            it had settled).
        limit_ms: The budget that it was picked for, or None.
    """

    predicted_ms: float
    low_ms: float
    high_ms: float
    measured_ms: float
    measured_stderr_rel: float
    flags: tuple[str, ...]
    limit_ms: float | None


class Parity(msgspec.Struct, frozen=True):
    """Engine against the float network on real images.

    Attributes:
        images: How many.
        reference: What computed the float network, such as "torch".
        tolerance: Largest relative error that was accepted.
        outputs: By name of the output.
    """

    images: int
    reference: str
    tolerance: float
    outputs: dict[str, OutputError]

    @property
    def relative_error(self) -> float:
        """Of the output that is furthest off."""
        return max(error.relative for error in self.outputs.values())


class Classifier(msgspec.Struct, frozen=True):
    """What the engine's output "scores" tells.

    Attributes:
        classes: Names, in the order of the scores.
        accuracy: Share of the labelled images whose class a linear classifier on the engine's
            embedding tells that has learned from the others (5 folds).
        low: Lower end of its 95 % interval over images.
        high: Upper end.
        images: How many; all of them taught the delivered classifier.
        images_fingerprint: Names them and their labels.
    """

    classes: tuple[str, ...]
    accuracy: float
    low: float
    high: float
    images: int
    images_fingerprint: str


class Dense(msgspec.Struct, frozen=True):
    """What the engine's further outputs tell, by a head that has learned from labelled images.

    For detection "scores" [C, G, G] is how likely a box of a class has its middle at a place of a
    grid, and "boxes" [4, G, G] are the left, top, right and bottom of the box there, as shares of
    the input's side: boxes are where a score is the largest of the 3 x 3 places around. For
    segmentation "scores" [C, side, side] are logits: a pixel's class is that of the largest.

    Attributes:
        task: "detection" or "segmentation".
        classes: Names, in the order of the scores.
        measure: "ap", COCO's average precision over overlaps of .5 to .95, or "miou", the mean
            over classes of intersection over union.
        quality: That of heads on the engine's own feature maps, each image by a head that has
            learned from the others (5 folds).
        low: Lower end of its 95 % interval over images.
        high: Upper end.
        images: How many; all of them taught the delivered head.
        images_fingerprint: Names them and their labels.
    """

    task: str
    classes: tuple[str, ...]
    measure: str
    quality: float
    low: float
    high: float
    images: int
    images_fingerprint: str


class Distance(msgspec.Struct, frozen=True):
    """Teacher distance of the network and of the engine itself, on the same images.

    `searched` is what the search found: of the network as it would compute in the engine's
    precision; `float_net` is that of the float network. `weights` tells which these are: "online"
    or "ema" of a checkpoint; of a ready model "random", or what else its catalogue says of them,
    or "file". `stand_in` tells what computed `engine`, and what the classifier was judged by, where
    the engine was built on a device without the images: a runtime, from the same file. It is empty
    if the engine itself did.
    """

    searched: float
    float_net: float
    engine: float
    images: int
    images_fingerprint: str
    weights: str
    stand_in: str = ""


class InPrecision(msgspec.Struct, frozen=True):
    """The network as an engine in one precision, one of those that were compared.

    All of them were measured in one process, on the scale of the first one's table. One that cannot
    be delivered says why, and has no figures.

    Attributes:
        precision: Numbers it computes in.
        latency_ms: Milliseconds a call.
        low_ms: Lower end of the 90 % interval of what another process would measure.
        high_ms: Upper end.
        ratio: Its latency over the first one's.
        distance: The engine's own teacher distance.
        refused: Why it cannot be delivered, or empty.
    """

    precision: str
    latency_ms: float | None
    low_ms: float | None
    high_ms: float | None
    ratio: float | None
    distance: float | None
    refused: str = ""


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
    threads: int
    engine: str
    input: Input
    outputs: tuple[Output, ...]
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
        HwsearchError: If there is none, it is malformed, or it names files outside the folder.
    """
    path = folder / MANIFEST_NAME
    try:
        data = path.read_bytes()
        _check_schema(path, msgspec.json.decode(data, type=_Versioned).schema)
        manifest = msgspec.json.decode(data, type=Manifest)
    except OSError as cause:
        raise HwsearchError(
            "no readable manifest", where=path, fix="Name a folder written by hwsearch deploy"
        ) from cause
    except (RecursionError, UnicodeDecodeError, msgspec.MsgspecError) as cause:
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
    return manifest


def _check_schema(path: Path, schema: int) -> None:
    if schema != SCHEMA:
        raise HwsearchError(
            f"manifest of schema {schema}; this version reads schema {SCHEMA}",
            where=path,
            fix="Deploy the engine again, or use the version of hwsearch that wrote it",
        )


def _is_plain(name: str) -> bool:
    return name not in ("", ".", "..") and not any(mark in name for mark in "/\\:\0")


def check_files(folder: Path, manifest: Manifest) -> None:
    """Compares the hash of every file with the manifest, and the manifest with its checksum.

    Raises:
        HwsearchError: If a file is missing, is a link out of the folder, or differs.
    """
    fix = "Deploy the engine again, or copy the folder again from its source"
    if manifest.engine not in manifest.files:
        raise HwsearchError("the engine has no hash in the manifest", where=folder, fix=fix)
    for name, expected in manifest.files.items():
        path = folder / name
        if path.is_symlink() or not path.is_file():
            raise HwsearchError("a file of the engine is missing", where=path, fix=fix)
        if sha256_of(path) != expected:
            raise HwsearchError(
                "the file does not match its hash in the manifest", where=path, fix=fix
            )
    _check_manifest(folder / MANIFEST_NAME, fix)


def _check_manifest(path: Path, fix: str) -> None:
    """Refuses a manifest that was changed since it was written."""
    values = json.loads(path.read_bytes())
    if values.get(CHECKSUM) != checksum_of(values):
        raise HwsearchError("the manifest does not match its own checksum", where=path, fix=fix)
