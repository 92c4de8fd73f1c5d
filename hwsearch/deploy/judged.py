"""What the outputs of an engine say: parity, distance, and what its head tells."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from hwsearch.deploy.classifier import ClassifierHead
from hwsearch.deploy.dense import DenseHead
from hwsearch.deploy.manifest import HEAD_OUTPUTS, Classifier, Dense, Parity
from hwsearch.deploy.originals import Original, inputs_of, outputs_of
from hwsearch.deploy.verify import ParityMeter
from hwsearch.distance import TargetImages
from hwsearch.distance.base import DeliveredDistance, Outputs
from hwsearch.runtime.base import Engine


@dataclass(frozen=True)
class Judged:
    """What the outputs of an engine say.

    Attributes:
        parity: Against the float network.
        after: Its distance to the teacher.
        before: The float network's.
        told: What it tells by a head, if it does.
    """

    parity: Parity
    after: float
    before: float
    told: Classifier | Dense | None = None

    def told_by(
        self, head: ClassifierHead | DenseHead, engine: Engine, original: Original
    ) -> "Judged":
        """Returns it with how good heads on the engine's own features are."""
        features = [one for one in original.gives if one.name not in HEAD_OUTPUTS]
        run = partial(outputs_of, engine, original.takes, features)
        return replace(self, told=head.judge(run, original.takes))


def judge(
    engine: Engine,
    original: Original,
    images: TargetImages,
    distance: DeliveredDistance,
    precision: str,
) -> Judged:
    """Compares a loaded engine with the network on all target images.

    Args:
        engine: The engine.
        original: The network.
        images: Of the target domain.
        distance: To the teacher.
        precision: Numbers that the engine computes in.
    """
    meter = ParityMeter([output.name for output in original.gives])
    after = distance.of_outputs(_compared(engine, original, images, meter))
    before = distance.of_outputs(map(original.run, inputs_of(original.takes, images)))
    return Judged(meter.result(original.reference, precision), after, before)


def _compared(
    engine: Engine, original: Original, images: TargetImages, meter: ParityMeter
) -> Iterator[Outputs]:
    """Yields an engine's outputs for the target images, compared with the network's on the way."""
    for inputs in inputs_of(original.takes, images):
        given = outputs_of(engine, original.takes, original.gives, inputs)
        meter.add(given, original.run(inputs))
        yield given
