"""Odd values for every option of every command, and for every parameter: one sentence, or a valid result."""

import math
import warnings
from dataclasses import fields

import click
import numpy as np
import pytest
import torch
from formats import small_counts
from fuzzing import AT_RANDOM, EXAMPLES, MANY, ODD_TEXTS, QUIET, is_a_sentence, outcome
from hypothesis import given, settings
from hypothesis import strategies as st
from sccicl.cli import main
from sccicl.config import PRESETS, Config
from sccicl.errors import InputError
from sccicl.io.read import take_counts
from sccicl.steps.cluster import cluster_sample
from sccicl.steps.fit import fit_sample
from sccicl.steps.prepare import prepare_counts
from simulate import simulate_cells


class Reached(InputError):
    """In the place of the work: the options were accepted."""


def options_of(command: click.Command) -> list[click.Option]:
    """All but those that name files and folders, which other tests look at."""
    return [
        option
        for option in command.params
        if isinstance(option, click.Option) and not isinstance(option.type, click.Path)
    ]


CASES = [(name, option.name) for name, command in main.commands.items() for option in options_of(command)]
ARGUMENTS = {"check-reads": 2, "join": 2, "demo-data": 0}


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("options")
    small_counts(40, 20).write_h5ad(folder / "s.h5ad")
    return folder


def one_call(sample, given) -> None:
    """A command with one to three odd options on a file that it may not even take."""
    name, chosen, values = given
    command = main.commands[name]
    words: list[object] = [name, *[sample / "s.h5ad"] * ARGUMENTS.get(name, 1)]
    for option, value in zip(chosen, values, strict=False):
        words += [option.opts[0]] if option.is_flag else [f"{option.opts[0]}={value}"]
    for option in command.params:
        if option.required and isinstance(option, click.Option) and option not in chosen:
            words += [option.opts[0], sample / "s.h5ad" if isinstance(option.type, click.Path) else "a,b"]
    outcome(*words, "--outdir", sample / "out")


@st.composite
def calls(draw):
    name = draw(st.sampled_from(sorted({name for name, _ in CASES})))
    chosen = draw(st.lists(st.sampled_from(options_of(main.commands[name])), min_size=1, max_size=3, unique=True))
    text = st.one_of(st.sampled_from(ODD_TEXTS), st.text(max_size=8), st.floats().map(str), st.integers().map(str))
    return name, chosen, [draw(text) for _ in chosen]


@pytest.fixture(autouse=True)
def nothing_is_trained(monkeypatch, request):
    """Options of a training are tested up to it: with 10**18 epochs it would never end."""
    if "param" in request.node.name:
        return

    def reached(*_args, **_kwargs):
        raise Reached("the options were accepted: the training was reached, so leave it")

    monkeypatch.setattr("sccicl.steps.fit.fit_sample", reached)
    monkeypatch.setattr("sccicl.steps.integrate.integrate", reached)


@settings(max_examples=EXAMPLES, **QUIET)
@given(calls())
def test_any_options(sample, given):
    one_call(sample, given)


@pytest.mark.slow
@settings(max_examples=MANY, **AT_RANDOM)
@given(calls())
def test_any_options_many_times(sample, given):
    one_call(sample, given)


# ---- parameters of the method ----

# What makes a step longer rather than odd
HIGHEST = {"n_layers": 3, "epochs": 3, "min_steps": 3}
ODD_NUMBERS = [math.nan, math.inf, -math.inf, -1, 0, 1e-320, 1e-3, 1, 2, 1e30, 1e308, -1e-9, 0.99]


@st.composite
def parameters(draw):
    """One to four fields of Config with odd values, in or out of range."""
    values = {}
    for item in draw(st.lists(st.sampled_from(fields(Config)), min_size=1, max_size=4, unique=True)):
        if "choices" in item.metadata:
            values[item.name] = draw(st.sampled_from([*item.metadata["choices"], "", "none of them"]))
        elif "int" in str(item.type):
            values[item.name] = draw(st.integers(-1, HIGHEST.get(item.name, 70)))
        else:
            values[item.name] = draw(st.one_of(st.sampled_from(ODD_NUMBERS), st.floats()))
    return draw(st.sampled_from(sorted(PRESETS))), values


SMALL = {
    "n_genes": 40, "embedding_size": 4, "n_layers": 1, "feed_forward": 8, "projection_hidden": 8, "projection_size": 4,
    "epochs": 1, "min_steps": 1, "batch_size": 16,
}  # fmt: skip


def one_config(preset: str, values: dict, monkeypatch) -> None:
    cells = simulate_cells(40, 3, 60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            config = PRESETS[preset].changed(**SMALL).changed(**values)
            prepared = prepare_counts(take_counts(cells), "counts", config)
            prepared.uns["cicl"].update(id="fuzz", stages={})
            fitted = fit_sample(prepared, 3, config=config, seed=0, device=torch.device("cpu"), quiet=True)
            cluster_sample(prepared, fitted)
        except InputError as error:
            assert is_a_sentence(str(error)), error
            return
    assert np.isfinite(prepared.obsm["X_cicl"]).all() and prepared.obs["cicl_confidence"].between(0, 1).all()
    assert (prepared.obs["cicl"].cat.codes >= 0).all() and prepared.obs["cicl"].nunique() <= 3


@settings(max_examples=max(20, EXAMPLES // 4), **QUIET)
@given(parameters())
def test_any_parameters(given):
    with pytest.MonkeyPatch.context() as monkeypatch:
        one_config(*given, monkeypatch)


@pytest.mark.slow
@settings(max_examples=MANY // 4, **AT_RANDOM)
@given(parameters())
def test_any_parameters_many_times(given):
    with pytest.MonkeyPatch.context() as monkeypatch:
        one_config(*given, monkeypatch)


def test_every_option_is_among_those_drawn():
    assert {"fit", "prepare", "run", "map", "join"} <= {name for name, _ in CASES}
    assert {item.name for item in fields(Config)} <= {option for _, option in CASES}
