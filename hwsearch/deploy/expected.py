"""Expected: what an engine should take before it is measured, and what its product adds."""

from hwsearch.deploy.fields import Latency
from hwsearch.heads import Head, parse_ships
from hwsearch.search.front import FrontPoint
from hwsearch.search.inputs import SearchInputs


def expected_latency(inputs: SearchInputs, point: FrontPoint, *, with_head: bool) -> Latency:
    """Returns what is expected of an engine alone, and of what ships around it.

    Args:
        inputs: Of the search.
        point: The network as it ships.
        with_head: Whether a head is a part of the engine.
    """
    around_ms = _around_ms(inputs, point, with_head)
    return Latency(
        predicted_ms=point.latency_ms - around_ms,
        low_ms=point.low_ms - around_ms,
        high_ms=point.high_ms - around_ms,
        measured_ms=0.0,
        measured_stderr_rel=0.0,
        flags=(),
        limit_ms=None,
        around_ms=around_ms,
    )


def _around_ms(inputs: SearchInputs, point: FrontPoint, with_head: bool) -> float:
    extras = parse_ships(inputs.options.ships)
    if with_head:
        extras = tuple(extra for extra in extras if not isinstance(extra, Head))
    if not extras:
        return 0.0
    devices = {device.costs.label: device for device in inputs.devices()}
    return devices[point.table].costs.latency.around_ms(point.subnet, extras)
