"""Statistics of a study: as scipy has them, and true where the truth is known."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsers import EVIL, browser, opened
from scipy.stats import kendalltau, spearmanr
from searches import write_table
from studies import invented, networks, options_of

from hwsearch.latency.table import Table
from hwsearch.study.depths import depth_effects, late_to_early
from hwsearch.study.findings import find
from hwsearch.study.latencies import read_latencies
from hwsearch.study.regrets import CHANCE, find_regrets
from hwsearch.study.run import PAGE, give
from hwsearch.study.show import conclusions
from hwsearch.study.sources import source_effects
from hwsearch.study.statistics import (
    Draws,
    across_seeds,
    correlate_tasks,
    kendall,
    stepped_up,
)
from hwsearch.study.winners import EVERYWHERE, bins_of, find_winners

__all__ = ["browser"]


def scores(S: int, K: int, rho: float, *, run: float, alone: float, seed: int) -> np.ndarray:
    """Two tasks of a known correlation, seen through noise of a run and of each task."""
    rng = np.random.default_rng(seed)
    truth = rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], S)
    shared = run * rng.normal(size=(S, K, 1))
    return truth[:, None] + shared + alone * rng.normal(size=(S, K, 2))


def test_correlations_are_those_of_scipy_and_of_brute_force() -> None:
    rng = np.random.default_rng(0)
    scores_SKT = rng.integers(0, 12, (30, 3, 4)).astype(float)
    draws = Draws.make(30, 3, 5, seed=1)
    means_RST = draws.means(scores_SKT)
    assert means_RST[0] == pytest.approx(scores_SKT.mean(1))
    for r, means_ST in enumerate(means_RST):
        again = [
            [scores_SKT[s, draws.seeds_RSK[r, at], t].mean() for t in range(4)]
            for at, s in enumerate(draws.rows_RS[r])
        ]
        assert means_ST == pytest.approx(np.array(again))
        for i, j in np.ndindex(4, 4):
            assert kendall(means_RST[[r]])[0, i, j] == pytest.approx(
                kendalltau(means_ST[:, i], means_ST[:, j]).statistic
            )
    found = across_seeds(scores_SKT, draws.rows_RS[:1])[0]
    for i, j in np.ndindex(4, 4):
        each = [
            spearmanr(scores_SKT[:, k, i], scores_SKT[:, other, j]).statistic
            for k in range(3)
            for other in range(3)
            if k != other
        ]
        assert found[i, j] == pytest.approx(np.mean(each))
    assert stepped_up(np.array([0.5, -1.0]), 2) == pytest.approx([2 / 3, 0])


@pytest.mark.parametrize("run", [0.0, 0.7])
@pytest.mark.parametrize("rho", [0.0, 0.6])
def test_disattenuation_recovers_the_truth_that_noise_hides(rho: float, run: float) -> None:
    scores_SKT = scores(1200, 2, rho, run=run, alone=0.8, seed=3)
    draws = Draws.make(1200, 2, 10, seed=0)
    (one, two), (pair,) = correlate_tasks("accuracy", ("a", "b"), scores_SKT, draws)
    expected = 1 / (1 + 0.8**2 + run**2)
    assert one.retest.value == pytest.approx(expected, abs=0.06)
    assert two.reliability.value == pytest.approx(2 * expected / (1 + expected), abs=0.06)
    assert pair.disattenuated.value == pytest.approx(rho, abs=0.12)
    if run and not rho:  # noise that a run gives to both tasks looks like agreement
        assert pair.spearman.low > 0.08
    if rho and not run:
        assert pair.spearman.value < 0.85 * rho


def test_intervals_hold_the_truth_and_one_seed_has_no_ceiling() -> None:
    inside = 0
    for seed in range(20):
        scores_SKT = scores(40, 2, 0.6, run=0.3, alone=0.3, seed=seed)
        draws = Draws.make(40, 2, 200, seed=seed)
        _, (pair,) = correlate_tasks("accuracy", ("a", "b"), scores_SKT, draws)
        inside += pair.disattenuated.low <= 0.58 <= pair.disattenuated.high
    assert inside >= 16
    (ceiling, _), (pair,) = correlate_tasks(
        "accuracy", ("a", "b"), scores_SKT[:, :1], Draws.make(40, 1, 100, seed=0)
    )
    assert np.isnan([ceiling.retest.value, pair.disattenuated.value]).all()
    assert pair.spearman.low < pair.spearman.value < pair.spearman.high


def test_a_winner_counts_only_beyond_the_noise_of_images_and_runs() -> None:
    quality = np.full((6, 2, 1), 0.5)
    quality[0] = 0.8
    (clear,) = find_winners(invented(quality), "accuracy", bins=1, draws=400, seed=0)
    assert clear.counts and clear.winner == networks(6)[0].label
    equal = [
        next(
            find_winners(
                invented(np.full((6, 2, 1), 0.5), seed=n), "accuracy", bins=1, draws=200, seed=0
            )
        )
        for n in range(8)
    ]
    assert sum(one.counts for one in equal) <= 1
    noisy = quality + 0.35 * np.random.default_rng(0).choice([-1, 1], (6, 2, 1))
    (unsure,) = find_winners(invented(noisy), "accuracy", bins=1, draws=400, seed=0)
    assert not unsure.counts
    (alone,) = find_winners(invented(quality[:, :1]), "accuracy", bins=1, draws=100, seed=0)
    assert not alone.counts and alone.ahead.value > 0.2


def test_winners_are_told_in_bins_of_parameters_too() -> None:
    quality = np.random.default_rng(0).uniform(0.3, 0.8, (12, 2, 2))
    results = invented(quality)
    found = list(find_winners(results, "log_loss", bins=3, draws=100, seed=0))
    wheres = list(dict.fromkeys(one.where for one in found))
    assert wheres[0] == EVERYWHERE and len(wheres) == 4
    params = {one.label: one.params for one in results.networks}
    for one in found:
        if one.where != EVERYWHERE:
            low, high = (float(x) for x in one.where.split(" M ")[0].split(" to "))
            assert 0.99 * low <= params[one.winner] / 1e6 <= 1.01 * high


def test_bins_of_networks_of_one_size_are_told_apart() -> None:
    results = invented(np.random.default_rng(0).uniform(0.3, 0.8, (12, 2, 1)))
    same = replace(results, networks=tuple(replace(one, params=7) for one in results.networks))
    places = list(bins_of(same, 3).values())
    assert sorted(np.concatenate(places[1:])) == places[0] == list(range(12))


def test_a_task_on_which_all_score_alike_is_told_without_a_correlation(tmp_path: Path) -> None:
    quality = np.full((8, 2, 2), 2.0)  # all are always right
    told = conclusions(find(invented(quality), {}, options_of(tmp_path)))
    assert "ρ between tasks: none, as networks score alike." in told
    assert not any("nan" in line for line in told)


def test_regret_is_what_the_choice_of_another_task_loses() -> None:
    quality_ST = np.random.default_rng(1).permuted(
        np.repeat(np.linspace(0.2, 0.9, 8)[:, None], 3, axis=1), axis=0
    )
    results = invented(np.repeat(quality_ST[:, None], 2, axis=1), images=2000)
    means_ST = results.scores["accuracy"].mean(1)
    found = list(find_regrets(results, "accuracy", draws=100, seed=0))
    told = {(one.chooser, one.task): one for one in found}
    for i, chooser in enumerate(results.tasks):
        taken = means_ST[:, i].argmax()
        for j, task in enumerate(results.tasks):
            one = told[chooser, task]
            assert one.regret.value == pytest.approx(means_ST[:, j].max() - means_ST[taken, j])
            assert one.network == results.networks[taken].label
    assert told[CHANCE, "task 0"].regret.value == pytest.approx(
        means_ST[:, 0].max() - means_ST[:, 0].mean()
    )


@pytest.mark.parametrize("seeds", [1, 2])
def test_nothing_is_lost_where_networks_are_equal_but_for_luck(seeds: int) -> None:
    luck = 0.03 * np.random.default_rng(0).normal(size=(40, seeds, 1)) * (seeds > 1)
    results = invented(np.full((40, seeds, 3), 0.5) + luck, images=1000)
    found = list(find_regrets(results, "accuracy", draws=100, seed=0))
    assert {one.task for one in found} == set(results.tasks)
    assert abs(np.mean([one.regret.value for one in found])) < 0.02  # the best leads by 0.1
    assert sum(one.regret.low > 0 for one in found) <= 2


def test_a_planted_effect_of_late_depth_is_found() -> None:
    ratio = np.array([late_to_early(one) for one in networks(40)])
    assert len(set(ratio)) > 4
    quality = 0.3 + 0.3 * (ratio - ratio.min()) / np.ptp(ratio)
    results = invented(np.repeat(quality[:, None, None], 2, axis=1), images=2000)
    (found,) = depth_effects(results, "accuracy", draws=100, seed=0)
    assert found.rho.low > 0.6
    assert found.networks == 40


def test_what_the_source_task_tells_of_each_family() -> None:
    source, rank = "task 0", np.linspace(0.3, 0.8, 16)
    quality = np.stack([rank, rank, np.random.default_rng(0).permutation(rank)], axis=1)
    results = invented(np.repeat(quality[:, None], 2, axis=1), images=2000)
    alike, unlike = source_effects(results, "accuracy", source, draws=100, seed=0)
    assert (alike.family, alike.networks, alike.task) == ("bottleneck-32", 16, "task 1")
    assert alike.rho.low > 0.9 and unlike.rho.low < 0.5
    few = invented(np.repeat(quality[:7, None], 2, axis=1))
    assert not [*source_effects(few, "accuracy", source, draws=100, seed=0)]
    assert not [*source_effects(results, "accuracy", "photos", draws=100, seed=0)]


def test_latency_is_measured_where_a_table_has_the_network_else_predicted(tmp_path: Path) -> None:
    table = Table.read(write_table(tmp_path, "onnxruntime"))
    found = read_latencies([table], networks(6))
    by_how = {latency.how for latency in found.values()}
    assert by_how == {"measured", "predicted"}  # the smallest and the largest have rows
    assert all(latency.ms > 0 for latency in found.values())


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a study whose tasks have a name that is HTML."""
    out = tmp_path_factory.mktemp("study")
    quality = np.random.default_rng(0).uniform(0.3, 0.8, (8, 2, 3))
    results = invented(quality, tasks=("birds", EVIL, "signs"))
    options = options_of(out, source_task="")
    give(find(results, {}, options), options)
    return out


