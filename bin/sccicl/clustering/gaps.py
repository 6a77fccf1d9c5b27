"""Whether there is a gap between two clusters, or cells all the way from one to the other.

A partition cuts a gradient or a trajectory into clusters as readily as it finds types. What tells them apart is the
number of cells half-way between two centroids: few where each cluster is a type, as many as anywhere where one passes
into the other.
"""

import numpy as np

# Half-way there are at least this share of the cells that there are around the centroids: no gap. Two normal clusters
# come to it at 3.5 standard deviations between their centroids.
NO_GAP = 0.5
# Half of the width of the window in which cells are counted, as a share of the way between the centroids.
HALF_WINDOW = 0.125
MIN_CELLS = 20


def gap_density(x: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Density of cells half-way between two centroids, relative to that around the sparser centroid: (k, k).

    Cells of two clusters are projected on the line through their centroids, and both clusters count alike, whatever
    their sizes; a cluster lies where the median of its cells does. Near 0 for types far apart, about 1 for a uniform
    distribution that is cut in two, above 1 for a normal one. NaN on the diagonal and for clusters of fewer than 20
    cells.

    Parameters
    ----------
    x
        Cells on principal components, (cells, components); not the embedding that was trained on these clusters, in
        which there is a gap between any two.
    labels
        Clusters 0..k-1 of the cells, (cells,).
    """
    k = int(labels.max()) + 1
    members = [x[labels == i].astype(np.float64) for i in range(k)]
    found = np.full((k, k), np.nan)
    for i in range(k):
        for j in range(i):
            if min(len(members[i]), len(members[j])) >= MIN_CELLS:
                found[i, j] = found[j, i] = _valley(members[i], members[j])
    return found


def _valley(first: np.ndarray, second: np.ndarray) -> float:
    line = second.mean(0) - first.mean(0)
    places = [cells @ line for cells in (first, second)]
    # Medians: one far cell takes the centroid to where no cell is.
    start, end = map(np.median, places)
    if not abs(end - start) > 0:
        return 1.0
    places = [(of_one - start) / (end - start) for of_one in places]

    def share_at(place: float) -> float:
        return float(sum((np.abs(of_one - place) <= HALF_WINDOW).mean() for of_one in places))

    return share_at(0.5) / max(min(share_at(0.0), share_at(1.0)), 1 / len(first) + 1 / len(second))


def without_gap(valley: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of clusters (the bigger first) that pass into each other, by the result of `gap_density`."""
    first, second = np.nonzero(np.triu(np.nan_to_num(valley, nan=0.0) >= NO_GAP, 1))
    return [(int(i), int(j)) for i, j in zip(first, second, strict=True)]
