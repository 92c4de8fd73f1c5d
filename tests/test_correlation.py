"""hwsearch correlate: rank statistics, narrow bins, planted answers, exact resuming."""

import csv
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr
from searches import SPACE, write_checkpoint, write_table
from studies import write_images

from hwsearch.cli import main
from hwsearch.correlation.analysis import MEAN, Finding, _left_out_ridge, analyse
from hwsearch.correlation.bins import Bin, draw_bins
from hwsearch.correlation.plan import FILE, KIND
from hwsearch.correlation.ranks import (
    covariate_axes,
    holm,
    partial_spearman,
    spearman,
    spearman_brown,
)
from hwsearch.correlation.show import BLUNT, CSV, show_findings
from hwsearch.correlation.study import Group, Study
from hwsearch.errors import HwsearchError
from hwsearch.evaluate.remembered import unpack
from hwsearch.evaluate.verdict import ClassVerdict
from hwsearch.journal import read_journal

WORDS = (
    "correlate --checkpoint run --table tables/made-up/bottleneck-32-onnxruntime-fp32-b1-t2.jsonl "
    "--images sklearn:digits --data sklearn:digits --max-images 16 --limit 60 --folds 2 "
    "--judge knn --bins 2 --per-bin 4 --draws 100 --distances auto parameters random ridge "
    "--teacher max --out out"
)


def test_rank_statistics_are_those_of_others():
    rng = np.random.default_rng(0)
    x, y, z = rng.integers(0, 9, (3, 4, 30)).astype(float)
    expected = [spearmanr(*pair).statistic for pair in zip(x, y, strict=True)]
    assert spearman(x, y) == pytest.approx(expected)
    assert np.isnan(spearman(np.ones((1, 30)), y[:1]))
    xy, xz, yz = spearman(x, y), spearman(x, z), spearman(y, z)
    expected = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    constant = np.ones_like(z)  # tells nothing, and must take nothing away
    axes = covariate_axes(np.stack([z, z, constant], axis=-1))
    assert partial_spearman(x, y, axes) == pytest.approx(expected)
    assert np.isnan(partial_spearman(z, y, axes)).all()
    assert spearman_brown(np.array([0.5, -0.2])) == pytest.approx([2 / 3, 0])
    assert holm([0.01, np.nan, 0.04, 0.03]) == pytest.approx(
        [0.03, np.nan, 0.06, 0.06], nan_ok=True
    )


def bins(count: int = 2, per_bin: int = 40, width: float = 0.1) -> tuple[Bin, ...]:
    def mean_ms(codes: np.ndarray) -> np.ndarray:
        return SPACE.macs(codes) / 1e6

    return draw_bins(SPACE, mean_ms, count=count, per_bin=per_bin, width=width, seed=0)


def test_bins_are_narrow_and_hold_different_networks():
    found = bins(3, 50, 0.08)
    for group in found:
        assert group.high_ms / group.low_ms == pytest.approx(1.08)
        assert len(set(group.subnets)) == 50
        macs = SPACE.macs(np.stack([*map(SPACE.encode, group.subnets)])) / 1e6
        assert macs == pytest.approx(group.latency_ms)
        assert group.low_ms <= macs.min() <= macs.max() < group.high_ms
    assert all(one.high_ms < two.low_ms for one, two in pairwise(found))
    with pytest.raises(HwsearchError, match="Use --bins 1 to"):
        bins(90)
    with pytest.raises(HwsearchError, match="Use --per-bin"):
        bins(2, 9000)


def planted(images: int, spread: float) -> tuple[Study, list[np.ndarray]]:
    """Networks of known quality, judged on so many images, and rankings that know it or do not."""
    rng, groups, truths = np.random.default_rng(1), [], []
    for group in bins(2, 80):
        truth = 0.6 + spread * rng.normal(size=80)
        correct = rng.random((80, images)) < truth[:, None]
        log_loss = np.where(correct, 0.2, 2.0).astype(np.float32)
        verdicts = tuple((ClassVerdict(*told),) for told in zip(correct, log_loss, strict=True))
        distances = {"projection": -truth, "random": rng.random(80), "two": np.arange(80.0) % 2}
        groups.append(Group(group, distances, verdicts))
        truths.append(truth)
    return Study(SPACE, "projection", tuple(groups)), truths


def of(findings: tuple[Finding, ...], distance: str) -> Finding:
    (found,) = (
        one
        for one in findings
        if (one.measure, one.where, one.distance) == ("accuracy", MEAN, distance)
    )
    return found


def test_a_ranking_that_knows_the_truth_reaches_the_ceiling_and_beats_chance():
    study, _ = planted(images=400, spread=0.04)
    findings = analyse(study, draws=200)
    first, chance, ridge = (of(findings, name) for name in ("projection", "random", "ridge"))
    assert first.ceiling.value < 0.97  # the images are few enough to matter
    assert first.of_ceiling == pytest.approx(1, abs=0.06)
    assert first.rho.low < first.rho.value < first.rho.high
    assert first.partial.value == pytest.approx(first.rho.value, abs=0.1)
    assert chance.rho.low < 0 < chance.rho.high
    assert chance.ahead.value == pytest.approx(first.rho.value - chance.rho.value)
    assert chance.ahead.low > 0.4 and chance.p_holm < 0.05
    assert ridge.ahead.low > 0  # sizes say nothing here
    assert first.regret.value < 0.01 < chance.regret.value


@pytest.mark.parametrize("spread", [0.0, 0.05])
def test_where_networks_do_not_differ_the_ceiling_is_low_and_that_is_said(spread, capsys):
    study, _ = planted(images=400, spread=spread)
    findings = analyse(study, ridge=False, draws=100)
    assert (of(findings, "projection").ceiling.value < BLUNT) == (not spread)
    chance = of(findings, "random").regret
    assert (chance.low < 0 < chance.high) == (not spread)
    show_findings(findings, "planted")
    said = capsys.readouterr().out
    assert ("By accuracy these images hardly tell networks" in said) == (not spread)


