"""Learning runs: what they write, how they resume, what they measure, and what they refuse."""

import json
import random
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from runs import BATCH, IMAGES, read_metrics, start, words_of, write_images
from synthetic_device import SyntheticDevice
from tiny_space import NAME, TINY

from hwsearch.arguments import parse_options
from hwsearch.checkpoint import CHECKPOINT_NAME, Checkpoint, load_run
from hwsearch.data.sources import open_source
from hwsearch.errors import HwsearchError
from hwsearch.journal import Journal
from hwsearch.latency.fit import fit_latency
from hwsearch.latency.table import Table
from hwsearch.learn import LearnOptions, learn
from hwsearch.learn.choose import choose
from hwsearch.learn.confirm import FILE, KIND
from hwsearch.learn.confirm import confirm as confirm_gates
from hwsearch.learn.finalists import finalists
from hwsearch.learn.finish import read_outcome
from hwsearch.learn.gates import Gates
from hwsearch.learn.halves import Halves
from hwsearch.learn.session import LearnSession
from hwsearch.learn.target import LatencyTarget
from hwsearch.learn.trials import read_trials, tell_trials
from hwsearch.nn import Supernet
from hwsearch.profiling.remeasure import Measured
from hwsearch.search import confirm
from hwsearch.train.pace import FIGURES

