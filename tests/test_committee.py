"""A committee of networks as the teacher, and how much of it is linear in a network's features."""

from functools import partial

import numpy as np
import pytest
import torch
from searches import SPACE as SMALL
from searches import made, options, write_checkpoint
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler
from test_distance import IMAGES, SPACE, make_run

from hwsearch.checkpoint import load_run
from hwsearch.distance import (
    CatalogueStudents,
    DenseDistance,
    SupernetStudents,
    Teacher,
    TeacherDistance,
    open_judge,
)
from hwsearch.distance.base import DeliveredDistance
from hwsearch.distance.best_teacher import teacher_by_rank
from hwsearch.distance.committee import Committee
from hwsearch.distance.controls.spectrum import Spectrum
from hwsearch.distance.regression import PENALTIES, Regression
from hwsearch.errors import HwsearchError
from hwsearch.export.onnx import export_network, seeded_network
from hwsearch.search.evaluations import Evaluations
from hwsearch.search.front import read_front
from hwsearch.search.inputs import open_search
from hwsearch.search.run import search
from hwsearch.search.teachers import find_teacher, name_of, what_fits
from hwsearch.space import Subnet
from hwsearch.spaces import get_space
from hwsearch.spaces.catalogue import Catalogue
from hwsearch.spaces.precisions import with_precisions

__all__ = ["made", "write_checkpoint"]

SOME = [SPACE.minimum, SPACE.subnet(side=24), SPACE.subnet(width4=96), SPACE.maximum]


@pytest.fixture(scope="module")
def students() -> SupernetStudents:
    return SupernetStudents(make_run(), IMAGES)


def unexplained(student: np.ndarray, teacher: np.ndarray) -> float:
    how = Regression()
    return float(how.compare(how.describe(student), how.describe_teacher(teacher)).mean())


def test_a_regression_knows_what_is_linear_and_gains_nothing_by_width_alone():
    rng = np.random.default_rng(0)
    teacher = rng.normal(size=(400, 8))
    mixed = teacher @ rng.normal(size=(8, 20))
    assert unexplained(mixed, teacher) < 0.01
    assert unexplained(teacher, teacher) < 0.01
    noise = rng.normal(size=(400, 200))
    half = unexplained(teacher[:, :4], teacher)
    assert 0.45 < half < 0.55
    assert unexplained(np.hstack([teacher[:, :4], noise]), teacher) > half
    assert unexplained(noise, teacher) > 1
    channels = rng.permutation(20)
    other = unexplained(3 * mixed[:, channels] + 5, 2 * teacher - 1)
    assert other == pytest.approx(unexplained(mixed, teacher), rel=1e-6)
    assert np.isfinite(unexplained(np.ones((400, 3)), teacher))
    mixed[3, 2] = np.inf
    assert np.isnan(unexplained(mixed, teacher))


def generalised(x: np.ndarray, y: np.ndarray, penalty: float) -> float:
    """Returns the error of a ridge regression by generalised cross-validation."""
    images, width = x.shape
    hat = x @ np.linalg.solve(x.T @ x + penalty * width * np.eye(width), x.T)
    left = np.eye(images) - hat
    return float(((left @ y) ** 2).sum() / np.trace(left) ** 2)


def test_a_regression_is_not_worse_for_as_many_features_as_images_that_teach_it():
    rng = np.random.default_rng(0)
    teacher = rng.normal(size=(200, 10))
    noisy = [teacher @ rng.normal(size=(10, width)) for width in (40, 100, 160)]
    noisy = [seen + 2 * rng.normal(size=seen.shape) for seen in noisy]
    narrow, equal, wide = (unexplained(seen, teacher) for seen in noisy)
    assert wide < equal < narrow < 1


@pytest.mark.parametrize("width", [30, 300])  # fewer features than images, and more
def test_a_regression_is_scikit_learns_ridge(width):
    rng = np.random.default_rng(0)
    student, teacher = rng.normal(size=(200, width)), rng.normal(size=(200, 12))
    teacher += student[:, :12]
    standard = StandardScaler().fit_transform(student)
    errors, variances = np.empty(200), np.empty(200)
    for known in (np.arange(200) % 2 == 0, np.arange(200) % 2 == 1):
        centred = teacher - teacher[known].mean(0)
        found = min(
            (generalised(standard[known], centred[known], p), p) for p in PENALTIES.tolist()
        )
        ridge = Ridge(found[1] * width, fit_intercept=False).fit(standard[known], centred[known])
        errors[~known] = ((centred - ridge.predict(standard)) ** 2).sum(1)[~known]
        variances[~known] = (centred**2).sum(1)[~known]
    expected = errors.mean() / variances.mean()
    assert unexplained(student, teacher) == pytest.approx(expected, rel=1e-9)


