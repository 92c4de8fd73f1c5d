"""hwsearch choose: planted answers, exact resuming, one more task, paths and learned networks."""

import csv
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from browsers import EVIL, browser, opened
from scipy.stats import spearmanr
from sdr import make, path_options, write_kinds
from searches import SPACE, write_checkpoint, write_table

from hwsearch.checkpoint import Run, load_run
from hwsearch.choice.answers import CSV, MEAN, Answer
from hwsearch.choice.gather import KIND
from hwsearch.choice.options import ChooseOptions
from hwsearch.choice.page import choice_page
from hwsearch.choice.pools import SUPERNET, Pool, draw_networks
from hwsearch.choice.regret import Chosen, choose_all, over_tasks
from hwsearch.choice.run import choose
from hwsearch.choice.selectors import ORACLE, RANDOM
from hwsearch.choice.targets import conditions_of
from hwsearch.cli import main
from hwsearch.correlation.analysis import Interval
from hwsearch.errors import HwsearchError
from hwsearch.evaluate.named import NamedTask
from hwsearch.evaluate.verdict import ClassVerdict, values
from hwsearch.journal import read_journal
from hwsearch.latency.fit import fit_latency
from hwsearch.latency.table import Table
from hwsearch.spaces import get_space
from hwsearch.train import train

__all__ = ["browser"]

TABLE = "tables/made-up/bottleneck-32-onnxruntime-fp32-b1-t2.jsonl"
WORDS = (
    f"choose --checkpoint run --tables {TABLE} --tasks digits=sklearn:digits --networks 6 "
    "--max-images 16 --limit 60 --folds 2 --judge knn --draws 100 --budgets 2 "
    "--selectors auto parameters --teacher max --out out"
)


def planted(truth_C: np.ndarray, images: int = 300) -> tuple[tuple[ClassVerdict, ...], ...]:
    """Verdicts on networks that tell the class of an image so often."""
    correct = np.random.default_rng(3).random((len(truth_C), images)) < truth_C[:, None]
    log_loss = np.where(correct, 0.2, 2.0).astype(np.float32)
    return tuple((ClassVerdict(*told),) for told in zip(correct, log_loss, strict=True))


def chosen_by(verdicts, liked: dict[str, np.ndarray], within_C: np.ndarray) -> dict[str, Chosen]:
    def oracle(weights_RN, within, measure):
        return values(verdicts, measure, weights_RN)

    prefers = {name: (lambda w, c, m, row=row: row[None]) for name, row in liked.items()}
    found = choose_all(verdicts, {ORACLE: oracle} | prefers, within_C, draws=100, seed=0)
    return {one.selector: one for one in found}


def test_regret_of_planted_networks():
    truth_C = np.array([0.3, 0.9, 0.5, 0.6, 0.7, 0.8])
    within_C = truth_C != 0.9  # the best is too slow
    verdicts = planted(truth_C)
    liked = {"knows": truth_C, RANDOM: np.zeros(6), "wrong": -truth_C, "none": -np.inf * truth_C}
    found = chosen_by(verdicts, liked, within_C)
    assert set(found) == {ORACLE, "knows", RANDOM, "wrong"}
    seen_C = np.array([one.score("accuracy") for (one,) in verdicts])
    assert (found[ORACLE].regret["accuracy"] == 0).all()
    assert found["knows"].network == 5 and found["wrong"].network == 0
    expected = {
        "knows": 0,
        RANDOM: seen_C[5] - seen_C[within_C].mean(),
        "wrong": seen_C[5] - seen_C[0],
    }
    for name, value in expected.items():
        assert found[name].regret["accuracy"][0] == pytest.approx(value, abs=0.02)
    assert found["knows"].rho[0] > 0.9 and found["wrong"].rho[0] < 0
    assert np.isnan(found[RANDOM].rho[0])
    losses_C = np.array([one.score("log_loss") for (one,) in verdicts])[within_C]
    assert found["knows"].rho[0] == pytest.approx(-spearmanr(truth_C[within_C], losses_C)[0])


def test_the_oracle_is_best_in_each_measure_where_they_disagree():
    rng = np.random.default_rng(0)
    correct = rng.random((2, 400)) < [[0.9], [0.6]]
    log_loss = np.array([[2.0], [1.0]], "f4").repeat(400, axis=1)  # right more often, less sure
    verdicts = tuple((ClassVerdict(*told),) for told in zip(correct, log_loss, strict=True))
    found = chosen_by(verdicts, {"first": np.array([1.0, 0.0])}, np.ones(2, bool))["first"]
    assert found.regret["accuracy"][0] == 0 and found.regret["log_loss"][0] == pytest.approx(1)


