"""What latency tables know of the networks of a study."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hwsearch.errors import HwsearchError
from hwsearch.latency.fit import fit_latency
from hwsearch.latency.lookup import measured_networks
from hwsearch.latency.table import Table
from hwsearch.search.evaluations import label_of
from hwsearch.spaces import get_space
from hwsearch.study.networks import Network


@dataclass(frozen=True)
class Latency:
    """Latency of one network.

    Attributes:
        ms: Milliseconds of one call.
        how: "measured", where the table has a row of the network, or "predicted", the mean.
    """

    ms: float
    how: str


def read_latencies(
    tables: Sequence[Table], networks: Sequence[Network]
) -> Mapping[tuple[str, str], Latency]:
    """Looks up or predicts the latencies of all networks in the tables of their families.

    Returns:
        By name of the network and "device/table".

    Raises:
        HwsearchError: If a table is of no network's family.
    """
    found = {}
    for table in tables:
        own = [network for network in networks if network.family == table.space]
        if not own:
            raise HwsearchError(
                f"no network of the study is of the table's space '{table.space}'",
                where=table.path,
                fix="Leave the table out",
            )
        space = get_space(table.space)
        model, measured = fit_latency(table, space), measured_networks(table, space)
        for network in own:
            row = measured.get(space.key(network.subnet))
            ms = row.latency_ms if row else float(model.predict_subnet(network.subnet).mean_ms[0])
            found[network.name, label_of(table)] = Latency(ms, "measured" if row else "predicted")
    return found
