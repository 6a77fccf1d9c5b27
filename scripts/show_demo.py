"""Print what `make demo` found: agreement of the clusters with the known cell types, and where the report is."""

import json
import sys
from pathlib import Path


def main(outdir: Path) -> None:
    """Read the metrics of every sample under `outdir` and print one line each, and the report's path."""
    for path in sorted(outdir.glob("*/*.metrics.json"), reverse=True):
        metrics = json.loads(path.read_text(encoding="utf-8"))
        how = "given" if metrics["k_given"] else "estimated"
        line = f"{metrics['id']}: {metrics['n_cells']} cells in {metrics['n_clusters']} clusters ({how})"
        if "ari" in metrics:
            line += f"; against {metrics['label_col']}: ARI {metrics['ari']:.3f}, NMI {metrics['nmi']:.3f}"
        print(line)
    print(f"report: {(outdir / 'report' / 'cicl_report.html').resolve()}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
