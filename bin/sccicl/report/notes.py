"""Notes of the report: what a reader should know of a sample beside the answer."""

import numpy as np

from .answer import Answer
from .sample import ClusteredSample

# Training is called unsettled when more than this share of the pseudo-labels changed in its last epoch.
UNSETTLED = 0.05
# Characters of the notes that the first screen has room for (eight lines beside the next steps); the others are folded.
ROOM = 560


def notes(result: ClusteredSample, found: Answer) -> list[str]:
    """Clusters that could be one, warnings of the steps, then what no step has said."""
    merges, checks = found.checks[: len(found.merges)], found.checks[len(found.merges) :]
    told = merges + [_as_sentence(warning) for warning in result.warnings]
    if len(result.clusters.names) == 1 and result.k_explained:
        told.append(result.k_explained)
    told += checks
    if (n := len(result.clusters.names)) > 2 and any(len(merge.clusters) == n for merge in found.merges):
        told.append(
            f"All {n} clusters are connected without a gap. The cells may form a continuum, such as a trajectory, and "
            "the boundaries between clusters are then arbitrary."
        )
    change = result.history.get("label_change")
    if change is not None and np.isfinite(change[-1]) and change[-1] > UNSETTLED:
        told.append(
            f"Training had not converged: {change[-1]:.0%} of the pseudo-labels changed in the last epoch. More epochs "
            "may give clearer clusters."
        )
    if result.labels is not None and (missing := int((result.labels.codes < 0).sum())):
        told.append(f"{missing:,} cells have no value in '{result.labels.column}'. ARI, NMI and AMI leave them out.")
    return told


def n_open(told: list[str]) -> int:
    """Number of notes, from the first one, that the first screen shows; at least one."""
    return max(int((np.cumsum([len(note) for note in told]) <= ROOM).sum()), 1)


def _as_sentence(warning: str) -> str:
    """A warning with a capital letter, unless it begins with the name of a file, and a full stop."""
    first = warning.split(maxsplit=1)[0] if warning.strip() else ""
    return f"{warning[:1].upper() if first.isalpha() else warning[:1]}{warning[1:].removesuffix('.')}."
