"""Run the commands of docs/example.md, and write their outputs and the pictures of the page.

usage: example.py [--keep]        in the environment of the pipeline; needs Chromium for the pictures

With --keep a finished results/demo, as of `make demo`, is used in place of running the pipeline again.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "example.md"
IMAGES = ROOT / "docs" / "images"
RESULTS = ROOT / "results" / "example"
DEMO = ROOT / "results" / "demo"
# Part of the last sample in the report -> picture; the height in pixels that is shown of it
PICTURES = {
    ".sample:not([hidden])": ("example_answer", 760),
    ".sample:not([hidden]) .map": ("example_map", None),
    ".sample:not([hidden]) .markers": ("example_markers", 400),
}
ALONE = (
    "document.querySelectorAll('section').forEach((section, i, all) => {"
    "section.hidden = section !== [...all].filter(one => one.matches('.sample')).at(-1); })"
)
sys.path.insert(0, str(ROOT / "tests" / "helpers"))


def run(block: str) -> str:
    """Standard output of a bash block; a failure ends the script."""
    if "--keep" in sys.argv[1:] and (DEMO / "report" / "cicl_summary.txt").is_file():
        block = re.sub(r"nextflow (.|\\\n)*?\n(?=cat)", "", block)
    print(block, flush=True)
    environment = os.environ | {
        "PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}",
        "NXF_HOME": str(ROOT / ".tools/nextflow-home"),
    }
    done = subprocess.run(
        ["bash", "-euc", block], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.strip()


def run_page() -> None:
    """Run each bash block; the text block that follows holds its output."""

    def with_output(found: re.Match) -> str:
        output = run(found["block"])
        return found[0] if found["text"] is None else f"```bash\n{found['block']}```\n\n```text\n{output}\n```"

    pattern = r"```bash\n(?P<block>.*?)```(?:\n\n(?P<text>```text\n.*?```))?"
    PAGE.write_text(re.sub(pattern, with_output, PAGE.read_text(encoding="utf-8"), flags=re.DOTALL), encoding="utf-8")


def small(path: Path, width: int = 1400) -> None:
    """Shrink a picture to `width` pixels and 256 colours; rare ones, as of a small cluster, are kept."""
    with Image.open(path) as image:
        image = image.convert("RGB")
        image.thumbnail((width, 4 * width))
        image.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(path, optimize=True)


def pictures() -> None:
    """Parts of the report, and the figure with the names."""
    from chromium import Page

    with Page(1280, 900) as page:
        page.open(DEMO / "report" / "cicl_report.html")
        page.run(ALONE)
        for selector, (name, height) in PICTURES.items():
            page.run(f"document.querySelector('{selector}').scrollIntoView({{behavior: 'instant'}})")
            time.sleep(2)
            page.screenshot(IMAGES / f"{name}.png", of=selector, height=height, margin=14)
            small(IMAGES / f"{name}.png")
    shutil.copy(RESULTS / "named" / "pbmc700.umap.png", IMAGES / "example_named.png")
    small(IMAGES / "example_named.png")


if __name__ == "__main__":
    shutil.rmtree(RESULTS, ignore_errors=True)
    run_page()
    pictures()
