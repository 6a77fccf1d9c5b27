"""What a map shows: the colours of its canvas at the places of the cells, which are found by the page's data alone."""

# ruff: noqa: E501 - JavaScript in one line

import json
import zlib
from base64 import b64decode

import numpy as np
from chromium import Page

MAP = "document.querySelector('[data-plot=cells]')"
RADIUS = 3.6


def data_of(page: Page, sample: int = 0) -> dict:
    """The data of a sample, as they stand in the page."""
    return json.loads(
        page.run(f"document.querySelectorAll('section.sample')[{sample}].querySelector('script.data').textContent")
    )


def barcodes_of(data: dict) -> list[str]:
    """Barcodes in the order of the page's cells."""
    return zlib.decompress(b64decode(data["barcodes"])).decode().split("\n")


def codes_of(colouring: dict) -> np.ndarray:
    """Categories of the cells, -1 where none is given."""
    codes = np.frombuffer(b64decode(colouring["codes"]), "<u2" if colouring["wide"] else "u1").astype(int)
    return np.where(codes == len(colouring["names"]), -1, codes)


def places(page: Page, layout: dict) -> np.ndarray:
    """Where the cells of a layout lie in the unzoomed map, in CSS pixels: (cells, 2)."""
    xy = np.column_stack([np.frombuffer(b64decode(layout[axis]), "<u2") / 65535 for axis in ("x", "y")])
    x0, x1, y0, y1 = layout["bounds"]
    xy = xy * [x1 - x0, y1 - y0] + [x0, y0]
    width, height = page.run(f"[{MAP}.clientWidth, {MAP}.clientHeight]")
    pad = min(28, width * 0.06)
    scale = min((width - 2 * pad) / (x1 - x0), (height - 2 * pad) / (y1 - y0))
    return np.column_stack(
        [width / 2 + scale * (xy[:, 0] - (x0 + x1) / 2), height / 2 - scale * (xy[:, 1] - (y0 + y1) / 2)]
    )


def without_names(page: Page) -> None:
    """Take the names off the map: they lie over cells."""
    page.run("void (document.querySelector('.labels').checked && document.querySelector('.labels').click())")


def pixels(page: Page, at: np.ndarray) -> np.ndarray:
    """Colours of the map at these places: (places, 3), once it has been drawn."""
    page.run("new Promise(done => setTimeout(() => requestAnimationFrame(done), 250))")
    flat = page.run(
        f"(() => {{ const c = {MAP}.querySelector('canvas.points'), x = c.getContext('2d', {{willReadFrequently: true}});"
        f"const p = x.getImageData(0, 0, c.width, c.height).data, r = c.width / {MAP}.clientWidth;"
        f"return {np.round(at, 2).tolist()}.flatMap(([a, b]) => {{ const o = (Math.min(c.height - 1, Math.floor(b * r)) * c.width"
        " + Math.min(c.width - 1, Math.floor(a * r))) * 4; return [p[o], p[o + 1], p[o + 2]]; }); })()"
    )
    return np.array(flat).reshape(-1, 3)


def alone(at: np.ndarray, radius: float = RADIUS) -> np.ndarray:
    """Which points no other one covers."""
    from scipy.spatial import cKDTree

    return cKDTree(at).query(at, k=2)[0][:, 1] > 2 * radius + 1


def rgb(colour: str) -> tuple[int, int, int]:
    """Channels of "#RRGGBB"."""
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))
