"""Every verb: an options dataclass and the function that takes it, by name."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Verb:
    """One command, known by name only until it is used.

    Attributes:
        group: Heading in the help.
        module: Where the options and the function live.
        options: Name of the options dataclass.
        function: Name of the function that takes the options.
        summary: One line of help.
        example: A command that works.
        positional: Options that may be given without their flag, in order.
        more_examples: Further commands that work.
        after_stop: What happens when one that was stopped is given again.
    """

    group: str
    module: str
    options: str
    function: str
    summary: str
    example: str
    positional: tuple[str, ...] = ()
    more_examples: tuple[str, ...] = ()
    after_stop: str = "the same command goes on"

    def options_class(self) -> type:
        """Imports the options dataclass."""
        return getattr(import_module(self.module), self.options)

    def run(self) -> Callable[[Any], object]:
        """Imports the function that does the job."""
        return getattr(import_module(self.module), self.function)


VERBS = {
    "quickstart": Verb(
        group="start here",
        module="hwsearch.quickstart",
        options="QuickstartOptions",
        function="quickstart",
        summary="The whole story on real images, in minutes: train, profile, search, deploy.",
        example="hwsearch quickstart --out quickstart",
    ),
    "devices": Verb(
        group="profile a device",
        module="hwsearch.profiling.devices",
        options="DevicesOptions",
        function="devices",
        summary="List the known devices, show one, or detect this machine.",
        example="hwsearch devices detect",
        positional=("action", "name"),
    ),
    "profile": Verb(
        group="profile a device",
        module="hwsearch.profiling.profile",
        options="ProfileOptions",
        function="profile",
        summary="Measure blocks and networks of a space on this machine into a latency table.",
        example="hwsearch profile --space bottleneck-32 --runtime onnxruntime --threads 2",
    ),
    "kit": Verb(
        group="profile a device",
        module="hwsearch.profiling.pack",
        options="KitOptions",
        function="kit",
        summary="Make a folder that measures a device which cannot be reached from here.",
        example="hwsearch kit --space bottleneck-32 --runtime onnxruntime --out kits/pi5",
    ),
    "import": Verb(
        group="profile a device",
        module="hwsearch.deploy.returned",
        options="ImportOptions",
        function="import_any",
        summary="Check what came back from a device: a kit's latency table, or a built engine.",
        example="hwsearch import kits/pi5/results.jsonl",
        more_examples=("hwsearch import engines/jetson/results.jsonl",),
        positional=("results",),
    ),
    "table": Verb(
        group="profile a device",
        module="hwsearch.latency.show",
        options="TableOptions",
        function="show_table",
        summary="Show what a latency table holds, check how good it is, or compare two.",
        example="hwsearch table check bottleneck-32-onnxruntime-fp32-b1-t2",
        positional=("action", "table", "other"),
    ),
    "predict": Verb(
        group="profile a device",
        module="hwsearch.latency.predict",
        options="PredictOptions",
        function="predict",
        summary="Predict the latency of networks from a table, with an interval.",
        example="hwsearch predict --table bottleneck-32-onnxruntime-fp32-b1-t2 --subnet max",
    ),
    "train": Verb(
        group="train",
        module="hwsearch.train",
        options="TrainOptions",
        function="train",
        summary="Train a supernet on unlabelled images.",
        example="hwsearch train --data photos --space bottleneck-32 --out runs/photos",
        after_stop="the same command goes on, with --resume",
        more_examples=(
            "hwsearch train --data photos --space bottleneck-32 --out runs/photos --resume",
            "hwsearch train --data photos --space bottleneck-32 --out runs/watched "
            "--monitor labelled/train --monitor-epochs 5",
            "hwsearch train --data 'shards/photos-*.tar' --space bottleneck-224 --out runs/large "
            "--device cuda --cache-mb 20000",
            "hwsearch train --data photos --space 'bottleneck-32^4[max]' --method simsiam "
            "--out runs/whole",
            "hwsearch train --data photos --space bottleneck-32^4 --method simsiam "
            "--warm-start runs/whole --clusters clusters/whole --out runs/paths",
        ),
    ),
    "search": Verb(
        group="search and choose",
        module="hwsearch.search.run",
        options="SearchOptions",
        function="search",
        summary="Find the best networks for one or many devices: distance against latency.",
        example=(
            "hwsearch search --checkpoint runs/photos --images photos --out searches/photos "
            "--tables bottleneck-32-onnxruntime-fp32-b1-t2"
        ),
        more_examples=(
            "hwsearch search --joint --checkpoint runs/photos --images photos --out searches/joint "
            "--tables bottleneck-32-onnxruntime-fp32-b1-t2 bottleneck-32-openvino-int8-b1-t2 "
            '--limit "latency_high_ms<=2"',
        ),
    ),
    "report": Verb(
        group="search and choose",
        module="hwsearch.report.run",
        options="ReportOptions",
        function="report",
        summary="Draw the fronts of a search.",
        example="hwsearch report searches/photos",
        positional=("directory",),
    ),
    "deploy": Verb(
        group="deploy",
        module="hwsearch.deploy.run",
        options="DeployOptions",
        function="deploy",
        summary="Turn a chosen network into a verified engine with a manifest.",
        after_stop="the same command begins anew",
        example=(
            "hwsearch deploy searches/photos --pick knee --out engines/photos "
            "--table bottleneck-32-onnxruntime-fp32-b1-t2"
        ),
        more_examples=(
            "hwsearch deploy searches/photos --pick max-latency-ms=2.5 --out engines/fast",
            "hwsearch deploy searches/photos --precision auto --out engines/best "
            "--table bottleneck-32-onnxruntime-fp32-b1-t2",
            "hwsearch deploy --checkpoint runs/photos --subnet max --images photos "
            "--table bottleneck-32-onnxruntime-fp32-b1-t2 --out engines/max",
        ),
        positional=("search",),
    ),
    "probe": Verb(
        group="research",
        module="hwsearch.evaluate.probe",
        options="ProbeOptions",
        function="probe",
        summary="Judge an engine, or networks of a supernet, with labelled images.",
        example=(
            "hwsearch probe --engine engines/photos --train labelled/train --test labelled/test"
        ),
        more_examples=(
            "hwsearch probe --checkpoint runs/photos --subnet max min --data labelled/train "
            "--judge knn linear --out probes/photos",
        ),
    ),
    "cluster": Verb(
        group="research",
        module="hwsearch.routing.cluster",
        options="ClusterOptions",
        function="cluster",
        summary="Split unlabelled images into a tree of clusters of equal size.",
        example="hwsearch cluster --checkpoint runs/photos --images photos --out clusters/photos",
        more_examples=(
            "hwsearch cluster --checkpoint runs/photos --images photos --children 4 --levels 3 "
            "--out clusters/fine",
        ),
    ),
    "route": Verb(
        group="research",
        module="hwsearch.routing.route",
        options="RouteOptions",
        function="route",
        summary="Find which of the networks trained on clusters fits a task.",
        example=(
            "hwsearch route --checkpoint runs/paths --clusters clusters/whole --task photos "
            "--out routes/photos"
        ),
        more_examples=(
            "hwsearch route --checkpoint runs/paths --clusters clusters/whole --task photos "
            "--labelled labelled/train --out routes/labelled",
        ),
    ),
    "learn": Verb(
        group="research",
        module="hwsearch.learn",
        options="LearnOptions",
        function="learn",
        summary="Learn a network without labels, to a measured latency.",
        after_stop="the same command goes on, with --resume",
        example=(
            "hwsearch learn --data photos --space inverted-32 --latency-ms 0.15 "
            "--table inverted-32-onnxruntime-fp32-b1-t1 --out learned/photos"
        ),
        more_examples=(
            "hwsearch learn --data photos --space inverted-32 --latency-ms 0.15 "
            "--table inverted-32-onnxruntime-fp32-b1-t1 --out learned/photos --resume",
            "hwsearch learn --data photos --space bottleneck-32 --method moco-v2 --latency-ms 0.25 "
            "--table bottleneck-32-openvino-fp32-b1-t1 --out learned/openvino",
        ),
    ),
    "learn cells": Verb(
        group="research",
        module="hwsearch.learn.cells.run",
        options="CellOptions",
        function="learn_cells",
        summary="Learn the cells of networks without labels, as DARTS does with them.",
        example="hwsearch learn cells --data photos --out learned/cells",
        after_stop="the same command goes on, with --resume",
        more_examples=(
            "hwsearch learn cells --data photos --out learned/quick --partial-channels 4 "
            "--architecture-start 0.3",
        ),
    ),
    "correlate": Verb(
        group="research",
        module="hwsearch.correlation.run",
        options="CorrelateOptions",
        function="correlate",
        summary="Find out whether a distance orders networks of equal latency as labels do.",
        example=(
            "hwsearch correlate --checkpoint runs/photos --images photos --data labelled/train "
            "--table bottleneck-32-onnxruntime-fp32-b1-t2 --distances auto parameters random "
            "--bins 2 --per-bin 20 --out studies/photos"
        ),
    ),
    "study": Verb(
        group="research",
        module="hwsearch.study.run",
        options="StudyOptions",
        function="study",
        summary="Train many networks alone and find out whether one of them wins everywhere.",
        example=(
            "hwsearch study --data photos --networks basic-32:12 inverted-32:12 "
            "--tasks birds=labelled/birds signs=labelled/signs --epochs 100 --out studies/networks"
        ),
        more_examples=(
            "hwsearch study --data photos --networks bottleneck-32:40 --tasks birds=labelled/birds "
            "--out studies/large --dry-run",
        ),
    ),
    "choose": Verb(
        group="research",
        module="hwsearch.choice.run",
        options="ChooseOptions",
        function="choose",
        summary="Compare every way to choose a network with the best choice there is.",
        example=(
            "hwsearch choose --checkpoint runs/photos --tasks labelled/train "
            "--tables bottleneck-32-onnxruntime-fp32-b1-t2 --networks 30 --out choices/photos"
        ),
        more_examples=(
            "hwsearch choose --checkpoint runs/photos --tasks labelled/train digits=sklearn:digits "
            "--tables bottleneck-32-onnxruntime-fp32-b1-t2 --budgets-ms 0.3 0.6 "
            "--out choices/limits",
        ),
    ),
}
