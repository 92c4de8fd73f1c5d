"""The verb probe: how good the features of an engine, or of networks of a supernet, are."""

from hwsearch.evaluate.engine import Judged, judge_engine, show_engine
from hwsearch.evaluate.options import ProbeOptions
from hwsearch.evaluate.subnets import Summary, judge_subnets, show_summaries

__all__ = ["ProbeOptions", "probe"]


def probe(options: ProbeOptions) -> tuple[Judged, ...] | tuple[Summary, ...]:
    """Judges what the options name and prints the result as a table.

    Raises:
        HwsearchError: If something is missing or does not fit.
    """
    if options.engine is not None:
        judged = judge_engine(options)
        show_engine(judged, options)
        return judged
    assert options.out is not None
    summaries = judge_subnets(options)
    show_summaries(summaries, options.out)
    return summaries
