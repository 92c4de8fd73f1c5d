"""Where networks compute: all of a network there, and on a GPU the same distances as here."""

from pathlib import Path
from typing import Any, cast

import pytest
import torch

from hwsearch.checkpoint import Header, Run, build_method
from hwsearch.distance import (
    DenseDistance,
    Distance,
    SupernetStudents,
    Teacher,
    TeacherDistance,
    load_target,
)
from hwsearch.errors import HwsearchError
from hwsearch.nn.place import find_place
from hwsearch.selfsup.settings import MethodSettings
from hwsearch.spaces import get_space

IMAGES = load_target("sklearn:digits", 32, limit=24)
NOT_THERE = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")


def make_run(name: str) -> Run:
    space, settings = get_space(name), MethodSettings(projection_hidden=16, queue=32)
    method = build_method(space, "moco-v2", settings, seed=0, residual_scale=1.0)
    header = Header(name, "moco-v2", settings, {}, step=0, steps=0, progress={})
    return Run(Path("run"), space, method.requires_grad_(False), header, "weights")


def test_weights_and_images_go_where_they_are_told() -> None:
    """PyTorch's device without numbers stands for a GPU; this family has no norms to calibrate."""
    students = SupernetStudents(make_run("vit-32"), IMAGES, place=cast(Any, "meta"))
    for features in students.observe(students.space.minimum):
        assert {x.device.type for x in (*features.levels, features.embedding)} == {"meta"}


@NOT_THERE
def test_a_gpu_that_is_not_there_is_told() -> None:
    assert find_place("auto") == "cpu"
    with pytest.raises(HwsearchError, match="there is no GPU here"):
        find_place("cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", ["bottleneck-32", "inverted-32", "vit-32"])
def test_a_gpu_finds_the_same_distances(name: str, tmp_path: Path) -> None:
    run = make_run(name)
    here, there = (SupernetStudents(run, IMAGES, place=place) for place in ("cpu", "cuda"))
    for kind in ("projection", "relation", "dense"):
        pairs = [_distance(kind, one, tmp_path) for one in (here, there)]
        smallest, largest = run.space.minimum, run.space.maximum
        assert pairs[0](smallest) == pytest.approx(pairs[1](smallest), rel=1e-3)
        assert [one(largest) for one in pairs] == [0.0, 0.0]


def _distance(kind: str, students: SupernetStudents, cache: Path) -> Distance:
    teacher = Teacher(students, students.space.maximum)
    if kind == "dense":
        return DenseDistance(students, teacher, (2, 3), cache=cache)
    return TeacherDistance(cast(Any, kind), students, teacher, cache=cache)
