"""What a table measures: every block once, networks over the whole range, the same references."""

from collections import Counter

import numpy as np
import pytest

from hwsearch.kinds import total_macs
from hwsearch.profiling.models import block_models, max_blocks, network_models, reference_models
from hwsearch.spaces import get_space

SPACE = get_space("bottleneck-32")


def test_every_block_of_a_space_is_a_model_once() -> None:
    models = block_models(SPACE, 1000)
    rng = np.random.default_rng(0)
    used = {block.key for _ in range(20) for block in SPACE.lower(SPACE.sample(rng))}
    assert len(models) == len({model.key for model in models}) == 53
    assert used <= {model.key for model in models}
    assert len(block_models(SPACE, 10)) == 10


def test_known_blocks_are_kept_whatever_the_limit() -> None:
    few = {model.job for model in block_models(SPACE, 10)}
    assert {model.job for model in block_models(SPACE, 3, few)} == few
    more = [model.job for model in block_models(SPACE, 21, few)]
    assert few < set(more) and len(more) == 21 and more == sorted(more)
    assert len(block_models(SPACE, 99, few)) == 53


def test_fewer_blocks_fit_where_engines_rest_between_calls() -> None:
    assert max_blocks(300, 0) == 1000 and max_blocks(300, 1) == 7


def test_networks_cover_the_range_and_splits_share_none() -> None:
    models = network_models(SPACE, 30, 10, seed=1)
    assert models == network_models(SPACE, 30, 10, seed=1)
    assert Counter(model.split for model in models) == {"evidence": 30, "heldout": 10}
    assert len({model.key for model in models}) == 40
    macs = np.log([total_macs(model.blocks) for model in models])
    ends = np.log([total_macs(SPACE.lower(s)) for s in (SPACE.minimum, SPACE.maximum)])
    assert (macs.min(), macs.max()) == pytest.approx(tuple(ends))
    filled = np.unique(np.digitize(macs, np.linspace(*ends, 9)[1:-1]))
    assert len(filled) == 8


def test_the_only_network_of_a_space_is_drawn_once() -> None:
    models = network_models(get_space("bottleneck-32^4[max]"), 3, 1, seed=0)
    assert [model.split for model in models] == ["evidence"]


def test_references_are_always_the_same() -> None:
    assert reference_models() == reference_models()
    small, large = (total_macs(model.blocks) for model in reference_models())
    assert large > 3 * small