EPOCHS = 10
STEPS = IMAGES // 2 // BATCH * EPOCHS


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Images, and a table of this device."""
    folder = tmp_path_factory.mktemp("made")
    write_images(folder / "images")
    table = SyntheticDevice(TINY).table(24)
    replace(table, path=folder / "here.jsonl").write()
    return folder


@pytest.fixture(scope="module")
def law(made):
    return fit_latency(Table.read(made / "here.jsonl"), TINY)


@pytest.fixture(scope="module")
def target_ms(law):
    return float(np.median(law.mean_ms(TINY.all_codes())))


@pytest.fixture(scope="module")
def options(made, target_ms, tmp_path_factory):
    return LearnOptions(
        data=str(made / "images"),
        space=NAME,
        table=str(made / "here.jsonl"),
        latency_ms=target_ms,
        out=tmp_path_factory.mktemp("runs") / "whole",
        method="moco-v2",
        epochs=EPOCHS,
        batch=BATCH,
        projection_hidden=16,
        amp="fp32",
        threads=1,
        checkpoint_steps=3,
        log_steps=1,
        tensorboard=False,
        finalists=3,
        confirm=False,
    )


@pytest.fixture(scope="module")
def finished(options):
    return learn(options)


@pytest.fixture(scope="module")
def learned(finished):
    return json.loads((finished / "learned.json").read_text())


def test_a_run_ends_with_a_network_of_the_target_latency(options, finished, learned, law):
    subnet = TINY.subnet(**learned["subnet"])
    predicted = law.predict_subnet(subnet).mean_ms[0]
    assert learned["predicted_ms"] == predicted
    assert predicted == pytest.approx(options.latency_ms, rel=0.05)
    assert learned["within_tolerance"]
    assert learned["measured_ms"] is None
    assert learned["name"] == f"{NAME}[{subnet}]"
    assert {"gates.png", "network.png", "config.toml"} < {file.name for file in finished.iterdir()}
    rows = read_metrics(finished)
    assert len(rows) == STEPS
    assert "loss_gates" not in rows[0]  # only weights learn at first
    assert rows[0]["p/depth1=1"] == rows[0]["p/depth1=2"] == 0.5
    last = rows[-1]
    assert last["expected_ms"] == pytest.approx(options.latency_ms, rel=0.3)
    assert last["p/depth1=1"] + last["p/depth1=2"] == pytest.approx(1)
    assert last["p/depth1=1"] != 0.5
    assert load_run(finished, space=NAME).embedder(subnet)(torch.randn(4, 3, 8, 8)).shape[0] == 4


def test_the_finalist_of_the_lowest_loss_is_taken(options, finished, learned, law, capsys):
    target_ms = options.latency_ms
    trials = read_trials(finished, NAME)
    target = LatencyTarget.open(options.table, TINY, target_ms, tables_dir=None)
    gates = read_outcome(finished, NAME, target).gates
    assert [trial.subnet for trial in trials] == [*finalists(gates, law, target_ms, 3)]
    assert trials[0].subnet == choose(gates, law, target_ms).subnet
    assert min(trials, key=lambda trial: trial.loss).subnet == TINY.subnet(**learned["subnet"])
    assert {trial.steps for trial in trials} == {round(0.1 * (IMAGES // BATCH) * EPOCHS)}
    assert len({trial.loss for trial in trials}) == 3
    tell_trials(trials)
    assert "3 finalists after 5 steps alone: losses" in capsys.readouterr().out


def test_what_comes_next_is_said_and_can_be_parsed(options, finished, learned, capsys):
    learn(replace(options, resume=True))  # finished: only the end is told again
    said = capsys.readouterr().out
    assert f"learned {learned['name']}" in said
    assert f"hwsearch train --data {options.data} --space '{learned['name']}'" in said
    assert f"hwsearch deploy --checkpoint {finished} --subnet stem=" in said
    assert "predicted, not measured" in said


def test_config_reads_back_as_the_same_options(options, finished):
    words = ["--config", str(finished / "config.toml")]
    again = parse_options(LearnOptions, words, prog="learn", summary="", example="")
    assert again == options


def test_killed_at_random_moments_it_ends_with_the_same_bits(options, finished, tmp_path):
    killed = replace(options, out=tmp_path / "killed", resume=True)
    log, rng = killed.out / "metrics.jsonl", random.Random(0)
    for kill in range(2):
        process = start(words_of(killed), tmp_path / "said", "learn")
        steps = rng.uniform(kill, kill + 1) * STEPS / 3
        while process.is_alive() and (not log.exists() or log.read_bytes().count(b"\n") < steps):
            time.sleep(0.002)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    process = start(words_of(killed), tmp_path / "said", "learn")
    while process.is_alive() and not [*killed.out.rglob("2-of-3/metrics.jsonl")]:
        time.sleep(0.002)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    process = start(words_of(killed), tmp_path / "said", "learn")
    process.join()
    assert process.exitcode == 0, (tmp_path / "said").read_text()
    assert not (killed.out / "finalists").exists()
    for name in (CHECKPOINT_NAME, "finalists.json", "learned.json"):
        assert (killed.out / name).read_bytes() == (finished / name).read_bytes()
    timeless = [
        [{**row, **dict.fromkeys(FIGURES)} for row in read_metrics(run)]
        for run in (killed.out, finished)
    ]
    assert timeless[0] == timeless[1]


def test_the_halves_share_no_image_and_their_batches_no_half(options):
    source = open_source(options.data)
    halves = Halves(source, BATCH, 0)
    assert not set(halves.weights) & set(halves.gates)
    assert len(halves.weights) == len(halves.gates) == IMAGES // 2
    rows = np.concatenate([halves.rows(epoch) for epoch in range(20)])
    assert rows.shape == (20 * halves.steps_per_epoch, 2 * BATCH)
    assert set(rows[:, :BATCH].ravel()) == set(halves.weights)
    assert set(rows[:, BATCH:].ravel()) == set(halves.gates)
    assert not np.array_equal(halves.rows(0), halves.rows(1))


def test_held_out_images_never_enter_the_queue(options, finished):
    halves = Halves(open_source(options.data), BATCH, 0)
    owners = load_run(finished).method.queue.owners_K
    assert len(owners) == BATCH
    assert set(owners.tolist()) <= set(halves.weights.tolist())


def test_gates_are_none_of_the_weights(options, tmp_path, monkeypatch):
    """Neither the method nor its optimiser holds the logits, and judging moves no weight."""
    seen = []
    judge = LearnSession._judge_codes

    def watched(session, views, codes):
        trainer, alpha = session._trainer, session._learner.parameter
        held = [p for group in trainer._optimiser.param_groups for p in group["params"]]
        assert not any(alpha is p for p in [*held, *trainer.method.parameters()])
        before = {name: value.clone() for name, value in trainer.method.state_dict().items()}
        losses = judge(session, views, codes)
        after = trainer.method.state_dict()
        assert all(torch.equal(before[name], after[name]) for name in before)
        assert all(p.grad is None for p in held)
        seen.append(losses)
        return losses

    monkeypatch.setattr(LearnSession, "_judge_codes", watched)
    learn(replace(options, out=tmp_path / "run", epochs=2))
    assert np.isfinite(seen).all()
    names = Checkpoint.load(tmp_path / "run").optimiser
    assert not any("alpha" in name for name in names)


def test_a_drawn_network_is_the_extracted_one(options, finished):
    """Gates add nothing to the forward pass: each step runs plain networks of the space."""
    supernet: Supernet = load_run(finished).supernet()
    pictures = torch.randn(6, 3, 8, 8)
    for code in TINY.all_codes()[::5]:
        subnet = TINY.decode(code)
        whole, alone = supernet(pictures, subnet), supernet.extract(subnet)(pictures)
        assert torch.equal(whole.embedding, alone.embedding)


def test_a_loss_that_is_not_finite_stops_it_with_the_last_good_state(
    options, tmp_path, monkeypatch
):
    out = tmp_path / "run"
    judge = LearnSession._judge_codes

    def spoilt(session, views, codes):
        losses = judge(session, views, codes)
        return losses if views.step < 14 else session._checked(losses * np.nan, views.step)

    monkeypatch.setattr(LearnSession, "_judge_codes", spoilt)
    with pytest.raises(HwsearchError, match="held-out loss is not finite at step 14"):
        learn(replace(options, out=out))
    assert Checkpoint.load(out).header.step == 12
    monkeypatch.undo()
    learn(replace(options, out=out, resume=True))
    assert json.loads((out / "learned.json").read_text())["within_tolerance"]


@pytest.mark.parametrize("misses", [1, 2])
def test_a_network_that_misses_the_target_twice_is_followed_by_the_next(
    target_ms, tmp_path, monkeypatch, capsys, misses
):
    table = SyntheticDevice(TINY).table(12)
    replace(table, path=tmp_path / "few.jsonl").write()
    target = LatencyTarget.open(
        str(tmp_path / "few.jsonl"), TINY, target_ms, tables_dir=tmp_path / "none"
    )
    known = {TINY.subnet(**row.subnet) for row in table.networks("evidence")}
    every = (Gates(TINY, np.random.default_rng(seed).normal(size=(5, 2))) for seed in range(99))
    gates = next(g for g in every if choose(g, target.latency, target_ms).subnet not in known)
    measured = []

    def measure(subnets, table, **_):
        measured.extend(subnets)
        ms = target_ms * (1.08 if len(measured) <= misses else 1.01)
        return {subnet: Measured(ms, 0.004, 9, ()) for subnet in subnets}

    monkeypatch.setattr(confirm, "remeasure_networks", measure)
    for _ in range(2):  # what is in the journal is not measured again
        with Journal.open(tmp_path / FILE, KIND, target.recipe()) as journal:
            choice = confirm_gates(gates, target, journal, 1.0)
        assert choice.measured
        assert choice.fits
        assert measured[0] == measured[1]
        assert (choice.subnet == measured[0]) == (misses == 1)
        assert len(measured) - len(set(measured)) == 1  # the first one alone is measured twice
    assert "networks measured" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"latency_ms": 1e3}, r"no network of 'tiny-8' has 1000 ms.*--latency-ms between"),
        ({"method": "simsiam"}, "cannot choose among networks"),
        ({"space": f"{NAME}[max]"}, "is one network"),
        ({"space": f"{NAME}~int8+fp32"}, "does not choose among the precisions"),
        ({"space": "bottleneck-32^2"}, "does not choose among the paths"),
        ({"space": "bottleneck-32"}, "the table is of space 'tiny-8'"),
        ({"table": "nothing"}, "latency table"),
        ({"gate_networks": 1}, "--gate-networks 1 is out of range"),
        ({"uniform": 1.0}, "--uniform 1.0 is out of range"),
        ({"batch": 32, "queue": 0}, "half of 40 images does not fill one step of 32"),
        ({}, "holds a run already"),
    ],
)
def test_bad_input_is_told(options, finished, changes, told, tmp_path):
    out = {"out": tmp_path / "run"} if changes else {}
    with pytest.raises(HwsearchError, match=told):
        learn(replace(options, **changes, **out))
    assert not (tmp_path / "run").exists()
    with pytest.raises(HwsearchError, match=r"started with other options \(gate_networks"):
        learn(replace(options, resume=True, gate_networks=6))
