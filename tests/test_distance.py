"""Distances: 0 for the teacher, above 0 for all else, judged at each network's own side."""

from pathlib import Path

import numpy as np
import pytest
import torch

from hwsearch.checkpoint import Header, Run, build_method
from hwsearch.data.prepare import normalise_array, prepare
from hwsearch.distance import (
    CatalogueStudents,
    SupernetStudents,
    Teacher,
    TeacherDistance,
    load_target,
)
from hwsearch.distance.compare import row_distance
from hwsearch.distance.relation import Relation
from hwsearch.export.onnx import export_network, seeded_network
from hwsearch.nn import Supernet, calibrate
from hwsearch.selfsup.settings import MethodSettings
from hwsearch.spaces import get_space
from hwsearch.spaces.catalogue import Catalogue

SPACE = get_space("bottleneck-32@24+32")
IMAGES = load_target("sklearn:digits", 32, limit=24)
KINDS = pytest.mark.parametrize("kind", ["projection", "relation"])


def make_run() -> Run:
    settings = MethodSettings(projection_hidden=16, queue=32)
    method = build_method(SPACE, "moco-v2", settings, seed=0).requires_grad_(False)
    for name, value in method.named_parameters():
        if name.endswith("scale"):  # a zero scale would make depth invisible
            torch.nn.init.uniform_(value, 0.5, 1.5)
    header = Header(SPACE.name, "moco-v2", settings, {}, step=0, steps=0, progress={})
    return Run(Path("run"), SPACE, method, header, "weights")


@pytest.fixture(scope="module")
def run() -> Run:
    return make_run()


@pytest.fixture(scope="module")
def students(run: Run) -> SupernetStudents:
    return SupernetStudents(run, IMAGES)


def to_maximum(kind, students: SupernetStudents, cache: Path | None = None) -> TeacherDistance:
    return TeacherDistance(kind, students, Teacher(students, SPACE.maximum), cache=cache)


@KINDS
@pytest.mark.parametrize("weights", ["online", "ema"])
def test_the_maximum_alone_is_at_distance_zero(run: Run, weights, kind):
    distance = to_maximum(kind, SupernetStudents(run, IMAGES, weights=weights))
    assert distance(SPACE.maximum) == 0.0
    others = [SPACE.minimum, *SPACE.neighbours(SPACE.maximum)]
    assert min(distance(subnet) for subnet in others) > 1e-6


def test_distance_is_one_minus_cosine():
    student, teacher = torch.randn(2, 5, 8)
    student, teacher = (torch.nn.functional.normalize(x) for x in (student, teacher))
    expected = 1 - torch.nn.functional.cosine_similarity(student, teacher)
    torch.testing.assert_close(row_distance(student, teacher), expected)


def test_relations_know_images_but_neither_width_nor_basis():
    rng = np.random.default_rng(0)
    teacher = rng.normal(size=(30, 8)).astype(np.float32)
    turned = teacher @ np.linalg.qr(rng.normal(size=(8, 8)))[0]
    wider = np.pad(3 * turned + 5, ((0, 0), (0, 7)))

    def to_teacher(student: np.ndarray) -> float:
        rows = map(Relation().describe, (student, teacher))
        return float(row_distance(*rows).mean())

    assert to_teacher(teacher) == 0.0
    assert to_teacher(wider) < 1e-10
    noise = rng.normal(size=teacher.shape)
    nearer, farther = (to_teacher(teacher + scale * noise) for scale in (0.3, 1.0))
    assert 1e-3 < nearer < farther < to_teacher(rng.permutation(teacher))
    assert np.isfinite(to_teacher(np.ones((30, 3), np.float32)))


@KINDS
def test_embeddings_from_elsewhere_have_the_distance_of_their_network(students, kind):
    distance = to_maximum(kind, students)
    embeddings = students.embeddings(SPACE.minimum)
    assert distance.of_embeddings(embeddings) == distance(SPACE.minimum)


def test_distances_that_ask_one_network_in_turn_compute_it_once(students, monkeypatch):
    distances = [to_maximum(kind, students) for kind in ("projection", "relation")]
    apart = [
        [distance(subnet) for distance in distances]
        for subnet in (SPACE.minimum, SPACE.subnet(side=24))
    ]
    computed, observe_net = [], students.observe_net
    monkeypatch.setattr(
        students, "observe_net", lambda net: computed.append(net) or observe_net(net)
    )
    monkeypatch.setattr(students, "remembers", True)
    together = [
        [distance(subnet) for distance in distances]
        for subnet in (SPACE.minimum, SPACE.subnet(side=24))
    ]
    assert together == apart and len(computed) == 2


def test_every_network_sees_images_of_its_own_side(students: SupernetStudents):
    small = SPACE.subnet(side=24)
    net = students.student(small)
    photos = [IMAGES.source.image(int(index)) for index in IMAGES.indices]
    pixels = np.stack([prepare(photo, 24) for photo in photos])
    with torch.no_grad():
        expected = net(torch.from_numpy(normalise_array(pixels))).embedding
    np.testing.assert_array_equal(students.embeddings(small), expected.numpy())
    assert students.embeddings(small).shape == students.embeddings(SPACE.maximum).shape


def test_the_teacher_is_computed_once_for_a_cache(
    students: SupernetStudents, tmp_path: Path, monkeypatch
):
    first = to_maximum("projection", students, tmp_path)(SPACE.minimum)
    with monkeypatch.context() as patch:
        patch.setattr(Supernet, "extract", lambda *_: pytest.fail("the teacher ran again"))
        again = to_maximum("projection", students, tmp_path)
    assert again(SPACE.minimum) == first
    (cached,) = tmp_path.iterdir()
    cached.write_bytes(cached.read_bytes()[:20])
    assert to_maximum("projection", students, tmp_path)(SPACE.minimum) == first
    to_maximum("projection", SupernetStudents(students.run, IMAGES, weights="ema"), tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_weights_survive_calibration(run: Run, students: SupernetStudents):
    before = {name: value.clone() for name, value in run.supernet().state_dict().items()}
    students.embeddings(SPACE.minimum)
    after = run.supernet().state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_a_network_without_batch_norm_is_not_run_to_calibrate_it():
    vit = get_space("vit-32")
    net = seeded_network(vit.lower(vit.minimum)).train()
    assert not calibrate(net, map(pytest.fail, ["the network ran"])).training


def test_an_exported_network_is_as_far_away_as_itself(students: SupernetStudents, tmp_path: Path):
    subnets = {"small": SPACE.minimum, "large": SPACE.maximum}
    for name, subnet in subnets.items():
        export_network(students.network(subnet), tmp_path / f"{name}.onnx", batch=5)
    catalogue = get_space(f"catalogue:{tmp_path}")
    assert isinstance(catalogue, Catalogue)
    teacher = Teacher(students, SPACE.maximum)
    distance = TeacherDistance("relation", CatalogueStudents(catalogue, IMAGES), teacher)
    expected = to_maximum("relation", students)
    for name, subnet in subnets.items():
        assert distance(catalogue.subnet(model=name)) == pytest.approx(expected(subnet), abs=1e-6)
