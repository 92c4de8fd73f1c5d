"""What methods can be told, and what each is told by default; needs no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from hwsearch.errors import HwsearchError, unknown_name

Distil = Literal["features", "relations"]
"""What is distilled: features, by a projection head, or the relations of images, without one."""


@dataclass(frozen=True)
class MethodSettings:
    """What methods can be told; each takes what `DEFAULTS` names for it.

    Attributes:
        projection_hidden: Hidden units of the projection head.
        projection: Length of a projection.
        predictor_hidden: Hidden units of the head that predicts the teacher's projections.
        temperature: Divides the similarities of the trained networks.
        teacher_temperature: Divides the similarities of the teacher.
        ema: Share of the old weights that the teacher keeps in a step, at the start.
        ema_end: The same at the end, reached as a cosine; None keeps it constant.
        queue: Older keys to compare with; 0 takes the other images of the batch instead.
        norm_groups: Parts of a batch with batch-norm statistics of their own.
        grid: Positions a side of the grid of local projections.
        max_target: Whether views are compared with those of the maximum.
        distil: What of an external teacher is distilled: "features", "relations" or nothing.
        distil_weight: Weight of that beside the method's own loss.
        teacher_width: Length of the external teacher's features.
        follow_start: Weight of what networks that take turns learn from a frozen earlier one; None
            where there is none.
    """

    projection_hidden: int = 2048
    projection: int = 128
    predictor_hidden: int = 4096
    temperature: float = 0.2
    teacher_temperature: float = 0.04
    ema: float = 0.999
    ema_end: float | None = None
    queue: int = 65_536
    norm_groups: int = 2
    grid: int = 7
    max_target: bool = False
    distil: Distil | None = None
    distil_weight: float = 1.0
    teacher_width: int = 0
    follow_start: float | None = None


_MOCO: Mapping[str, Any] = {
    "projection_hidden": 2048,
    "projection": 128,
    "temperature": 0.2,
    "ema": 0.999,
    "ema_end": None,
    "queue": 65_536,
    "norm_groups": 2,
}
DEFAULTS: dict[str, Mapping[str, Any]] = {
    "byol": {
        "projection_hidden": 4096,
        "projection": 256,
        "predictor_hidden": 4096,
        "ema": 0.996,
        "ema_end": 1.0,
    },
    "densecl": {**_MOCO, "grid": 7},
    "distil": {"projection_hidden": 2048},
    "moco-v2": _MOCO,
    "ressl": {
        **_MOCO,
        "projection_hidden": 4096,
        "projection": 512,
        "temperature": 0.1,
        "teacher_temperature": 0.04,
        "queue": 131_072,
    },
    "simclr": {
        "projection_hidden": 2048,
        "projection": 128,
        "temperature": 0.1,
        "max_target": False,
    },
    "simsiam": {
        "projection_hidden": 2048,
        "projection": 2048,
        "predictor_hidden": 512,
    },
}
"""What each method takes, as its paper has it; a queue's size is the largest, for many images."""

LED_METHODS = ("moco-v2", "densecl", "ressl", "byol", "simsiam")
"""Methods in which one network gives the targets of others: the largest, or each its own."""

PATH_METHODS = ("simsiam", "byol", "moco-v2")
"""Methods that can train paths of a supernet in turn; see `specialised.Specialised`."""


def check_given(method: str, given: Mapping[str, object]) -> None:
    """Refuses what a method does not take.

    Raises:
        HwsearchError: If there is no such method or it has no use for a setting.
    """
    if method not in DEFAULTS:
        raise unknown_name("method", method, DEFAULTS)
    for name in given:
        if name not in DEFAULTS[method]:
            users = [other for other, takes in DEFAULTS.items() if name in takes]
            raise HwsearchError(
                f"--{name.replace('_', '-')} means nothing to method '{method}'",
                fix=f"Leave it out, or use --method {' or '.join(users)}",
            )


def resolve(method: str, given: Mapping[str, Any], *, images: int, batch: int) -> MethodSettings:
    """Completes what a user says about a method.

    Args:
        method: Registered name.
        given: Settings by name; what is missing is taken from `DEFAULTS`.
        images: Images to train on: a default queue holds a quarter of them at most.
        batch: Images a step: a default queue holds a whole number of batches.

    Raises:
        HwsearchError: If the method has no use for a setting.
    """
    check_given(method, given)
    defaults = dict(DEFAULTS[method])
    if "queue" in defaults:
        largest = min(defaults["queue"], max(images // 4, batch))
        defaults["queue"] = largest // batch * batch
    return replace(MethodSettings(), **{**defaults, **given})
