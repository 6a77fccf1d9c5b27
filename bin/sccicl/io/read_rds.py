"""R objects: a Seurat or SingleCellExperiment in an .rds, read by R itself where R is installed."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import anndata
import pandas as pd
from anndata import AnnData

from ..errors import InputError
from .matrix_market import read_matrix_market
from .validate import add_warning

SUFFIXES = (".rds", ".rdata", ".rda", ".robj")
TIMEOUT_S = 3600
# Writes matrix.mtx (genes x cells), genes.txt, cells.txt, obs.csv and note.txt; stop() gives the reason otherwise.
SCRIPT = r"""
args <- commandArgs(trailingOnly = TRUE)
path <- args[1]; out <- args[2]; layer <- args[3]
needs <- function(package) if (!requireNamespace(package, quietly = TRUE))
  stop("NEEDS ", package)
if (grepl("\\.rds$", path, ignore.case = TRUE)) {
  object <- readRDS(path)
} else {
  env <- new.env(); names <- load(path, envir = env)
  if (length(names) != 1) stop("SEVERAL ", paste(names, collapse = ", "))
  object <- get(names[1], envir = env)
}
note <- ""
if (inherits(object, "Seurat")) {
  needs("SeuratObject")
  suppressPackageStartupMessages(library(SeuratObject))
  assay <- if ("RNA" %in% names(object@assays)) "RNA" else DefaultAssay(object)
  data <- object[[assay]]
  wanted <- if (layer == "") "counts" else layer
  if (inherits(data, "Assay5")) {
    if (!exists("JoinLayers")) stop("NEEDS SeuratObject of version 5 or newer")
    there <- Layers(data)
    parts <- if (wanted %in% there) wanted else there[startsWith(there, paste0(wanted, "."))]
    if (length(parts) == 0) stop("LAYER ", paste(there, collapse = ", "))
    if (length(parts) > 1) {
      # One layer for each sample, as split() makes them
      data <- JoinLayers(data)
      note <- paste("layers", paste(parts, collapse = ", "), "were joined")
    }
    counts <- LayerData(data, layer = if (length(parts) == 1) parts else wanted)
  } else {
    if (!wanted %in% c("counts", "data")) stop("LAYER counts, data")
    counts <- slot(data, wanted)
    if (prod(dim(counts)) == 0) stop("LAYER ", if (prod(dim(slot(data, "data"))) > 0) "data" else "")
  }
  # An assay may have some of the cells only, or in another order.
  if (!all(colnames(counts) %in% rownames(object@meta.data))) stop("CELLS ", assay)
  obs <- object@meta.data[colnames(counts), , drop = FALSE]
  note <- paste0("assay ", assay, if (nchar(note)) "; ", note)
} else if (inherits(object, "SummarizedExperiment")) {
  needs("SingleCellExperiment")
  suppressPackageStartupMessages(library(SingleCellExperiment))
  there <- assayNames(object)
  wanted <- if (layer == "") "counts" else layer
  if (!wanted %in% there) stop("LAYER ", paste(there, collapse = ", "))
  counts <- assay(object, wanted)
  obs <- as.data.frame(colData(object))
} else if (is.matrix(object) || inherits(object, "Matrix")) {
  counts <- object; obs <- data.frame(row.names = colnames(object))
} else if (is.data.frame(object)) {
  counts <- as.matrix(object); obs <- data.frame(row.names = colnames(object))
} else stop("CLASS ", class(object)[1])
if (is.null(rownames(counts)) || is.null(colnames(counts))) stop("NAMES")
counts <- as(as(counts, "CsparseMatrix"), "generalMatrix")
invisible(Matrix::writeMM(counts, file.path(out, "matrix.mtx")))
writeLines(enc2utf8(rownames(counts)), file.path(out, "genes.txt"), useBytes = TRUE)
writeLines(enc2utf8(colnames(counts)), file.path(out, "cells.txt"), useBytes = TRUE)
plain <- vapply(obs, function(column) is.atomic(column), TRUE)
if (any(plain))
  write.csv(obs[, plain, drop = FALSE], file.path(out, "obs.csv"), row.names = FALSE, fileEncoding = "UTF-8")
writeLines(note, file.path(out, "note.txt"))
"""
EXPORT = (
    "in R, write it with DropletUtils::write10xCounts('{stem}', counts, version = '3'), where counts is "
    "object[['RNA']]$counts of a Seurat object or counts(object) of a SingleCellExperiment, and give that folder"
)


def is_r_object(path: Path) -> bool:
    """Whether a file is called as R's files of objects are."""
    return path.suffix.lower() in SUFFIXES


def read_r_object(path: Path, counts_layer: str | None) -> AnnData:
    """Read counts and columns of the cells of a Seurat, a SingleCellExperiment or a matrix, with Rscript.

    Parameters
    ----------
    counts_layer
        Layer of a Seurat object's RNA assay, or assay of a SingleCellExperiment; `counts` if None.

    Raises
    ------
    InputError
        When R or its package is not installed, or the object holds no such counts; says how to export them.
    """
    rscript = shutil.which("Rscript")
    export = EXPORT.format(stem=path.stem)
    if rscript is None:
        raise InputError(f"{path.name} is an object of R, and Rscript is not on the PATH: install R, or {export}")
    with tempfile.TemporaryDirectory(prefix="cicl-r-") as folder:
        out = Path(folder)
        (out / "read.R").write_text(SCRIPT)
        command = [rscript, "--vanilla", str(out / "read.R"), str(path.resolve()), str(out), counts_layer or ""]
        ended = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S)
        if ended.returncode:
            raise InputError(_reason(path, ended.stderr, export))
        matrix = read_matrix_market(out / "matrix.mtx").T.tocsr()
        genes, cells = (
            (out / name).read_text(encoding="utf-8").split("\n")[:-1] for name in ("genes.txt", "cells.txt")
        )
        obs = pd.read_csv(out / "obs.csv") if (out / "obs.csv").exists() else pd.DataFrame(index=range(len(cells)))
        note = (out / "note.txt").read_text().strip()
    obs.index = pd.Index(cells, dtype=str)
    adata = anndata.AnnData(matrix, obs=obs, var=pd.DataFrame(index=pd.Index(genes, dtype=str)))
    if note:
        add_warning(adata, f"{path.name}: read with R, {note}")
    return adata


def _reason(path: Path, stderr: str, export: str) -> str:
    """One sentence of what R said."""
    words = stderr.replace("\n", " ").strip()
    for mark, told in (
        ("NEEDS ", "R has no package {}: install it, or"),
        ("LAYER ", "its object has no such counts (it has {}): name one of these with --counts-layer, or"),
        ("SEVERAL ", "it holds several objects ({}): save one with saveRDS, or"),
        ("CLASS ", "its object is a {}, which is neither Seurat nor SingleCellExperiment: give such, or"),
        ("CELLS ", "the cells of its assay {} are not those of its meta.data: write it again, or"),
        ("NAMES", "its matrix has no names of genes or cells: set rownames and colnames, or"),
    ):
        if mark in words:
            found = words.split(mark, 1)[1].split(" Execution halted")[0].strip() or "none"
            return f"{path.name}: {told.format(found)} {export}"
    said = words.split(" Execution")[0][-200:] or "no message"
    return f"{path.name} cannot be read by R ({said}): save it again with saveRDS, or {export}"
