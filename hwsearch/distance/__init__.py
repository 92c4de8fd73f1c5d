"""Label-free distance of a network to a teacher on images of the target domain."""

from hwsearch.distance.compare import cosine_distance, relations
from hwsearch.distance.images import TargetImages, load_target
from hwsearch.distance.students import CatalogueStudents, Students, SupernetStudents
from hwsearch.distance.teacher import DistanceKind, Teacher, TeacherDistance

__all__ = [
    "CatalogueStudents",
    "DistanceKind",
    "Students",
    "SupernetStudents",
    "TargetImages",
    "Teacher",
    "TeacherDistance",
    "cosine_distance",
    "load_target",
    "relations",
]