def test_the_oracle_gains_nothing_where_networks_do_not_differ():
    found = chosen_by(planted(np.full(40, 0.6), 500), {RANDOM: np.zeros(40)}, np.ones(40, bool))
    assert abs(found[RANDOM].regret["accuracy"][0]) < 0.02  # the best of 40 on all: 5 points
    told = over_tasks([found[RANDOM].regret["accuracy"]] * 3, seed=0)
    assert told.low < 0 < told.high


def test_networks_are_drawn_evenly_over_latency(tmp_path):
    table = Table.read(write_table(tmp_path, "onnxruntime"))
    drawn = draw_networks(table, SPACE, 12, seed=0)
    assert len(set(drawn)) == 12
    codes = np.stack([SPACE.encode(subnet) for subnet in drawn])
    gaps = np.diff(np.log(fit_latency(table, SPACE).mean_ms(codes)))
    assert gaps == pytest.approx(gaps.mean(), rel=0.3)


def test_conditions_differ_by_pace_and_have_one_table_of_a_space(tmp_path):
    table = Table.read(write_table(tmp_path, "onnxruntime"))
    paced = replace(table, header=replace(table.header, pace_hz=30), path=tmp_path / "paced.jsonl")
    paced.write()
    drawn = {str(one): one for one in draw_networks(table, SPACE, 6, seed=0)}
    pool = Pool(SUPERNET, None, SPACE, drawn)  # pyright: ignore[reportArgumentType]
    ask = partial(conditions_of, pools=[pool], budgets_ms=(), budgets=2)
    assert len({one.name for one in ask([table, paced])}) == 2
    with pytest.raises(HwsearchError, match="two of --tables are of space 'bottleneck-32'"):
        ask([table, table])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_checkpoint(tmp_path / "run")
    write_table(tmp_path / "tables", "onnxruntime")
    return tmp_path


def answers_in(folder: Path) -> list[dict[str, str]]:
    with (folder / "out" / CSV).open() as file:
        return list(csv.DictReader(file))


def said_in(path: Path) -> list[dict[str, object]]:
    rows = read_journal(path, KIND)[1]
    return [{name: told for name, told in row.items() if name != "seconds"} for row in rows]


