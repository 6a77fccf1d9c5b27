"""Colours for categories that readers with colour-vision deficiency can tell apart, as far as colours can."""

import numpy as np
from scipy.optimize import linear_sum_assignment

# The first six are Okabe and Ito's (2008). The others were added one by one, each as far as possible (OKLab distance)
# from all before it in normal, protan and deutan vision alike (simulation: Machado et al. 2009), and readable on a
# white and on a dark ground. Past a dozen no palette is safe by colour alone: the figures number the clusters too.
PALETTE = (
    *("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#850A3D", "#52F5B8", "#5C298F", "#8F4700"),
    *("#ADD6FF", "#EBD63D", "#8FC28F", "#99477A", "#8F7AEB", "#0ACCCC", "#B84747", "#523D66", "#3D52AD", "#00A3C2"),
    *("#E06666", "#8F708F", "#8F3D47", "#B8D685", "#851F00", "#D68533", "#8599FF", "#4770D6", "#66E0CC", "#7A3D85"),
    *("#FF9966", "#4785C2", "#8FC2FF", "#70C25C", "#66705C", "#B85200", "#C29999", "#7A5C99", "#8F8547", "#D6C21F"),
)
MISSING = "#B4B4B4"
CONFIDENCE = "viridis"

# Grounds of the report, and the contrast that points have on them at least (WCAG 2.1 asks for 3 of graphics; on white
# orange and sky blue of Okabe and Ito have 2.2, and darker ones would no longer differ for all readers).
GROUNDS = {"light": ("#FFFFFF", 2.2), "dark": ("#181F24", 3.0)}


def colours(n: int) -> list[str]:
    """`n` colours as "#RRGGBB"; after the 40th they come round again."""
    return [PALETTE[i % len(PALETTE)] for i in range(n)]


def matched_colours(overlap: np.ndarray) -> list[str]:
    """Colours for labels such that a label looks like the cluster that holds most of it.

    Parameters
    ----------
    overlap
        Cells per cluster and label, shape (clusters, labels).

    Returns
    -------
    One colour per label: that of its partner in the one-to-one assignment of labels to clusters that shares the most
    cells, and for a label without a partner a colour that no cluster has.
    """
    n_clusters, n_labels = overlap.shape
    partner = dict(zip(*reversed(linear_sum_assignment(overlap, maximize=True)), strict=True))
    spare = iter(range(n_clusters, n_clusters + n_labels))
    wheel = colours(n_clusters + n_labels)
    chosen = [partner.get(label) for label in range(n_labels)]
    # A partner that shares no cell was only filled in by the assignment.
    return [wheel[c] if c is not None and overlap[c, i] > 0 else wheel[next(spare)] for i, c in enumerate(chosen)]


def readable_colours(ground: str) -> dict[str, str]:
    """Colours of the palette that lack contrast on a `light` or `dark` page: the same hue, darkened or lightened."""
    paper, least = GROUNDS[ground]
    towards, found = 0.0 if ground == "light" else 1.0, {}
    for colour in (*PALETTE, MISSING):
        step, changed = 0, colour
        while contrast(changed, paper) < least:
            step += 1
            changed = _mixed(colour, towards, step / 100)
        if changed != colour:
            found[colour] = changed
    return found


def contrast(first: str, second: str) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2.1)."""
    brighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def _channels(colour: str) -> np.ndarray:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255


def _luminance(colour: str) -> float:
    value = _channels(colour)
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def _mixed(colour: str, towards: float, share: float) -> str:
    value = _channels(colour)
    return "#" + "".join(f"{round(255 * channel):02X}" for channel in value + (towards - value) * share)
