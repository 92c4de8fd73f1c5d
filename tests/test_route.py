"""Routing: a task goes to the leaf of images like its own, and what the ranking says."""

import csv
import json
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from sdr import KINDS, make, path_options, whole_options, write_kinds
from searches import write_table

from hwsearch.checkpoint import load_run
from hwsearch.clusters.files import ASSIGNMENTS, read_clusters
from hwsearch.errors import HwsearchError
from hwsearch.routing.cluster import ClusterOptions, cluster
from hwsearch.routing.networks import PathRun
from hwsearch.routing.ranking import Scores, is_above_chance
from hwsearch.routing.route import FILE, RouteOptions, route
from hwsearch.routing.verdicts import Ranking, write_ranking
from hwsearch.search.front import read_front
from hwsearch.search.options import SearchOptions
from hwsearch.search.run import search
from hwsearch.train import train


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("route")
    whole = make(folder)
    train(path_options(whole, folder / "tree", folder / "paths"))
    write_kinds(folder / "task", 12, seed=7)
    return folder


def options(made, out, **changes):
    given = {"checkpoint": made / "paths", "clusters": made / "tree", "task": str(made / "task")}
    return RouteOptions(**given | {"out": out, "splits": 2} | changes)


def leaf_of_kind(made, kind):
    with (made / "tree" / ASSIGNMENTS).open() as file:
        leaves = [row["leaf"] for row in csv.DictReader(file) if f"kind{kind}/" in row["image"]]
    ((leaf, count),) = Counter(leaves).most_common(1)
    assert count > len(leaves) / 2
    return leaf


