"""A learning run: weights and gates, then finalists, then the best of them."""

from pathlib import Path

from hwsearch.checkpoint import Header
from hwsearch.data.sources import Source, open_source
from hwsearch.learn.finalists import finalists
from hwsearch.learn.finish import finish, read_outcome
from hwsearch.learn.halves import Halves
from hwsearch.learn.learner import GateLearner, GateSettings
from hwsearch.learn.options import LearnOptions
from hwsearch.learn.session import DrawnSchedule, LearnSession
from hwsearch.learn.target import LatencyTarget
from hwsearch.learn.trials import run_trials, step_settings
from hwsearch.nn.processes import rank
from hwsearch.selfsup.settings import resolve
from hwsearch.spaces import get_space
from hwsearch.train.distributed import joined
from hwsearch.train.hardware import Hardware, choose_hardware
from hwsearch.train.identity import chosen, header_of
from hwsearch.train.loop import carry_out, open_monitor
from hwsearch.train.metrics import Metrics
from hwsearch.train.trainer import StepSettings

_GATES = ("networks", "gate_networks", "uniform", "gate_lr")
"""Options of the gates that decide the result."""


def run(options: LearnOptions) -> Path:
    """Learns or resumes; see `hwsearch.learn.learn`."""
    space = get_space(options.space)
    target = LatencyTarget.open(
        options.table, space, options.latency_ms, tables_dir=options.tables_dir
    )
    hardware = choose_hardware(options)
    with joined(hardware.device):
        source = open_source(options.data)
        halves = Halves(source, options.batch, options.seed)
        header = _header(options, source, hardware, halves, target)

        def make(metrics: Metrics | None) -> LearnSession:
            learner = GateLearner(space, target.latency, _gate_settings(options, header))
            return LearnSession(
                learner,
                options,
                hardware,
                header,
                source,
                metrics,
                settings=_step_settings(options, header, learner),
                order=halves,
                monitor=open_monitor(options, hardware),
            )

        carry_out(options, hardware, header, make)
        if options.finalists > 1:
            gates = read_outcome(options.out, options.space, target).gates
            named = finalists(gates, target.latency, target.target_ms, options.finalists)
            if len(named) > 1:
                run_trials(options, named, source, hardware)
        if rank() == 0:
            finish(options, target)
    return options.out


def _header(
    options: LearnOptions,
    source: Source,
    hardware: Hardware,
    halves: Halves,
    target: LatencyTarget,
) -> Header:
    given = options.method_options()
    settings = resolve(options.method, given, images=len(halves.weights), batch=options.batch)
    return header_of(
        options,
        source,
        hardware,
        settings=settings,
        steps=halves.steps_per_epoch * options.epochs,
        more=chosen(options, _GATES) | target.recipe(),
    )


def _gate_settings(options: LearnOptions, header: Header) -> GateSettings:
    return GateSettings(
        target_ms=options.latency_ms,
        networks=options.gate_networks,
        start=round(options.uniform * header.steps),
        steps=header.steps,
        lr=options.gate_lr,
        seed=options.seed,
    )


def _step_settings(options: LearnOptions, header: Header, learner: GateLearner) -> StepSettings:
    schedule = DrawnSchedule(
        steps=header.steps,
        lr=header.recipe["lr"],
        warmup_steps=round(options.warmup * header.steps),
        random_subnets=options.networks,
        sampling="choices",
        seed=options.seed,
        learner=learner,
    )
    return step_settings(options, schedule)
