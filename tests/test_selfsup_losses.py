"""Losses of self-supervised methods: equal to lightly's and to their definitions; diagnostics."""

from math import log

import numpy as np
import pytest
import torch
from lightly_oracle import import_lightly
from torch.nn import functional as F

from hwsearch.selfsup.densecl import dense_info_nce
from hwsearch.selfsup.losses import (
    effective_rank,
    embedding_std,
    info_nce,
    mean_cosine,
    nt_xent,
    relation_cross_entropy,
    relation_distance,
)
from hwsearch.selfsup.queue import OtherKeys

B, D, K, P = 6, 16, 40, 9


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def directions(*shape):
    return F.normalize(torch.randn(*shape, D), dim=-1)


def others_than(count):
    return OtherKeys(directions(K), torch.zeros(count, K, dtype=torch.bool))


def assert_equal(mine, theirs):
    torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-5)


def contrast_with(keys_KD):
    loss = import_lightly("loss").NTXentLoss(temperature=0.2, memory_bank_size=(K, D))
    loss.memory_bank.bank = keys_KD
    return loss


def test_info_nce_is_lightlys():
    query, key, others = directions(B), directions(B), others_than(B)
    assert_equal(info_nce(query, key, others, 0.2), contrast_with(others.keys_KD)(query, key))


def test_nt_xent_is_lightlys():
    first, second = directions(B), directions(B)
    mine = nt_xent(*[torch.cat([first, second])] * 2, torch.arange(B), 0.1)
    assert_equal(mine, import_lightly("loss").NTXentLoss(temperature=0.1)(first, second))


def test_cosine_is_lightlys():
    first, second = directions(B), directions(B)
    theirs = import_lightly("loss").NegativeCosineSimilarity()(3 * first, second)
    assert_equal(-mean_cosine(first, second), theirs)


def test_dense_contrast_is_lightlys():
    query, key, others = directions(B, P), directions(B, P), others_than(B)
    likest = import_lightly("models.utils").select_most_similar(query, key, key)
    theirs = contrast_with(others.keys_KD)(query.flatten(0, 1), likest.flatten(0, 1))
    assert_equal(dense_info_nce(query, key, others, 0.2), theirs)


def test_cross_entropy_of_relations_is_lightlys():
    query, key, others = directions(B), directions(B), others_than(B)
    judge = import_lightly("loss").DINOLoss(output_dim=K, teacher_temp=0.04, student_temp=0.1)
    teacher, student = (rows @ others.keys_KD.T for rows in (key, query))
    theirs = judge(
        [teacher], [torch.zeros_like(student), student]
    )  # pairs of one place are left out
    assert_equal(relation_cross_entropy(query, key, others, 0.1, 0.04), theirs)


def test_keyed_losses_leave_own_keys_out():
    query, key, others = directions(B), directions(B), others_than(B)
    others.own_BK[1, 2] = others.own_BK[2, 0] = True
    contrasts, relations = [], []
    for row in range(B):
        kept = others.keys_KD[~others.own_BK[row]]
        weights = torch.cat([key[row : row + 1], kept]).mv(query[row]).div(0.2).exp()
        contrasts.append(-(weights[0] / weights.sum()).log())
        teacher = kept.mv(key[row]).div(0.04).softmax(0)
        relations.append(-(teacher * kept.mv(query[row]).div(0.1).log_softmax(0)).sum())
    assert_equal(info_nce(query, key, others, 0.2), torch.stack(contrasts).mean())
    mine = relation_cross_entropy(query, key, others, 0.1, 0.04)
    assert_equal(mine, torch.stack(relations).mean())


def test_nt_xent_leaves_out_all_views_of_an_image_but_the_other_one():
    anchors, keys = directions(2 * B), directions(2 * B)
    indices = torch.tensor([3, 7, 3, 8, 9, 7])
    owners, losses = indices.repeat(2), []
    for row in range(2 * B):
        other = (row + B) % (2 * B)
        weights = keys.mv(anchors[row]).div(0.1).exp()
        losses.append(
            -(weights[other] / (weights[other] + weights[owners != owners[row]].sum())).log()
        )
    assert_equal(nt_xent(anchors, keys, indices, 0.1), torch.stack(losses).mean())


def test_relations_of_equal_queries_and_keys_are_as_uncertain_as_they_are():
    query, others = directions(B), others_than(B)
    shares = (query @ others.keys_KD.T / 0.1).softmax(1)
    entropy = torch.special.entr(shares).sum(1).mean()
    assert_equal(relation_cross_entropy(query, query, others, 0.1, 0.1), entropy)


def test_relations_know_neither_width_nor_basis_nor_scale_nor_place():
    teacher = torch.randn(B, D)
    turned = teacher @ torch.linalg.qr(torch.randn(D, D))[0]
    assert relation_distance(teacher, teacher) == 0.0
    assert relation_distance(F.pad(3 * turned + 5, (0, 7)), teacher) < 1e-6
    assert relation_distance(teacher.roll(1, 0), teacher) > 0.1


def test_the_distance_of_relations_is_one_minus_the_cosine_of_their_rows():
    def cosine(a, b):
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    def rows(embedding):
        centred = embedding - embedding.mean(0)
        return [np.array([cosine(a, b) for b in centred]) for a in centred]

    student, teacher = np.random.default_rng(0).normal(size=(2, B, D))
    cosines = [cosine(*pair) for pair in zip(rows(student), rows(teacher), strict=True)]
    found = relation_distance(*map(torch.from_numpy, (student, teacher)))
    assert found == pytest.approx(1 - np.mean(cosines), abs=1e-6)


def test_embedding_std_is_one_for_random_directions_and_zero_after_collapse():
    rows = directions(4096)
    assert embedding_std(rows) == pytest.approx(1.0, abs=0.02)
    assert embedding_std(rows[:1].expand(64, -1)) == pytest.approx(0.0, abs=1e-4)


def test_effective_rank_counts_directions():
    basis, _ = torch.linalg.qr(torch.randn(D, D))
    for count in (1, 3, D):
        assert effective_rank(basis[:, :count].T.repeat(4, 1)) == pytest.approx(count, rel=1e-3)
    uneven = torch.diag(torch.tensor([3.0, 1.0]))
    assert effective_rank(uneven) == pytest.approx(4 / 3**0.75)
    assert log(effective_rank(directions(4096))) == pytest.approx(log(D), abs=0.01)
