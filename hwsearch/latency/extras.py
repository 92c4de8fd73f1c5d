"""What heads and preprocessing add to a network: as measured, for other blocks do not tell it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hwsearch.block import Block
from hwsearch.errors import HwsearchError
from hwsearch.latency.table import Table


@dataclass(frozen=True)
class AddedTimes:
    """What single blocks add to an engine that is called anyway.

    Rates that were fitted to convolutions missed classifiers by up to 17 times and preprocessing
    by up to 7 times, so that nothing is estimated.

    Attributes:
        table: File of the table that they were measured for.
        blocks_ms: Milliseconds of an engine of each alone, by key.
    """

    table: Path
    blocks_ms: Mapping[str, float]

    @classmethod
    def of(cls, table: Table) -> "AddedTimes":
        """Takes them from the rows of a table."""
        return cls(table.path, {row.key: row.latency_ms for row in table.blocks})

    def ms(self, block: Block) -> float:
        """Returns the milliseconds of a block, less those of the fastest: what every call takes.

        Raises:
            HwsearchError: If it was not measured.
        """
        if block.key not in self.blocks_ms:
            raise HwsearchError(
                f"the table holds no measurement of {block.key}",
                where=self.table,
                fix="Measure it: hwsearch profile with the same --ships",
            )
        return self.blocks_ms[block.key] - min(self.blocks_ms.values())