def test_what_was_judged_is_not_judged_again_and_a_task_is_added(folder, capsys, monkeypatch):
    assert main(WORDS.split()) == 0
    said = capsys.readouterr().out
    assert "regret, points" in said and "best elsewhere" not in said
    rows = answers_in(folder)
    assert {row["selector"] for row in rows} == {
        *("projection", "projection to max", "parameters"),
        *(ORACLE, RANDOM),
    }
    assert len(rows) == 2 * 2 * 5  # limits, the task and the mean, selectors
    journals = [folder / "out/tasks/digits" / f"{name}.jsonl" for name in ("supernet", "scores")]
    first = [said_in(path) for path in journals]
    for path in journals:
        text = path.read_bytes()
        path.write_bytes(text[: len(text) * 2 // 3])  # as a kill leaves it
    assert main(WORDS.split()) == 0
    assert [said_in(path) for path in journals] == first
    whole = [path.read_bytes() for path in journals]
    assert answers_in(folder) == rows
    write_kinds(folder / "kinds", 8)
    monkeypatch.setattr("hwsearch.choice.gather._head", lambda judge, options: _only(8 * 4))
    assert main([*WORDS.replace("--tasks", "--tasks kinds").split()]) == 0
    assert [path.read_bytes() for path in journals] == whole
    again = answers_in(folder)
    assert {row["task"] for row in again} == {"digits", "kinds", MEAN}
    assert {row["selector"] for row in again} >= {"best elsewhere"}
    assert (folder / "out" / "choices.png").stat().st_size > 10_000


def test_the_page_works_offline_and_names_stay_names(tmp_path, browser):
    one = Interval(0.02, -0.01, 0.05, 0.3)
    told = [
        Answer(f"{EVIL}, fp32", budget, task, selector, selector == ORACLE, EVIL, 9, one, one, rho)
        for budget, rho in ((1.0, Interval(*[float("nan")] * 4)), (2.0, one))
        for task in (EVIL, MEAN)
        for selector in (ORACLE, EVIL, RANDOM)
    ]
    (tmp_path / "choices.html").write_text(choice_page(told, "9 networks, 1 tasks"))
    with opened(browser, tmp_path / "choices.html") as page:
        assert page.evaluate("document.getElementById('rho').data[1].x.length") == 2
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 24, 29)"
        page.click("#theme")
        page.select_option("#budget", "1")
        assert "too few to rank" in page.text_content("#within")
        page.select_option("#measure", "log_loss")
        assert "nats" in page.text_content("#choices-title")
        assert EVIL in page.text_content("#choices")
        assert page.evaluate("document.querySelectorAll('img, b').length + typeof pwned") == (
            "0undefined"
        )


def _only(images: int):
    """Nearest neighbours that have never seen another task."""

    def head(features, labels, asked):
        assert len(features) + len(asked) == images
        return np.log(np.full((len(asked), 4), 0.25))

    return head


def test_paths_and_learned_networks_are_chosen_among_too(tmp_path, monkeypatch):
    whole = make(tmp_path)
    train(path_options(whole, tmp_path / "tree", tmp_path / "paths"))
    write_kinds(tmp_path / "task", 12, seed=7)
    paths, plain = get_space(whole.space.partition("[")[0]), get_space("tiny-8")
    write_checkpoint(tmp_path / "run", space=plain)
    write_checkpoint(tmp_path / "alone", space=get_space("tiny-8[min]"))
    tables = [write_table(tmp_path, "onnxruntime", space=space) for space in (plain, paths)]
    given = {"checkpoint": tmp_path / "run", "tasks": (str(tmp_path / "task"),), "networks": 6}
    given |= {"learned": (tmp_path / "alone",), "draws": 100, "folds": 2, "out": tmp_path / "out"}
    given |= {"paths": tmp_path / "paths", "clusters": tmp_path / "tree", "budgets_ms": (100.0,)}
    given |= {"teacher": (), "device": "cpu"}
    found = choose(ChooseOptions(**given, tables=tuple(map(str, tables))))
    told = {one.selector: one for one in found if one.task == "task"}
    assert {"route-centroids", "route-knn", "learned", ORACLE, RANDOM} <= set(told)
    assert told["learned"].network.startswith("learned-1 tiny-8[")
    assert told["route-centroids"].network.startswith("paths ")
    assert [one.labels for one in map(told.get, ("route-knn", "route-centroids"))] == [True, False]
    assert told[RANDOM].within == 6 + 5 + 1
    assert 'device = "cpu"' in (tmp_path / "out/tasks/task/route/config.toml").read_text()
    with monkeypatch.context() as patch:
        patch.setattr("hwsearch.choice.pools.load_run", lambda path: _shuffled(load_run(path)))
        found = choose(ChooseOptions(**given, tables=tuple(map(str, tables))))
    assert {one.selector for one in found} == set(told) - {"route-centroids"}
    with pytest.raises(HwsearchError, match=r"space 'tiny-8\^2', which has no table"):
        choose(ChooseOptions(**given, tables=(str(tables[0]),)))


def _shuffled(run: Run) -> Run:
    """A run as if its images had been dealt to the leaves at random."""
    run.header.recipe["shuffle_clusters"] = True
    return run


def test_tasks_have_names_that_folders_can_have():
    assert NamedTask.parse("sklearn:digits") == NamedTask("digits", "sklearn:digits")
    assert NamedTask.parse("a/b/flowers/").name == "flowers"
    assert NamedTask.parse("x=a/test-*.tar") == NamedTask("x", "a/test-*.tar")
    for text in ("a/test-*.tar", "../=x", "..", "x="):
        with pytest.raises(HwsearchError, match="--tasks NAME=IMAGES"):
            NamedTask.parse(text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("--budgets-ms 0.00001", "no network of the supernet is within 1e-05 ms"),
        ("--budgets-ms -1", "--budgets-ms must be above 0"),
        ("--paths run", "--paths and --clusters belong together"),
        ("--tasks a=sklearn:digits a=sklearn:digits", "two tasks are named 'a'"),
        ("--tasks b=sklearn:digits", "'digits' and 'b' are of the same images"),
        ("--tasks nowhere", "nowhere"),
        ("--tables nowhere", "nowhere"),
        ("--selectors naswto", "Did you mean naswot"),
        ("--networks 2", "--networks 2 is too small"),
        ("--seed -1", "--seed must be 0 or more, not -1"),
        ("--folds 40", "fewer than 40 folds"),
    ],
)
def test_what_cannot_be_chosen_is_refused_in_one_line(folder, capsys, change, message):
    assert main([*WORDS.split(), *change.split()]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and message in said