def ranking_of(out):
    with (out / "ranking.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("kind", range(len(KINDS)))
def test_images_without_labels_go_to_the_leaf_of_images_like_them(made, tmp_path, kind):
    pick = route(options(made, tmp_path / "out", task=str(made / "task" / f"kind{kind}")))
    assert pick.network == leaf_of_kind(made, kind)
    run = load_run(made / "paths")
    chosen = run.space.parse(pick.subnet)
    assert [chosen["path1"], chosen["path2"]] == pick.network.split(".")
    assert pick.checkpoint == str(made / "paths")
    rows = ranking_of(tmp_path / "out")
    assert len(rows) == 5 and rows[0]["network"] == pick.network
    assert json.loads((tmp_path / "out" / "pick.json").read_text())["subnet"] == pick.subnet


def test_a_routed_path_is_cut_to_a_budget(made, tmp_path, capsys):
    whole = whole_options(made / "images", made / "whole")
    run = train(path_options(whole, made / "tree", tmp_path / "shrunk", shrink_paths=True))
    task, space = str(made / "task" / "kind0"), load_run(run).space
    pick = route(options(made, tmp_path / "route", checkpoint=run, task=task))
    (fixed,) = re.findall(r"--fixed (\S+)", capsys.readouterr().out)
    table = write_table(tmp_path, "onnxruntime", space=space)
    given = {"tables": (str(table),), "images": task, "evaluations": 12, "stop_gain": 0.0}
    given |= {"teacher": "max"}
    found = search(SearchOptions(checkpoint=run, fixed=fixed, out=tmp_path / "s", **given))
    chosen = space.parse(pick.subnet)
    points = read_front(found)
    assert len(points) > 1 and all(
        point.subnet[name] == chosen[name] for point in points for name in ("path1", "path2")
    )
    assert points[-1].distance == pytest.approx(0, abs=1e-6)  # the leaf at its full size
    with pytest.raises(HwsearchError, match="--shrink-paths"):
        search(SearchOptions(checkpoint=made / "paths", fixed=fixed, out=tmp_path / "no", **given))


def test_images_of_all_kinds_stay_with_the_whole_network(made, tmp_path):
    pick = route(options(made, tmp_path / "out"))
    assert (pick.network, pick.subnet) == ("whole", "max")
    assert pick.checkpoint == str(made / "whole")
    assert load_run(made / "whole").space.parse(pick.subnet)


@pytest.mark.parametrize(("sizes", "judged"), [([40, 0, 0, 0], "ema"), ([10] * 4, "online")])
def test_a_pick_names_the_weights_that_were_judged(made, tmp_path, capsys, sizes, judged):
    paths = PathRun.of(load_run(made / "paths"), read_clusters(made / "tree"))
    of_whole = "online" if judged == "ema" else "ema"
    paths = replace(paths, clusters=replace(paths.clusters, weights=of_whole))
    shares = Scores(np.hstack([np.eye(4), np.full((4, 1), 0.25)]), counts_N=np.array(sizes))
    pick = write_ranking(Ranking(paths, judged, shares, None, None), tmp_path)
    assert pick.weights == json.loads((tmp_path / "pick.json").read_text())["weights"] == "ema"
    assert f"--subnet {pick.subnet} --weights ema --images" in capsys.readouterr().out


def test_labels_decide_where_there_are_some(made, tmp_path, capsys):
    pick = route(options(made, tmp_path / "out", labelled=str(made / "task")))
    rows = ranking_of(tmp_path / "out")
    accuracies = [float(row["accuracy"]) for row in rows]
    assert accuracies == sorted(accuracies, reverse=True)
    assert rows[0]["network"] == pick.network
    assert sum(float(row["best"]) for row in rows) == pytest.approx(1, abs=0.01)
    assert "On images that did not choose" in capsys.readouterr().out


@pytest.mark.parametrize("kept", [1, 2, 6])
def test_a_killed_run_goes_on_to_the_same_ranking(made, tmp_path, kept):
    whole = options(made, tmp_path / "whole", labelled=str(made / "task"))
    again = replace(whole, out=tmp_path / "again")
    picks = [route(whole)]
    lines = (whole.out / FILE).read_bytes().splitlines(keepends=True)
    again.out.mkdir()
    (again.out / FILE).write_bytes(b"".join(lines[:kept]) + lines[kept][:20])
    if kept > 1:
        (again.out / "features.npy").write_bytes((whole.out / "features.npy").read_bytes())
    picks.append(route(again))
    assert picks[0] == picks[1]
    for name in (FILE, "ranking.csv", "pick.json"):
        assert (again.out / name).read_bytes() == (whole.out / name).read_bytes(), name


def test_what_does_not_fit_is_refused(made, tmp_path):
    out = tmp_path / "out"
    write_kinds(tmp_path / "few", 1)
    tree = ClusterOptions(
        checkpoint=made / "whole",
        images=str(made / "images"),
        out=tmp_path / "tree",
        children=2,
        levels=2,
        seed=1,
    )
    cluster(tree)
    for changes, message in [
        ({"checkpoint": made / "whole"}, "this run trained no paths"),
        ({"clusters": tree.out}, "were trained on another tree"),
        ({"task": str(tmp_path / "few")}, "needs 8 images or more; there are 4"),
        ({"splits": 0}, "--splits 0 is less than 1"),
        ({"seed": -1}, "--seed -1 is less than 0"),
        ({"labelled": str(made / "task" / "kind0")}, "have no label|one class"),
    ]:
        with pytest.raises(HwsearchError, match=message):
            route(options(made, out, **changes))
    (made / "tree" / "norms.safetensors").rename(tmp_path / "norms")
    with pytest.raises(HwsearchError, match=r"cannot be read.*hwsearch cluster again"):
        route(options(made, tmp_path / "without"))
    (tmp_path / "norms").rename(made / "tree" / "norms.safetensors")


def test_leaves_of_shuffled_images_need_labels(made, tmp_path):
    whole = make(tmp_path)
    shuffled = path_options(whole, tmp_path / "tree", tmp_path / "paths", shuffle_clusters=True)
    train(shuffled)
    told = options(tmp_path, tmp_path / "out", task=str(made / "task"))
    with pytest.raises(HwsearchError, match=r"dealt at random tell nothing.*--labelled"):
        route(told)


def test_the_best_of_many_equal_networks_is_not_called_better():
    rng = np.random.default_rng(0)
    scores = Scores((rng.random((300, 20)) < 0.6).astype(float))
    choice, control = scores.of_choice(0)
    assert scores.means_C.max() > 0.63
    assert choice == pytest.approx(0.6, abs=0.03) and control == pytest.approx(0.6, abs=0.03)
    assert scores.best_C.sum() == pytest.approx(1)
    low, high = scores.intervals_2C
    assert (low < scores.means_C).all() and (scores.means_C < high).all()


@pytest.mark.parametrize("leaves", [4, 16, 256])
def test_a_leaf_is_hardly_ever_above_chance_by_chance(leaves):
    rng, even = np.random.default_rng(0), np.full(leaves, 1 / leaves)
    assert np.mean([is_above_chance(rng.multinomial(300, even)) for _ in range(400)]) < 0.05
    assert is_above_chance(np.eye(leaves, dtype=int)[0] * 40 + round(260 / leaves))


def test_images_that_say_the_same_are_counted():
    counts = np.array([70, 20, 10])
    one_by_one = Scores(np.repeat(np.eye(3), counts, axis=0))
    counted = Scores(np.eye(3), counts_N=counts)
    assert counted.means_C == pytest.approx(one_by_one.means_C)
    assert counted.intervals_2C == pytest.approx(one_by_one.intervals_2C, abs=0.015)


def test_a_better_network_is_found():
    rng = np.random.default_rng(0)
    better = (rng.random((300, 3)) < [0.5, 0.5, 0.8]).astype(float)
    scores = Scores(better)
    assert scores.best_C[2] > 0.99
    choice, control = scores.of_choice(0)
    assert choice - control > 0.2
