"""Networks for learn.py that were chosen elsewhere: a ready one of timm's, and study.py's best."""

from collections import defaultdict
from statistics import fmean

from learn_networks import cost_of_networks
from learn_plan import Plan
from rows import RESULTS

from hwsearch.journal import read_journal
from hwsearch.kinds import total_params
from hwsearch.space import Space, Subnet
from hwsearch.spaces import get_space, register_space
from hwsearch.spaces.inverted import Stage, inverted_space

MOBILENET, PARAMS = "mobilenetv2-035", 396_128
"""The fastest MobileNetV2 of timm, and the parameters that timm counts without its classifier."""


@register_space(MOBILENET, side=32)
def mobilenetv2_035(name: str, side: int) -> Space:
    """Builds MobileNetV2 of 0.35 its width, with the strides that it has at 224 pixels."""
    stages = (
        *((8, 2, 2), (16, 3, 2), (24, 4, 2)),
        *((32, 3, 1), (56, 3, 2), (112, 1, 1)),
    )
    return inverted_space(
        name,
        side,
        stem=((16,), 2),
        first=((8,), 1),
        stages=tuple(Stage((width,), (depth,), stride) for width, depth, stride in stages),
        kernels=(3,),
        head=(1280,),
    )


def ready_mobilenet(plan: Plan) -> tuple[Space, Subnet]:
    """Returns timm's MobileNetV2, however slow."""
    space = get_space(MOBILENET)
    network = space.maximum  # the space has smaller expansions, too
    assert total_params(space.lower(network)) == PARAMS
    return space, network


def study_best(plan: Plan) -> tuple[Space, Subnet]:
    """Returns the network of study.py that is best on the images trained on, of those in time."""
    _, rows = read_journal(RESULTS / "study.jsonl", "benchmark")
    scores = defaultdict(list)
    for row in rows:
        if "network" in row and "scores" in row:
            scores[row["network"]].append(row["scores"][plan.chosen.pretrain]["accuracy"])
    for name in sorted(scores, key=lambda one: -fmean(scores[one])):
        family, _, values = name.removesuffix("]").partition("[")
        space = get_space(family)
        subnet = space.parse(values)
        cost, most = cost_of_networks(space, plan, [subnet])
        if cost[subnet] <= most:
            return space, subnet
    raise AssertionError("no network of the study is fast enough")
