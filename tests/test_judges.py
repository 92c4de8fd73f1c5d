"""Downstream judges: each image judged by what others taught, remembered, bad input refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from runs import write_images
from scipy.special import log_softmax
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from tiny_space import TINY

from hwsearch.checkpoint import Header, Run, build_method
from hwsearch.distance import SupernetStudents
from hwsearch.errors import HwsearchError
from hwsearch.evaluate import linear
from hwsearch.evaluate.folds import stratified_folds
from hwsearch.evaluate.frozen import FrozenFeatures
from hwsearch.evaluate.heads import cross_fit
from hwsearch.evaluate.judges import JudgeSettings, open_judges
from hwsearch.evaluate.labelled import LabelledImages, load_labelled
from hwsearch.evaluate.linear import linear_head
from hwsearch.evaluate.neighbours import NeighbourHead
from hwsearch.evaluate.remembered import unpack
from hwsearch.evaluate.temperature import tempered
from hwsearch.evaluate.training import Recipe
from hwsearch.evaluate.verdict import ClassVerdict, bootstrap_weights
from hwsearch.selfsup.settings import MethodSettings

SETTINGS = JudgeSettings(folds=2, k=5, recipe=Recipe(epochs=2, batch=16))


@pytest.fixture(scope="module")
def images() -> LabelledImages:
    return load_labelled("sklearn:digits", 8, limit=160)


@pytest.fixture(scope="module")
def students(images: LabelledImages) -> SupernetStudents:
    settings = MethodSettings(projection_hidden=8, queue=8)
    method = build_method(TINY, "moco-v2", settings, seed=0, residual_scale=1.0)
    header = Header(TINY.name, "moco-v2", settings, {}, step=0, steps=0, progress={})
    return SupernetStudents(Run(Path("run"), TINY, method, header, "weights"), images.target)


def test_folds_are_even_in_all_and_of_each_class():
    labels = np.repeat([0, 1, 2], [7, 11, 6])
    folds = stratified_folds(labels, 5, seed=3)
    for part in (labels >= 0, labels == 0, labels == 1, labels == 2):
        counts = np.bincount(folds[part], minlength=5)
        assert counts.max() - counts.min() <= 1
    assert (folds == stratified_folds(labels, 5, seed=3)).all()
    assert (folds != stratified_folds(labels, 5, seed=4)).any()


@pytest.mark.parametrize("head", [NeighbourHead(10), linear_head])
def test_a_head_tells_held_back_images_and_nothing_of_noise(head):
    features, labels = load_digits(return_X_y=True)
    features, labels = features[:600], labels[:600]
    verdict = cross_fit(head, features, labels, stratified_folds(labels, 3))
    assert verdict.score("accuracy") > 0.9
    assert verdict.score("log_loss") < 0.5
    noise = np.random.default_rng(0).normal(size=(600, 5))
    verdict = cross_fit(head, noise, labels, stratified_folds(labels, 3))
    assert verdict.score("accuracy") < 0.15
    assert verdict.score("log_loss") == pytest.approx(np.log(10), abs=0.3)


def test_linear_classifiers_are_those_of_scikit_learn(monkeypatch):
    features, labels = load_digits(return_X_y=True)
    features, labels = features[:400] @ np.random.default_rng(0).normal(size=(64, 80)), labels[:400]
    monkeypatch.setattr(linear, "PENALTIES", (1e-3,))
    found = linear_head(features, labels, features)
    standard = (features - features.mean(0)) / features.std(0)
    theirs = LogisticRegression(C=1 / (1e-3 * 400), tol=1e-6, max_iter=5000).fit(standard, labels)
    expected = theirs.predict_proba(standard)
    assert np.exp(found) == pytest.approx(expected, abs=5e-3)


def test_the_penalty_is_between_those_tried():
    parabola = [(place - 3.3) ** 2 for place in range(6)]
    assert linear._penalty_of_least(parabola) == pytest.approx(10 ** (-3.3 / 2))
    assert linear._penalty_of_least([1, 2]) == 1
    assert linear._penalty_of_least([3, 2, 1]) == 0.1


@pytest.mark.parametrize("width", [16, 32, 64])
def test_a_linear_classifier_takes_about_the_best_penalty(monkeypatch, width):
    """The best of a few penalties would suit one width and not another."""
    features, labels = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    seen = features @ rng.normal(size=(64, width)) + rng.normal(scale=40, size=(1797, width))
    first = np.arange(1797) < 400

    def log_loss() -> float:
        told = linear_head(seen[first], labels[first], seen[~first])
        return -float(told[np.arange(len(told)), labels[~first]].mean())

    found = log_loss()
    every = []
    for penalty in np.geomspace(1, 1e-3, 13):
        monkeypatch.setattr(linear, "PENALTIES", (penalty,))
        every.append(log_loss())
    assert found < min(every) + 0.04
    assert every[0] > found + 0.1 and every[-1] > found + 0.1


def test_a_head_never_sees_the_image_it_is_asked_about():
    labels = np.arange(40) % 2
    features = np.eye(40)  # each image is like itself alone
    verdict = cross_fit(NeighbourHead(1), features, labels, stratified_folds(labels, 4))
    assert verdict.score("accuracy") < 0.9


def test_scores_follow_the_weights_of_images():
    verdict = ClassVerdict(np.array([True, False, True]), np.array([0.5, 2, 1], np.float32))
    weights = np.array([[1, 1, 1], [0, 2, 0], [2, 1, 0]])
    assert verdict.scores("accuracy", weights) == pytest.approx([2 / 3, 0, 2 / 3])
    assert verdict.scores("log_loss", weights) == pytest.approx([3.5 / 3, 2, 1])
    again = unpack(verdict.packed() | {"kind": "classes"})
    assert isinstance(again, ClassVerdict)
    assert (again.correct_N == verdict.correct_N).all()
    assert (again.log_loss_N == verdict.log_loss_N).all()
    drawn = bootstrap_weights(7, 5, seed=1)
    assert (drawn.sum(1) == 7).all() and (drawn == bootstrap_weights(7, 5, seed=1)).all()


def test_frozen_features_are_those_a_distance_sees(students, images):
    frozen = FrozenFeatures(students, images.target)
    expected = students.embeddings(TINY.minimum)
    assert np.allclose(frozen(TINY.minimum), expected, atol=1e-6)
    assert frozen(TINY.minimum) is frozen(TINY.minimum)


def test_training_is_repeated_to_the_bit_and_starts_where_it_should(students, images):
    judges = open_judges(("finetune", "alone"), students, images, SETTINGS)
    state = torch.random.get_rng_state()
    found = {name: judge(TINY.minimum, 1) for name, judge in judges.items()}
    again = {name: judge(TINY.minimum, 1) for name, judge in judges.items()}
    other = judges["alone"](TINY.minimum, 2)
    assert torch.equal(state, torch.random.get_rng_state())
    for name, verdict in found.items():
        assert isinstance(verdict, ClassVerdict)
        assert verdict.packed() == again[name].packed()
    assert found["finetune"].packed() != found["alone"].packed() != other.packed()


def test_training_learns(students, images):
    recipe = Recipe(epochs=20, batch=16, lr=1e-2)
    settings = JudgeSettings(folds=2, recipe=recipe)
    judge = open_judges(("finetune",), students, images, settings)["finetune"]
    assert judge(TINY.minimum, 0).score("accuracy") > 0.4


def test_a_temperature_mends_what_is_too_sure_of_itself_by_other_images_alone():
    rng = np.random.default_rng(0)
    labels = rng.integers(5, size=600)
    logits = 2 * rng.normal(size=(600, 5)) + 4 * np.eye(5)[labels]  # Bayes' own
    honest, sure = (ClassVerdict.of(tempered(logits * k, labels), labels) for k in (1, 8))
    plain = ClassVerdict.of(log_softmax(logits, axis=1), labels)
    assert sure.score("log_loss") == pytest.approx(honest.score("log_loss"), rel=1e-3)
    assert honest.score("log_loss") == pytest.approx(plain.score("log_loss"), rel=0.02)
    assert (sure.correct_N == plain.correct_N).all()
    changed = np.where(np.arange(600) == 7, (labels + 1) % 5, labels)
    differs = (tempered(logits, labels) != tempered(logits, changed)).any(axis=1)
    assert not differs[7]
    assert differs.any()
    assert tempered(logits[:1], labels[:1]) == pytest.approx(log_softmax(logits[:1], axis=1))


def test_what_cannot_be_judged_is_refused(students, images, tmp_path):
    with pytest.raises(HwsearchError, match="have no label"):
        load_labelled(str(write_images(tmp_path / "plain", 10)), 8)
    write_images(tmp_path / "one" / "class", 10)
    with pytest.raises(HwsearchError, match="are of one class"):
        load_labelled(str(tmp_path / "one"), 8)
    with pytest.raises(HwsearchError, match="needs 8 target images"):
        load_labelled("sklearn:digits", 8, limit=5)
    with pytest.raises(HwsearchError, match=r"fewer than 40 folds.*--folds"):
        open_judges(("knn",), students, images, JudgeSettings(folds=40))
    labels = np.arange(20) % 2
    with pytest.raises(HwsearchError, match="not finite"):
        cross_fit(linear_head, np.full((20, 3), np.nan), labels, labels)
    with pytest.raises(HwsearchError, match="30 neighbours"):
        cross_fit(NeighbourHead(30), np.ones((20, 3)), labels, labels)
