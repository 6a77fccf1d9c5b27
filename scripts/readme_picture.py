"""Make docs/images/report.png: the first screen of the demo's report, in a headless Chromium.

usage: readme_picture.py results/demo/report/cicl_report.html
"""

import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "helpers"))


def main(report: Path) -> None:
    """Open the report at its last sample, which is the one with known labels, and save what is in the window."""
    from chromium import Page

    with Page(1280, 1060) as page:
        page.open(report)
        # Alone on the page, so that nothing moves while it is drawn
        page.run(
            "document.querySelectorAll('section').forEach((section, i, all) => {"
            "section.hidden = section !== [...all].filter(one => one.matches('.sample')).at(-1); })"
        )
        page.run("void [...document.querySelectorAll('section.sample')].at(-1).scrollIntoView({behavior: 'instant'})")
        page.wait("[...document.querySelectorAll('[data-plot=cells]')].at(-1).dataset.drawn")
        time.sleep(0.5)
        page.screenshot(ROOT / "docs" / "images" / "report.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
