"""What a folder is that tools of counting have written, and which file or folder in it is meant."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from .read_10x import tenx_matrix_files
from .read_quants import quant_files

DEPTH = 5
MOST_FOLDERS = 2000
MOST_TOLD = 3
# Files and folders by which the output of a tool is known, the more special before the others
TOOLS = (
    ("Cell Ranger multi", "per_sample_outs"),
    ("Cell Ranger aggr", "aggregation.csv"),
    ("SpaceRanger", "spatial"),
    ("STARsolo", "Solo.out"),
    ("STARsolo", "Features.stats"),
    ("STARsolo", "Velocyto"),
    ("alevin-fry", "quant.json"),
    ("alevin-fry", "quants_mat.mtx"),
    ("kb count", "kb_info.json"),
    ("kb count", "counts_unfiltered"),
    ("Parse split-pipe", "DGE_filtered"),
    ("Parse split-pipe", "DGE_unfiltered"),
    ("BD Rhapsody", "_MolsPerCell.csv"),
    ("BD Rhapsody", "_MolsPerCell_MEX"),
    ("Cell Ranger", "filtered_feature_bc_matrix"),
    ("Cell Ranger", "filtered_feature_bc_matrix.h5"),
    ("Cell Ranger", "raw_feature_bc_matrix.h5"),
    ("Cell Ranger", "filtered_gene_bc_matrices"),
)


@dataclass(frozen=True)
class Inside:
    """A matrix somewhere in a folder; `rank` orders them, the filtered one of genes first."""

    path: Path
    rank: tuple[int, int, str]


def tool_of(folder: Path) -> str | None:
    """Name of the tool that wrote a folder, if it is known."""
    names = {path.name.removesuffix(".gz") for path in _walk(folder)}
    return next((tool for tool, mark in TOOLS if any(name == mark or name.endswith(mark) for name in names)), None)


def matrices_in(folder: Path) -> list[Inside]:
    """Matrices that can be read in `folder` or up to four levels down, the likeliest first."""
    found: list[Inside] = []
    for path in _walk(folder):
        if path.is_dir() and path != folder:
            if (
                path.suffix == ".zarr"
                or any((path / mark).exists() for mark in ("zarr.json", ".zgroup"))
                or tenx_matrix_files(path)
                or quant_files(path)
            ):
                found.append(Inside(path, _rank(path, folder)))
        elif path.is_file() and _is_matrix(path):
            found.append(Inside(path, _rank(path, folder)))
    return sorted(found, key=lambda one: one.rank)


def _is_matrix(path: Path) -> bool:
    name = path.name.removesuffix(".gz")
    return name.endswith("_MolsPerCell.csv") or (
        path.suffix in (".h5", ".h5ad", ".loom") and not name.startswith("molecule_info")
    )


def _rank(path: Path, folder: Path) -> tuple[int, int, str]:
    relative = path.relative_to(folder)
    text = str(relative).lower()
    order = 0 if "filtered" in text and "unfiltered" not in text else 2 if "raw" in text or "unfiltered" in text else 1
    if "velocyto" in text or "genefull_ex" in text or "/sj/" in text or "peak" in text or "molecule" in text:
        order += 3
    return order, len(relative.parts), str(relative)


def _walk(folder: Path, depth: int = DEPTH) -> Iterator[Path]:
    """Files and folders under `folder`, the nearest first, and no more than a few thousand."""
    level, seen = [folder], 0
    for _ in range(depth):
        below: list[Path] = []
        for parent in level:
            try:
                children = sorted(parent.iterdir())
            except OSError:
                continue
            for child in children:
                seen += 1
                if seen > MOST_FOLDERS:
                    return
                yield child
                if child.is_dir() and child.suffix != ".zarr" and not child.is_symlink():
                    below.append(child)
        level = below


def unknown_folder(folder: Path, known: str) -> InputError:
    """Make the error for a folder that is no input itself, with the tool that wrote it and what in it is meant."""
    inside = [f"{one.path.relative_to(folder)}" for one in matrices_in(folder)]
    tool = tool_of(folder)
    what = f"the folder {folder.name} is neither a 10x folder nor a zarr store" + (f", but of {tool}" if tool else "")
    if not inside:
        return InputError(f"{what}: give {known}")
    first = folder / inside[0]
    kind = "folder" if first.is_dir() else "file"
    more = f" (it also has {', '.join(inside[1 : 1 + MOST_TOLD])})" if len(inside) > 1 else ""
    hint = f"did you mean its {kind} {inside[0]}?{more} Otherwise give"
    return InputError(f"{what}: {hint} {known}")
