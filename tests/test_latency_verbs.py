"""The verbs table and predict, on the files of a device whose law is known."""

import csv
import subprocess
import sys
from dataclasses import replace

import pytest
from synthetic_device import HEADER, SyntheticDevice

from hwsearch.errors import HwsearchError
from hwsearch.heads import CALL
from hwsearch.latency.predict import PredictOptions, predict
from hwsearch.latency.show import Check, TableOptions, show_table
from hwsearch.latency.table import Table

NAME = HEADER.name


@pytest.fixture
def table(tmp_path) -> Table:
    table = SyntheticDevice().table(30, 20, folder=tmp_path)
    table.write()
    return table


def shown(table: Table, action: str = "show", other: str = "") -> object:
    return show_table(TableOptions(action, NAME, other, table.path.parents[1]))


def test_show_prints_facts_noise_accuracy_and_baselines(table, capsys):
    found = shown(table)
    said = capsys.readouterr().out
    assert found.predictor.n == 20
    for text in (
        "53 blocks, 30 networks as evidence, 20 held out",
        "53 of the 53 blocks",
        "1.0% (median)",
        "MACs only",
    ):
        assert text in said
    assert found.worst[0].subnet in said


def test_a_table_without_heldout_networks_can_be_shown(table, capsys):
    replace(table, rows=tuple(r for r in table.rows if r.split != "heldout")).write()
    assert shown(table) is None
    assert "nothing to judge" in capsys.readouterr().out


def test_check_passes_a_sound_table_and_names_marked_rows(table, capsys):
    first = replace(table.rows[0], flags=("noisy",))
    replace(table, rows=(first, *table.rows[1:])).write()
    found = shown(table, "check")
    assert isinstance(found, Check) and found.this_device and found.marked == (first,)
    said = capsys.readouterr().out
    assert f"noisy: {first.key}" in said and "The table is sound." in said


def test_check_tells_the_table_of_another_machine(table, capsys):
    elsewhere = {**table.header.fingerprint, "cpu": "Z80"}
    replace(table, header=replace(table.header, fingerprint=elsewhere)).write()
    assert not shown(table, "check").this_device
    assert "cpu differ" in capsys.readouterr().out


def test_what_ships_is_added_as_measured_and_never_guessed(table, capsys):
    head = replace(table.blocks[0], key="classifier(in=512,out=10,k=1,s=1)@1", latency_ms=0.25)
    call = replace(head, key=CALL.key, latency_ms=0.0001)
    replace(table, rows=(head, call, *table.rows)).write()
    assert shown(table, "check").problems == ()
    options = PredictOptions(table=NAME, subnet="max", tables_dir=table.path.parents[1])
    alone = predict(options).mean_ms[0]
    with_head = predict(replace(options, ships=("classifier:10",))).mean_ms[0]
    assert with_head == pytest.approx(alone + 0.25 - 0.0001)
    assert "+ 0.2499 ms: classifier" in capsys.readouterr().out
    with pytest.raises(HwsearchError, match=r"no measurement of preprocess.*--ships"):
        predict(replace(options, ships=("classifier:10", "camera:64")))


def test_check_refuses_foreign_and_double_rows_and_too_little_evidence(table):
    foreign = replace(table.rows[0], key="stem(in=3,out=9)@32")
    few = [row for row in table.rows if row.split != "evidence"]
    for rows, message in (
        ((*table.rows, foreign), "not of space 'bottleneck-32', such as stem"),
        ((*table.rows, table.rows[0]), "a row twice"),
        (few, "0 measured networks"),
    ):
        replace(table, rows=tuple(rows)).write()
        with pytest.raises(HwsearchError, match=message):
            shown(table, "check")


def test_diff_compares_matching_rows_and_says_that_they_are_not_paired(table, tmp_path, capsys):
    header = replace(table.header, threads=1, fingerprint={})
    rows = tuple(replace(row, latency_ms=1.5 * row.latency_ms) for row in table.rows[5:])
    path = tmp_path / "lawful" / f"{header.name}.jsonl"
    Table(path, header, rows).write()
    blocks, networks = shown(table, "diff", header.name)
    assert (blocks.n, networks.n) == (48, 50)
    assert blocks.ratios == pytest.approx((1.5, 1.5, 1.5)) == networks.ratios
    said = capsys.readouterr().out
    assert "threads: 2 and 1" in said and "measured apart" in said


def test_a_network_is_predicted_with_its_interval(table, capsys):
    folder = table.path.parents[1]
    small, large = (
        predict(PredictOptions(NAME, subnet, tables_dir=folder)) for subnet in ("min", "max")
    )
    assert small.high_ms[0] < large.low_ms[0]
    said = capsys.readouterr().out.splitlines()
    assert "90 % interval" in said[0] and said[0].endswith(f"lawful ({NAME})")
    weights = [line.strip().split(",")[0] for line in said[1::2]]
    assert weights == ["weights 0.505 MB", "weights 4.42 MB"]


def test_a_csv_gets_predictions_on_and_off_the_grid(table, tmp_path):
    folder = table.path.parents[1]
    source, out = tmp_path / "some.csv", tmp_path / "out.csv"
    row = "note,latency_ms,stem,width1,width2,width3,width4,depth1,depth2,depth3,depth4\n"
    source.write_text(f"{row}on,7,16,16,32,64,128,3,3,5,2\noff,7,16,16,32,56,128,3,3,5,2\n")
    predict(PredictOptions(NAME, csv=source, out=out, tables_dir=folder))
    with out.open() as file:
        on, off = csv.DictReader(file)
    assert (on["note"], off["width3"]) == ("on", "56")
    for line, subnet in ((on, "max"), (off, "width3=56")):
        alone = predict(PredictOptions(NAME, subnet, tables_dir=folder))
        assert float(line["latency_ms"]) == pytest.approx(alone.mean_ms[0], rel=1e-5)
        assert float(line["high_ms"]) == pytest.approx(alone.high_ms[0], rel=1e-5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stem,width1\n8,12\n", "lacks the columns width2"),
        ("", "lacks the columns stem"),
        (
            "stem,width1,width2,width3,width4,depth1,depth2,depth3,depth4\n8,x,24,48,96,1,1,1,1\n",
            "width1 of network 1 is no whole number: x",
        ),
        (
            "stem,width1,width2,width3,width4,depth1,depth2,depth3,depth4\n"
            "8,99999999999999999999,24,48,96,1,1,1,1\n",
            "width1=9+ is not possible",
        ),
        (
            "stem,width1,width2,width3,width4,depth1,depth2,depth3,depth4\n8,99,24,48,96,1,1,1,1\n",
            "width1=99 is not possible",
        ),
    ],
)
def test_a_bad_csv_is_told_in_one_line(table, tmp_path, text, message):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(HwsearchError, match=message):
        predict(PredictOptions(NAME, csv=path, tables_dir=table.path.parents[1]))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: PredictOptions("t"), "either --subnet or --csv"),
        (lambda: PredictOptions("t", "max", out="x"), "--out needs --csv"),
        (lambda: TableOptions("show"), "no table was named"),
        (lambda: TableOptions("diff", "t"), "takes two tables"),
        (lambda: TableOptions("show", "t", "u"), "takes one table"),
    ],
)
def test_options_that_do_not_fit_are_refused(build, message):
    with pytest.raises(HwsearchError, match=message):
        build()


def test_predicting_loads_no_torch(table):
    words = ["predict", "--table", str(table.path), "--subnet", "max"]
    code = (
        f"import sys; from hwsearch.cli import main; main({words}); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
