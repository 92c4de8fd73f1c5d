"""Label-free distance of a network to a teacher on images of the target domain."""

from hwsearch.distance.base import Distance, Estimate, Judge
from hwsearch.distance.dense import DenseDistance, default_stages
from hwsearch.distance.images import TargetImages, load_target
from hwsearch.distance.kinds import (
    DistanceKind,
    Task,
    choose_kind,
    choose_stages,
    open_judge,
)
from hwsearch.distance.pooled import TeacherDistance
from hwsearch.distance.ready import CatalogueStudents, ExternalStudents
from hwsearch.distance.students import Students, SupernetStudents
from hwsearch.distance.teacher import Teacher

__all__ = [
    "CatalogueStudents",
    "DenseDistance",
    "Distance",
    "DistanceKind",
    "Estimate",
    "ExternalStudents",
    "Judge",
    "Students",
    "SupernetStudents",
    "TargetImages",
    "Task",
    "Teacher",
    "TeacherDistance",
    "choose_kind",
    "choose_stages",
    "default_stages",
    "load_target",
    "open_judge",
]
