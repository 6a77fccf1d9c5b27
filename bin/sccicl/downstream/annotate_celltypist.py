"""Cell types by a CellTypist model (Dominguez Conde et al. 2022), voted over CICL's clusters."""

import hashlib
import os
import pickle
import re
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..io.gene_names import by_symbols, why_none_matches
from .annotation import Annotation, vote
from .expression import log_normalised

if TYPE_CHECKING:
    from anndata import AnnData


MISSING = (
    "--celltypist-model needs the package celltypist, which is not installed here: install it with "
    "`pip install celltypist` (or `pip install 'sccicl[annotate]'`), or leave the option out"
)
BLOCK = 10_000
# A pickle can name any function of any module and have it run. A CellTypist model needs no more than these: a linear
# classifier and a scaler of scikit-learn, arrays, a random state and plain containers.
HARMLESS = (
    ("sklearn.linear_model._logistic", "LogisticRegression"),
    ("sklearn.linear_model.logistic", "LogisticRegression"),
    ("sklearn.linear_model._stochastic_gradient", "SGDClassifier"),
    ("sklearn.linear_model.stochastic_gradient", "SGDClassifier"),
    (r"sklearn.linear_model._?sgd_fast", r"[A-Z][A-Za-z]*|__pyx_unpickle_[A-Z][A-Za-z]*"),
    (r"sklearn._loss._loss", r"Cy[A-Z][A-Za-z]*|__pyx_unpickle_Cy[A-Z][A-Za-z]*"),
    (r"sklearn.preprocessing.(_?data)", "StandardScaler"),
    (r"numpy.(_?core).multiarray", "_reconstruct|scalar"),
    (r"numpy.(_?core).numeric", "_frombuffer"),
    ("numpy", "ndarray|dtype|bool_|float64|float32|int64|int32|str_"),
    (r"numpy.random._pickle", "__randomstate_ctor|__bit_generator_ctor"),
    (r"numpy.random._mt19937", "MT19937"),
    (r"_codecs", "encode"),
    ("collections", "OrderedDict"),
    ("builtins", "set|frozenset|complex|bytearray|slice|range"),
    ("datetime", "datetime|date"),
)


class _ModelReader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """The object of that name, if a model may hold it."""
        if any(
            re.fullmatch(allowed, module) and re.fullmatch(names, name)
            for allowed, names in ((pattern.replace(".", r"\."), names) for pattern, names in HARMLESS)
        ):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it holds {module}.{name}")


def _import_celltypist() -> Any:
    # It makes its folder when it is imported, and homes are read-only on clusters.
    os.environ.setdefault("CELLTYPIST_FOLDER", str(Path(tempfile.gettempdir()) / f"celltypist-{os.getuid()}"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import celltypist
            from celltypist import models
    except ImportError as error:
        raise InputError(MISSING) from error
    celltypist.logger.set_level("ERROR")
    return celltypist, models


def load_celltypist_model(path: str | os.PathLike) -> Any:
    """Read a CellTypist model file; nothing but the parts of a linear model is loaded from it.

    Returns
    -------
    celltypist.models.Model

    Raises
    ------
    InputError
        When celltypist is not installed, or the file is missing, damaged, no model, or holds anything else.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; give the path of a CellTypist model (.pkl)")
    _, models = _import_celltypist()
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # models of older scikit-learn are read as CellTypist itself reads them
            content = _ModelReader(file).load()
        return models.Model(content["Model"], content["Scaler_"], content["description"])
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path}: this is not loaded as a CellTypist model ({error}), as no such model needs that and a pickle can "
            "run any code; give a .pkl that celltypist wrote"
        ) from error
    except Exception as error:  # what damaged bytes raise is not enumerable
        raise InputError(f"{path}: this is no CellTypist model, or it is damaged; give a .pkl that it wrote") from error


def _predict(celltypist: Any, expression: "AnnData", model: Any) -> tuple[np.ndarray, np.ndarray]:
    """Label and probability of every cell, a block of cells at a time: CellTypist makes the values dense."""
    parts = []
    for start in range(0, expression.n_obs, BLOCK):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = celltypist.annotate(expression[start : start + BLOCK].copy(), model=model)
            except ValueError as error:
                raise InputError(
                    f"CellTypist cannot use the values ({str(error).split(' ', 1)[-1]}): give raw counts"
                ) from error
        parts.append((found.predicted_labels["predicted_labels"].astype(str), found.probability_matrix.max(axis=1)))
    labels, confidence = zip(*parts, strict=True)
    return np.concatenate(labels).astype(object), np.concatenate(confidence).astype(float)


def annotate_by_celltypist(adata: "AnnData", path: str | os.PathLike) -> Annotation:
    """Label cells by a CellTypist model and clusters by majority voting over their cells.

    Parameters
    ----------
    adata
        Clustered sample with counts in X; genes are matched by `var_names`, or by symbols in `var`.
    path
        The model file (.pkl).

    Raises
    ------
    InputError
        When the model cannot be used, or none of its genes is in the sample.
    """
    path = Path(path)
    model = load_celltypist_model(path)
    celltypist, _ = _import_celltypist()
    features = np.asarray(model.features, dtype=str)
    expression = log_normalised(adata, symbols=by_symbols(adata, features))
    n_genes, n_features = int(np.isin(features, expression.var_names).sum()), len(features)
    if not n_genes:
        reason = why_none_matches(adata, features, "model")
        raise InputError(f"{path.name}: no gene of this CellTypist model is in the sample: {reason}")
    labels, confidence = _predict(celltypist, expression, model)
    clusters = adata.obs["cicl"].astype(str).to_numpy()
    notes = []
    if n_genes < n_features / 2:
        notes.append(
            f"only {n_genes} of the {n_features} genes of the CellTypist model {path.name} are in the sample, "
            "so its labels are less certain"
        )
    return Annotation(
        "celltypist",
        labels,
        confidence,
        vote(labels, clusters),
        {
            "file": path.name,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "version": celltypist.__version__,
            "n_genes": n_genes,
            "n_features": n_features,
            "n_types": len(model.cell_types),
        },
        notes,
    )
