"""Parts of self-supervised methods: heads and the queue."""

import pytest
import torch
from torch.nn import functional as F

from hwsearch.nn import calibrate
from hwsearch.selfsup.heads import Mlp, MlpShape
from hwsearch.selfsup.queue import KeyQueue

SHAPES = [
    MlpShape(16, 5),
    MlpShape(16, 5, hidden_norm=True),
    MlpShape(16, 5, layers=3, hidden_norm=True, out_norm=True),
]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_head_uses_the_first_columns(shape):
    head = Mlp(12, shape)
    embedding = torch.randn(7, 8)
    torch.testing.assert_close(head(embedding), head(F.pad(embedding, (0, 4))))
    torch.testing.assert_close(head.extract(8)(embedding), head(embedding))
    assert sum(isinstance(part, torch.nn.Linear) for part in head.modules()) == shape.layers


@pytest.mark.parametrize("shape", SHAPES)
def test_a_head_taken_out_has_statistics_of_its_own(shape):
    head = Mlp(12, shape)
    embedding = torch.randn(7, 8)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.uniform_(0.5, 1.5)
    before = head(embedding)
    taken = calibrate(head.extract(8), [embedding])
    torch.testing.assert_close(taken(embedding[:2]), taken(embedding)[:2])
    torch.testing.assert_close(head(embedding), before)


def test_the_queue_is_a_ring_that_knows_the_owners():
    queue = KeyQueue(6, 4)
    for first in (0, 4):
        indices = torch.arange(first, first + 4)
        queue.others(torch.full((4, 4), float(first)), indices)
        queue.enqueue()
    assert queue.owners_K.tolist() == [6, 7, 2, 3, 4, 5]
    assert queue.keys_KD[:, 0].tolist() == [4, 4, 0, 0, 4, 4]


def test_keys_of_several_batches_wait_for_the_step_to_end():
    queue = KeyQueue(8, 4)
    before = queue.keys_KD.clone()
    for first in (0, 3):
        found = queue.others(torch.zeros(3, 4), torch.arange(first, first + 3))
        assert torch.equal(found.keys_KD, before)
    queue.enqueue()
    assert queue.owners_K.tolist() == [0, 1, 2, 3, 4, 5, -1, -1]


def test_without_a_queue_a_key_is_told_from_the_rest_of_its_batch():
    queue, keys, indices = KeyQueue(0, 4), torch.randn(3, 4), torch.tensor([5, 9, 5])
    found = queue.others(keys, indices)
    assert found.keys_KD is keys
    assert found.own_BK.tolist() == [[True, False, True], [False, True, False], [True, False, True]]
    queue.enqueue()
    assert not len(queue.keys_KD)
