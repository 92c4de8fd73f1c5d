"""The verb correlate: ranks and judges networks of each bin and says how well the two agree."""

from pathlib import Path

from hwsearch.config import check_config, write_config
from hwsearch.correlation.analysis import Finding, analyse
from hwsearch.correlation.figure import draw_findings
from hwsearch.correlation.options import CorrelateOptions
from hwsearch.correlation.show import show_findings, write_findings
from hwsearch.correlation.study import RIDGE, gather
from hwsearch.progress import say

__all__ = ["CorrelateOptions", "correlate"]

CONFIG = "config.toml"


def correlate(options: CorrelateOptions) -> tuple[Finding, ...]:
    """Finds out whether distances order networks of equal latency as labels do.

    Writes study.jsonl, correlation.csv, correlation.png and config.toml; a study that was killed
    goes on and repeats nothing.

    Raises:
        HwsearchError: If something is missing or does not fit, a bin has too few networks, or the
            folder holds another study or the config file of another command.
    """
    out = options.out
    check_config(out / CONFIG, options)
    study = gather(options)
    write_config(out / CONFIG, options, ("torch", "numpy", "scipy", "scikit-learn"))
    findings = analyse(
        study, ridge=RIDGE in options.distances, draws=options.draws, seed=options.seed
    )
    title = _title(options, study.images, sum(len(one.bin.subnets) for one in study.groups))
    show_findings(findings, title)
    table = write_findings(findings, out)
    say(f"All of it: {table} and {draw_findings(findings, title, out)}")
    return findings


def _title(options: CorrelateOptions, images: int, networks: int) -> str:
    data = Path(options.data).name if Path(options.data).exists() else options.data
    bins = f"{options.bins} bins" if options.bins > 1 else "one bin"
    return (
        f"{networks} networks in {bins}, judged by {options.judged_by} on {images} images of {data}"
    )
