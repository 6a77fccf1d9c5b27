"""Records of cell types, and the commands that write and read them."""

import json

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from annotated import clustered
from click.testing import CliRunner
from sccicl.cli import main
from sccicl.downstream.annotate_reference import annotate_by_reference
from sccicl.downstream.annotation import annotation_record, attach_annotation, vote
from sccicl.errors import InputError
from simulate import simulate_cells

CPU = torch.device("cpu")


def test_vote_is_the_commonest_label():
    labels = np.array(["B", "B", "T", "T", "T", "NK"], dtype=object)
    assert vote(labels, np.array(["0", "0", "0", "1", "1", "1"])) == {"0": "B", "1": "T"}


def test_record_goes_to_the_h5ad(reference, tmp_path):
    adata = clustered()
    record = annotation_record(adata, [annotate_by_reference(adata, reference[0], device=CPU)], "s")
    record = json.loads(json.dumps(record))
    attach_annotation(adata, record)
    adata.write_h5ad(tmp_path / "s.h5ad")
    kept = anndata.read_h5ad(tmp_path / "s.h5ad")
    assert kept.obs["cicl_reference"].astype(str).tolist()[10] == f"type{10 % 4}"
    assert {"cicl_reference_cell", "cicl_reference_confidence"} <= set(kept.obs)
    assert kept.uns["cicl"]["annotation"]["reference"]["clusters"]["label"].tolist()[:2] == ["type0", "type1"]
    with pytest.raises(InputError, match="other cells"):
        attach_annotation(adata[:100].copy(), record)


def test_command(model, tmp_path):
    adata = clustered()
    adata.write_h5ad(tmp_path / "s.clustered.h5ad")
    command = ["annotate", str(tmp_path / "s.clustered.h5ad"), "--outdir", str(tmp_path)]
    refused = CliRunner().invoke(main, command)
    assert refused.exit_code == 2 and "nothing to annotate with" in refused.output
    done = CliRunner().invoke(main, [*command, "--celltypist-model", str(model)])
    assert done.exit_code == 0, done.output
    table = pd.read_csv(tmp_path / "s.annotation.csv", dtype=str)
    assert list(table.columns) == ["barcode", "cluster", "celltypist", "celltypist_cell", "celltypist_confidence"]
    assert len(table) == 160


def test_run_refuses_bad_files_before_the_training(tmp_path):
    simulate_cells(40, 2, 60).write_h5ad(tmp_path / "s.h5ad")
    (tmp_path / "list.csv").write_text("B cell\n")
    (tmp_path / "x.pt").write_bytes(b"no model")
    for option, name in {"--marker-list": "list.csv", "--reference-model": "x.pt"}.items():
        command = ["run", str(tmp_path / "s.h5ad"), "--outdir", str(tmp_path / "out"), option, str(tmp_path / name)]
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 2 and name in done.output, done.output
    assert not (tmp_path / "out").exists()