def test_equally_liked_networks_count_alike_in_whatever_order_they_are_listed():
    study, _ = planted(images=400, spread=0.05)
    turned = [
        Group(
            replace(one.bin, subnets=one.bin.subnets[::-1], latency_ms=one.bin.latency_ms[::-1]),
            {name: values_S[::-1] for name, values_S in one.distances.items()},
            one.verdicts[::-1],
        )
        for one in study.groups
    ]
    found, again = (
        of(analyse(one, ridge=False, draws=100), "two").regret
        for one in (study, replace(study, groups=tuple(turned)))
    )
    assert found.value == pytest.approx(again.value)
    assert found.low < found.value < found.high


def test_a_ridge_that_learned_from_chance_prefers_nothing():
    (group,) = bins(1, 12)
    rng, rho = np.random.default_rng(0), []
    for _ in range(40):
        results_S = rng.normal(size=12)
        told_S = _left_out_ridge(SPACE, Group(group, {}, ()), results_S)
        rho.append(spearman(-told_S[None], results_S[None])[0])
    assert abs(np.mean(rho)) < 0.2  # with the mean of what it learned from: -0.38


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_checkpoint(tmp_path / "run")
    write_table(tmp_path / "tables", "onnxruntime")
    return tmp_path


def test_bins_are_journaled_first_and_a_killed_study_goes_on_with_its_own_options(folder, capsys):
    assert main(WORDS.split()) == 0
    said = capsys.readouterr().out
    assert said.index("bin 1: 4 networks") < said.index("Noise ceiling") < said.index("ranking")
    journal = folder / "out" / FILE
    whole = journal.read_bytes()
    _, rows = read_journal(journal, KIND)
    assert [row["low_ms"] < row["high_ms"] for row in rows[0]["bins"]] == [True, True]
    assert sum("distance" in row for row in rows) == 3 * 8
    assert sum("verdict" in row for row in rows) == 8
    summary = (folder / "out" / CSV).read_bytes()
    with (folder / "out" / CSV).open() as file:
        table = list(csv.DictReader(file))
    assert len(table) == 2 * 3 * 4  # measures, bins and their mean, rankings
    assert (folder / "out" / "correlation.png").stat().st_size > 10_000
    lines = whole.splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:15]) + lines[15][:30])  # as a kill leaves it
    assert main(WORDS.split()) == 0
    _, again = read_journal(journal, KIND)
    assert [_unit(row) for row in again] == [_unit(row) for row in rows]
    assert (folder / "out" / CSV).read_bytes() == summary
    capsys.readouterr()
    assert main([*WORDS.split(), "--seed", "1", "--per-bin", "6"]) == 2
    said = capsys.readouterr().err
    assert "seed: 0, now 1" in said and "per_bin: 4, now 6" in said


def _unit(row: dict) -> dict:
    return {name: value for name, value in row.items() if name != "seconds"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("--bins 70", "Use --bins 1 to"),
        ("--per-bin 4000", "Use --per-bin"),
        ("--bin-width 0.2", "--bin-width 0.2 is not above 0 and up to 0.1"),
        ("--per-bin 2", "--per-bin 2 is too small"),
        ("--seed -1", "--seed must be 0 or more, not -1"),
        ("--data nowhere", "nowhere"),
        ("--images nowhere", "nowhere"),
        ("--table nowhere", "nowhere"),
        ("--folds 30", "fewer than 30 folds"),
        ("--distances naswto", "Did you mean naswot"),
    ],
)
def test_what_cannot_be_studied_is_refused_in_one_line(folder, capsys, change, message):
    assert main([*WORDS.split(), *change.split()]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


def test_results_on_another_domain_are_a_control(folder, capsys):
    words = [*WORDS.split(), "--bins", "1", "--out"]
    elsewhere = [*words, "elsewhere", "--data", str(write_images(folder / "images", 60, classes=6))]
    assert main([*elsewhere, "--seeds", "0", "1"]) == 0
    lines = (folder / "elsewhere" / FILE).read_bytes().splitlines(keepends=True)
    (folder / "elsewhere" / FILE).write_bytes(b"".join(lines[:-1]))  # one lacks the second seed
    assert main([*elsewhere, "--judge", "linear"]) == 0
    found = ["--foreign", "sklearn:digits", "--others", "elsewhere"]
    assert main([*words, "study", *found]) == 0
    with (folder / "study" / CSV).open() as file:
        rows = [row for row in csv.DictReader(file) if row["measure"] == "log_loss"]
    rho = {row["distance"].split()[0]: float(row["rho"]) for row in rows}
    assert rho["foreign"] == rho["projection"]
    expected = spearmanr(*(log_losses(folder / name) for name in ("study", "elsewhere"))).statistic
    assert rho["other"] == pytest.approx(expected, rel=1e-5)
    for change, message in (
        ("--seed 1", "of other networks"),
        ("--judge finetune", "lacks verdicts of --judge finetune"),
        ("--others study", "of the same labelled images"),
        ("--limit 50 --others study", "same labelled images"),
    ):
        assert main([*words, message, *found, *change.split()]) == 2
        assert message in capsys.readouterr().err


def log_losses(study: Path) -> list[float]:
    """Returns what the judge of both studies said by the seed of both."""
    _, rows = read_journal(study / FILE, KIND)
    unit = ("knn", 0)
    told = [row["verdict"] for row in rows if (row.get("judge"), row.get("seed")) == unit]
    return [unpack(one).score("log_loss") for one in told]
