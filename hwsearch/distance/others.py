"""The distance to a committee: each of its members is compared with the other ones."""

from collections.abc import Callable, Iterable, Iterator

from torch import Tensor

from hwsearch.distance.base import DeliveredDistance, Outputs
from hwsearch.distance.committee import Committee
from hwsearch.distance.teacher import Teacher
from hwsearch.space import Subnet


class AmongOthers(DeliveredDistance):
    """A distance to a committee in which no network has a say about itself.

    A member's own features are a part of the teacher, and near to it whatever they are worth.

    Args:
        committee: The teacher.
        open_to: Opens the distance to a teacher.
    """

    def __init__(
        self, committee: Committee, open_to: Callable[[Teacher], DeliveredDistance]
    ) -> None:
        self._committee, self._open_to = committee, open_to
        self._whole = self._to(committee)
        self.by_image, self.of_maps = self._whole.by_image, self._whole.of_maps

    def _to(self, committee: Committee) -> DeliveredDistance:
        return self._open_to(Teacher(committee, committee.space.maximum))

    def __len__(self) -> int:
        """Returns how many images there are."""
        return len(self._whole)

    def for_network(self, subnet: Subnet) -> DeliveredDistance:
        """Returns the distance to all members, or to the other ones."""
        others = self._committee.without(subnet)
        return self._whole if others is self._committee else self._to(others)

    def rows(self, subnet: Subnet) -> Iterator[Tensor]:
        """Yields the distances of one network for each image, batch by batch, [B]."""
        return self.for_network(subnet).rows(subnet)

    def of_outputs(self, batches: Iterable[Outputs]) -> float:
        """Returns the distance to all members of what no member gave."""
        return self._whole.of_outputs(batches)
