"""Judges a delivered engine: nearest neighbours of its features beside two controls."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from rich.table import Table
from torch import Tensor

import hwsearch
from hwsearch.data.images import ImageSet, load_images, normalise
from hwsearch.data.sources import Source, open_source
from hwsearch.data.sources.same import same_images
from hwsearch.errors import HwsearchError
from hwsearch.evaluate.options import ProbeOptions
from hwsearch.knn import KnnResult, knn_accuracy
from hwsearch.nn import StaticNet, calibrate
from hwsearch.progress import console
from hwsearch.space import Subnet
from hwsearch.spaces import get_space

_BATCH = 256


@dataclass(frozen=True)
class Judged:
    """How well one kind of features classifies the test images.

    Attributes:
        name: "engine", "random weights" or "raw pixels".
        result: Its accuracy, image by image.
    """

    name: str
    result: KnnResult


def judge_engine(options: ProbeOptions) -> tuple[Judged, ...]:
    """Classifies held-back images by the engine's features, by random weights and by pixels.

    Returns:
        The engine first, then the controls; a ready model's graph cannot be given other weights.

    Raises:
        HwsearchError: If the engine or the images cannot be used, or labels are missing.
    """
    assert options.engine is not None
    with hwsearch.load(options.engine, trust=options.trust) as engine:
        side = engine.manifest.input.side
        sets = _load_sets(options, side)
        judged = [judge("engine", lambda images: engine(_as_photos(images)), sets, options)]
        if not engine.manifest.is_ready_model:
            subnet = get_space(engine.manifest.space).subnet(**engine.manifest.subnet)
            random = random_features(subnet, sets[0], options.seed)
            judged.append(judge("random weights", random, sets, options))
        judged.append(judge("raw pixels", lambda images: images.numpy(), sets, options))
        return tuple(judged)


def judge(
    name: str,
    features: Callable[[Tensor], np.ndarray],
    sets: tuple[ImageSet, ImageSet],
    options: ProbeOptions,
) -> Judged:
    """Judges one kind of features.

    Args:
        name: What to call it.
        features: From uint8[N, 3, S, S] to float[N, …].
        sets: Images to find neighbours among, and images to classify.
        options: Number of neighbours and seed.
    """
    train, test = sets
    found = (features(train.images), train.labels.numpy(), features(test.images))
    k = options.neighbours
    return Judged(name, knn_accuracy(*found, test.labels.numpy(), k, seed=options.seed))


def random_features(
    subnet: Subnet, calibration: ImageSet, seed: int
) -> Callable[[Tensor], np.ndarray]:
    """Builds a network with random weights; its batch norms are calibrated like an engine's.

    Args:
        subnet: Its sizes.
        calibration: Images for the batch norms.
        seed: Chooses the weights.

    Returns:
        A function from uint8[N, 3, S, S] to float32[N, E].
    """
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        net = StaticNet(get_space(subnet.space).lower(subnet))
    calibrate(net, map(normalise, calibration.images.split(_BATCH)))

    @torch.inference_mode()
    def features(images: Tensor) -> np.ndarray:
        return np.concatenate(
            [net(normalise(chunk)).embedding.numpy() for chunk in images.split(_BATCH)]
        )

    return features


def _load_sets(options: ProbeOptions, side: int) -> tuple[ImageSet, ImageSet]:
    """Reads both sets; the labels of the second are turned into those of the first."""
    train_source, test_source = open_source(options.train), open_source(options.test)
    if same_images(train_source, test_source):
        raise HwsearchError(
            "--train and --test are the same images, each of which would be its own neighbour",
            where=options.test,
            fix="Name images that --train does not have",
        )
    train, test = (
        load_images(
            source,
            side,
            limit=options.limit,
            seed=options.seed,
            max_corrupt_share=options.max_corrupt_share,
        )
        for source in (train_source, test_source)
    )
    known = {name: label for label, name in enumerate(train_source.classes)}
    _check_classes(known, test_source)
    same = torch.tensor([*(known[name] for name in test_source.classes), -1])
    return train, ImageSet(test.images, same[test.labels], test.indices)


def _check_classes(known: dict[str, int], test: Source) -> None:
    foreign = [name for name in test.classes if name not in known]
    if foreign:
        raise HwsearchError(
            f"classes that --train does not have: {', '.join(foreign[:5])}",
            where=test.name,
            fix=f"Known: {', '.join(known) or 'none; put each class into a sub-folder of its own'}",
        )


def _as_photos(images: Tensor) -> np.ndarray:
    """Turns uint8[N, 3, S, S] into the uint8[N, S, S, 3] that an engine takes."""
    return images.permute(0, 2, 3, 1).contiguous().numpy()


def show_engine(judged: tuple[Judged, ...], options: ProbeOptions) -> None:
    """Prints how well an engine's features and the controls classify."""
    images = len(judged[0].result.correct)
    table = Table(
        title=f"{options.neighbours}-nearest-neighbour accuracy on {images} held-back images"
    )
    for heading in ("features", "accuracy", "95 % interval", "engine is better by"):
        table.add_column(heading, justify="left" if heading == "features" else "right")
    for entry in judged:
        low, high = entry.result.interval
        ahead = judged[0].result.above(entry.result)
        table.add_row(
            entry.name,
            f"{entry.result.accuracy:.1%}",
            f"{low:.1%} to {high:.1%}",
            "" if entry is judged[0] else f"{ahead[0]:+.1%} to {ahead[1]:+.1%}",
        )
    console.print(table)
    if all(entry.name != "random weights" for entry in judged):
        console.print("No control with random weights: a ready model has only its own.")