def test_everything_is_written_and_agrees(reported: Path) -> None:
    names = {path.name for path in reported.iterdir()}
    assert {"accuracy.csv", "runs.csv", "correlations.csv", "winners.csv", "regrets.csv"} <= names
    assert {"heat_map.png", "ranks.png", "study.json"} <= names
    told = json.loads((reported / "study.json").read_text())
    assert len(told["networks"]) == 8 and len(told["pairs"]) == 2 * 3
    assert (reported / "correlations.csv").read_text().count("\n") == 1 + len(told["pairs"])


def test_nothing_of_an_earlier_run_stays(reported: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(reported, tmp_path / "out"))
    options = options_of(out, source_task="")
    give(find(invented(np.full((2, 2, 1), 0.5)), {}, options), options)
    assert {path.name for path in out.iterdir()} == {"accuracy.csv", "runs.csv", "study.json"}


def test_the_page_works_offline_in_light_and_dark(reported: Path, browser: Any) -> None:
    with opened(browser, reported / PAGE) as page:
        page.wait_for_selector("#networks tr[data-network]")
        assert page.locator("#networks tr[data-network]").count() == 8
        assert page.evaluate("document.getElementById('ranks').data.length") == 8
        assert page.evaluate("document.getElementById('heat').data[0].z.length") == 3
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 24, 29)"
        page.click("#theme")
        assert (
            page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        )
        page.select_option("#measure", "log_loss")
        page.select_option("#kind", "kendall")
        assert "Kendall" in page.text_content("#heat-title")
        page.click("#networks tr[data-network] >> nth=2")
        assert "bottleneck-32[" in page.text_content("#ranks-note")
        page.click("#networks th >> text=parameters")
        assert (
            page.evaluate("document.querySelectorAll('img, b').length + typeof pwned")
            == "0undefined"
        )
        assert EVIL in page.text_content("#winners")
