"""The paper's table: which of its data sets are there, and its figures beside those measured."""

import csv

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sccicl.benchmark.cli import main
from sccicl.benchmark.groups import holm
from sccicl.benchmark.methods import METHODS, TITLES
from sccicl.benchmark.paper import PRINTED, beside_printed, of_paper, printed, wholeness
from sccicl.benchmark.plan import plan
from sccicl.benchmark.summary import summarise
from sccicl.errors import InputError
from simulate import simulate_cells


def test_the_printed_table_has_25_sets_and_the_means_of_the_text():
    rows = printed()
    assert len({row["set"] for row in rows}) == 25 and len(rows) == 50
    ari = [float(row["CICL"]) for row in rows if row["metric"] == "ari"]
    nmi = [float(row["CICL"]) for row in rows if row["metric"] == "nmi"]
    # "our method obtains the best ARI (0.7757) and NMI (0.8057) on the 25 datasets"
    assert np.mean(ari) == pytest.approx(0.7757, abs=1e-4) and np.mean(nmi) == pytest.approx(0.8057, abs=1e-4)
    assert set(PRINTED) <= set(METHODS) and set(PRINTED.values()) <= set(rows[0])


def test_files_are_recognised_by_name():
    names = ["deng", "Young_top2000", "qs_limb_muscle", "limb_muscle", "mouse_bladder_2100", "klein_1000x900", "dengue"]
    assert of_paper(names) == {
        "deng": "deng",
        "Young_top2000": "Young",
        "qs_limb_muscle": "QS_Limb_Muscle",
        "limb_muscle": "Limb_Muscle",
        "klein_1000x900": "Klein",
    }


def test_whole_sets_and_parts(tmp_path):
    simulate_cells(90, 6, n_genes=20214, markers=10).write_h5ad(tmp_path / "yan.h5ad")
    simulate_cells(80, 5, n_genes=500).write_h5ad(tmp_path / "klein_part.h5ad")
    assert wholeness(tmp_path / "yan.h5ad", "yan") == "whole"
    told = wholeness(tmp_path / "klein_part.h5ad", "Klein")
    assert told == "80 of 2,717 cells, 500 of 24,047 genes, 5 of 4 types"


def test_plan_takes_the_sets_of_the_paper(tmp_path):
    for name in ("deng", "other"):
        simulate_cells(60, 3).write_h5ad(tmp_path / f"{name}.h5ad")
    asked = {"methods": ["leiden-k"], "tracks": [], "n_seeds": 1, "studies": []}
    rows, _ = plan(tmp_path, sets=["paper"], **asked)
    assert [(row["dataset"], row["paper"]) for row in rows] == [("deng", "deng")] and "60 of 268" in rows[0]["whole"]
    rows, _ = plan(tmp_path, sets=["deng"], **asked)
    assert rows[0]["paper"] == ""
    (tmp_path / "deng.h5ad").unlink()
    with pytest.raises(InputError, match=r"no file in .* has the name"):
        plan(tmp_path, sets=["paper"], **asked)


def results(path):
    scores = {"ari": 0.5, "nmi": 0.6, "ami": 0.5, "acc": 0.7, "n_clusters": 6, "seconds": 1.0, "peak_memory_mb": 9.0}
    rows = [
        {"dataset": "deng", "method": method, "setting": "", "track": "given", "seed": 0, "n_cells": 268, "k": 6}
        | scores
        | {"cells_used": 268, "version": "1", "failure": ""}
        for method in ("cicl", "simlr", "leiden-k", "scdha-reimplemented")
    ]
    table = pd.DataFrame(rows)
    table.to_csv(path, sep="\t", index=False)
    return table


def test_printed_figures_have_a_column_of_their_own(tmp_path):
    table = results(tmp_path / "x.tsv")
    found = beside_printed(summarise(table.assign(method=table["method"].map(TITLES))), {"deng": "deng"}, {}, TITLES)
    assert list(found["method"]) == ["cicl", "scDHA (reimplemented)", "SIMLR"]
    assert list(found["ari"]) == [0.5] * 3 and list(found["printed_ari"]) == [0.8982, 0.5634, 0.7741]
    assert beside_printed(summarise(table), {}, {}, TITLES).empty


def test_report_has_the_table_of_the_paper(tmp_path):
    (tmp_path / "tables").mkdir()
    results(tmp_path / "tables" / "x.tsv")
    (tmp_path / "plan.tsv").write_text(
        "dataset\tmethods\ttracks\tseeds\tsetting\tpaper\twhole\n"
        "deng\tcicl\tgiven\t0\t\tdeng\twhole\nkleins\tcicl\tgiven\t0\t\t\t\n"
    )
    arguments = ["report", tmp_path / "tables", "--plan", tmp_path / "plan.tsv", "--outdir", tmp_path / "out"]
    done = CliRunner().invoke(main, list(map(str, arguments)))
    assert done.exit_code == 0, done.output
    page = (tmp_path / "out" / "report.html").read_text()
    assert "The table of the paper" in page and "deng: deng, whole" in page and "0.898" in page
    with (tmp_path / "out" / "paper.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert {(row["method"], row["printed_ari"]) for row in rows} >= {("scDHA (reimplemented)", "0.5634")}
    assert {row["whole"] for row in rows} == {"whole"}


def test_holm_of_the_textbook():
    # Holm (1979): sorted p times n, n - 1, ..., never falling
    p = pd.Series([0.01, 0.04, np.nan, 0.03, 0.5], index=list("abcde"))
    assert holm(p).tolist() == pytest.approx([0.04, 0.09, np.nan, 0.09, 0.5], nan_ok=True)