def test_a_committee_of_one_is_that_network(students):
    alone = Teacher(students, SPACE.minimum)
    one = Teacher(Committee(students, [SPACE.minimum]), SPACE.maximum)
    for kind in ("relation", "regression"):
        expected, found = (TeacherDistance(kind, students, teacher) for teacher in (alone, one))
        for subnet in SOME:
            assert found(subnet) == pytest.approx(expected(subnet), rel=1e-4, abs=1e-6)
    expected, found = (DenseDistance(students, teacher, (2, 4)) for teacher in (alone, one))
    for subnet in SOME:
        assert found(subnet) == pytest.approx(expected(subnet), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("kind", ["relation", "regression", "dense"])
def test_a_member_is_compared_with_the_other_members(students, kind):
    def to(members: list[Subnet]) -> DeliveredDistance:
        teacher = Teacher(Committee(students, members), SPACE.maximum)
        judge = open_judge(kind, students, teacher, stages=(2, 4) if kind == "dense" else ())
        assert isinstance(judge, DeliveredDistance)
        return judge

    first, *others = SOME
    beside = SPACE.subnet(width3=64)
    whole, left = to(SOME), to(others)
    assert whole(first) == pytest.approx(left(first))
    assert whole(beside) != pytest.approx(left(beside), rel=1e-3)
    assert whole.for_network(first).of_outputs(outputs(students, kind, first)) == whole(first)


def outputs(students: SupernetStudents, kind: str, subnet: Subnet) -> list[list[np.ndarray]]:
    """What an engine of a network gives."""
    if kind != "dense":
        return [[students.embeddings(subnet)]]
    seen = students.observe(subnet)
    return [[level.numpy() for level in features.levels] for features in seen]


def test_a_member_is_one_in_any_precision(students):
    space = with_precisions(SPACE, ["int8"])
    several = SupernetStudents(students.run, IMAGES, space=space)
    committee = Committee(several, [space.subnet(side=24), space.maximum])
    left = committee.without(space.subnet(side=24, precision="int8"))
    assert left.members == (space.maximum,)
    assert committee.without(space.subnet(width4=96)) is committee


def test_all_members_count_alike(students):
    committee = Committee(students, SOME)
    scores = torch.from_numpy(committee.embeddings(SPACE.maximum)).double()
    each = [torch.from_numpy(students.embeddings(one)).double() for one in SOME]
    each = [one - one.mean(0) for one in each]
    grams = [one @ one.T * len(one) / one.square().sum() for one in each]
    torch.testing.assert_close(scores @ scores.T, sum(grams) / len(grams), rtol=0, atol=1e-4)
    maps = next(iter(committee.observe(SPACE.maximum))).levels
    sides = [level.shape[-1] for level in next(iter(students.observe(SPACE.maximum))).levels]
    assert [level.shape[-1] for level in maps] == [min(14, side) for side in sides]
    torch.testing.assert_close(maps[0].square().sum(1), torch.full_like(maps[0][:, 0], len(SOME)))


def test_a_committee_is_of_the_highest_ranks_and_is_found_again_by_name(made, tmp_path):
    students = SupernetStudents(load_run(made / "run"), IMAGES)
    teacher = teacher_by_rank(students, tmp_path, 8, drawn=12)
    assert isinstance(teacher.students, Committee)
    rank = Spectrum(students).rank
    kept = {rank(one) for one in teacher.students.members}
    assert len(kept) == 8
    assert rank(SMALL.maximum) in kept or rank(SMALL.maximum) < min(kept)
    again = find_teacher(name_of(teacher), students, students, tmp_path)
    assert again.fingerprint == teacher.fingerprint
    with pytest.raises(HwsearchError, match="width1=13 is off the grid"):
        find_teacher("max+width1=13", students, students, tmp_path)


def test_a_plus_may_be_part_of_a_models_name(tmp_path):
    for seed, name in enumerate(("a+b", "c")):
        net = seeded_network(SMALL.lower(SMALL.minimum), seed=seed)
        export_network(net, tmp_path / f"{name}.onnx")
    catalogue = get_space(f"catalogue:{tmp_path}")
    assert isinstance(catalogue, Catalogue)
    students = CatalogueStudents(catalogue, IMAGES)
    alone = find_teacher("model=a+b", students, None, tmp_path)
    assert alone.subnet["model"] == "a+b"
    both = find_teacher("model=a+b+model=c", students, None, tmp_path)
    assert [one["model"] for one in both.students.members] == ["a+b", "c"]


def test_a_committee_teaches_where_a_supernet_is_to_classify(tmp_path):
    net = seeded_network(SMALL.lower(SMALL.minimum))
    export_network(net, tmp_path / "model.onnx")
    models = get_space(f"catalogue:{tmp_path}")
    assert what_fits("auto", SMALL, "classification", "auto") == "committee"
    assert what_fits("auto", SMALL, "classification", "regression") == "committee"
    assert what_fits("auto", SMALL, "segmentation", "auto") == ""
    assert what_fits("auto", SMALL, "classification", "projection") == ""
    assert what_fits("auto", models, "classification", "auto") == ""
    assert what_fits("max", SMALL, "classification", "auto") == ""
    assert what_fits("rank", SMALL, "segmentation", "auto") == "rank"


def test_a_search_asks_a_committee_and_names_it(made, tmp_path, monkeypatch):
    few = partial(teacher_by_rank, drawn=9)
    monkeypatch.setattr("hwsearch.search.teachers.teacher_by_rank", few)
    out = search(options(made, tmp_path / "out", teacher="auto", evaluations=8))
    monkeypatch.setattr("hwsearch.search.teachers.teacher_by_rank", lambda *_: pytest.fail("again"))
    opened = open_search(out)
    assert opened.options.teacher.count("+") == 7
    assert Evaluations.read(out).yardstick.distance == "regression"
    judge = opened.distance()
    front = read_front(out)
    assert front
    assert all(judge(point.subnet) == pytest.approx(point.distance) for point in front)
