"""A hot machine is left alone until it has cooled down."""

from collections.abc import Callable
from dataclasses import dataclass, field

from hwsearch.errors import HwsearchError
from hwsearch.measurement.sensors import Sensors
from hwsearch.measurement.settings import REAL_CLOCK, Clock

LOOK_SECONDS = 1.0
"""How often a hot machine is looked at."""

PATIENCE_SECONDS = 600.0
"""A machine that is still too hot after this long will not cool down by itself."""


@dataclass
class Cooling:
    """Waits while a machine is too hot.

    Attributes:
        max_celsius: The highest temperature that is measured at; 0 means any.
        sensors: Where temperatures come from.
        clock: Where time comes from.
        rested: Seconds that were waited so far.
    """

    max_celsius: float
    sensors: Sensors = field(default_factory=Sensors)
    clock: Clock = REAL_CLOCK
    rested: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        if self.max_celsius and self._celsius() is None:
            raise HwsearchError(
                "this machine does not tell its temperature", fix="Use --max-temperature 0"
            )

    def wait(self, on_look: Callable[[], object]) -> None:
        """Returns once the machine is cool enough.

        Args:
            on_look: Called each time a hot machine was looked at.

        Raises:
            HwsearchError: If it stays too hot.
        """
        if not self.max_celsius:
            return
        began = self.clock.seconds()
        while (celsius := self._celsius() or 0.0) > self.max_celsius:
            if self.clock.seconds() - began > PATIENCE_SECONDS:
                minutes = PATIENCE_SECONDS / 60
                raise HwsearchError(
                    f"still {celsius:.0f} degrees after {minutes:.0f} minutes of rest",
                    fix="Cool it, or use a higher --max-temperature; the same command goes on",
                )
            on_look()
            self.clock.sleep(LOOK_SECONDS)
            self.rested += LOOK_SECONDS

    def _celsius(self) -> float | None:
        return self.sensors.readings(1, ()).celsius
