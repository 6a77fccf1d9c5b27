"""Figures of the benchmark's report."""

from typing import TYPE_CHECKING

from ..downstream.palette import colours
from .plan import STUDIES
from .summary import ALL, ORDER, Ranks, by_dataset, cliques

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure


NAMES = {"ari": "ARI", "nmi": "NMI", "ami": "AMI", "acc": "ACC"}


def colour(method: str) -> str:
    """The colour of a method, the same in all figures."""
    return dict(zip(ORDER, colours(len(ORDER)), strict=True))[method]


def _figure(height: int, **layout: object) -> "Figure":
    import plotly.graph_objects as go

    # The page's own ground and a grey that is read on white and on black.
    ink, grid = "#76828c", "rgba(128,140,150,.25)"
    figure = go.Figure()
    figure.update_layout(
        height=height,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": ink, "size": 13},
        xaxis={"gridcolor": grid, "zerolinecolor": grid, "automargin": True},
        yaxis={"gridcolor": grid, "zerolinecolor": grid, "automargin": True},
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": ink},
        showlegend=False,
        **layout,
    )
    return figure


def boxes(table: "pd.DataFrame") -> "Figure":
    """Box plot of ARI over data sets, a box for each method and a point for each data set."""
    figure = _figure(60 + 48 * table.shape[1])
    for method in reversed(table.columns):
        figure.add_box(
            x=table[method],
            name=method,
            text=table.index,
            boxpoints="all",
            jitter=0.4,
            pointpos=0,
            boxmean=True,
            marker={"color": colour(method), "size": 6},
            hovertemplate="%{text}: %{x:.3f}<extra>%{y}</extra>",
        )
    figure.update_xaxes(title="ARI of a data set (mean over seeds)", range=[-0.05, 1.02])
    return figure


def heat_map(table: "pd.DataFrame") -> "Figure":
    """ARI of every data set and method as a coloured table."""
    figure = _figure(120 + 28 * len(table))
    figure.add_heatmap(
        z=table.to_numpy(),
        x=list(table.columns),
        y=list(table.index),
        zmin=0,
        zmax=1,
        colorscale="Viridis",
        texttemplate="%{z:.2f}",
        hoverongaps=False,
        hovertemplate="%{y}, %{x}: %{z:.3f}<extra></extra>",
        colorbar={"title": "ARI", "thickness": 12},
    )
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_xaxes(side="top", tickangle=-35, showgrid=False)
    return figure


def critical_difference(found: Ranks) -> "Figure":
    """Critical-difference diagram: mean ranks, and bars over methods that do not differ (Demšar 2006)."""
    bars = cliques(found)
    n = len(found.mean)
    figure = _figure(90 + 26 * n + 14 * len(bars))
    for place, (method, rank) in enumerate(found.mean.items()):
        figure.add_scatter(
            x=[rank],
            y=[-place],
            mode="markers+text",
            text=f"{method}  {rank:.2f}",
            textposition="middle right" if rank < (n + 1) / 2 else "middle left",
            marker={"color": colour(method), "size": 11},
            hovertemplate=f"{method}: mean rank {rank:.2f}<extra></extra>",
        )
    for i, (first, last) in enumerate(bars):
        height = 1 + 0.6 * i
        figure.add_scatter(
            x=[found.mean[first] - 0.05, found.mean[last] + 0.05],
            y=[height, height],
            mode="lines",
            line={"color": "#76828c", "width": 5},
            hovertemplate=f"no difference shown: {first} to {last}<extra></extra>",
        )
    figure.update_xaxes(title="Mean rank by ARI (1 is best)", range=[0.5, n + 0.5], dtick=1)
    figure.update_yaxes(visible=False)
    return figure


def numbers_of_clusters(summary: "pd.DataFrame") -> "Figure":
    """Estimated against true number of clusters; the band is +-25 %."""
    found = by_dataset(summary, "estimated", "n_clusters_mean")
    k = summary[summary["dataset"] != ALL].groupby("dataset")["k"].first()[found.index]
    figure = _figure(440)
    top = float(max(k.max(), found.max().max())) * 1.05
    for share, dash in ((1, "solid"), (0.75, "dot"), (1.25, "dot")):
        line = {"color": "#76828c", "dash": dash, "width": 1}
        figure.add_scatter(x=[0, top], y=[0, share * top], mode="lines", line=line, hoverinfo="skip", showlegend=False)
    for method in found:
        figure.add_scatter(
            x=k,
            y=found[method],
            mode="markers",
            name=method,
            text=list(found.index),
            marker={"color": colour(method), "size": 9},
            hovertemplate="%{text}: %{y:.1f} of %{x}<extra>" + method + "</extra>",
        )
    figure.update_layout(showlegend=True, legend={"orientation": "h", "y": 1.08})
    figure.update_xaxes(title="Cell types")
    figure.update_yaxes(title="Clusters (mean over seeds)")
    return figure


def against_cells(results: "pd.DataFrame", column: str, title: str) -> "Figure":
    """A column of the results against the number of cells that were used, both logarithmic, a line for each method."""
    figure = _figure(440)
    rows = results[results["setting"] == ""]
    for method, of_method in rows.groupby("method", sort=False):
        mean = of_method.groupby(["cells_used", "dataset"])[column].mean().reset_index()
        figure.add_scatter(
            x=mean["cells_used"],
            y=mean[column],
            name=method,
            text=mean["dataset"],
            mode="lines+markers",
            line={"color": colour(method)},
            hovertemplate="%{text}: %{y:.3s}<extra>" + method + "</extra>",
        )
    figure.update_layout(showlegend=True)
    figure.update_xaxes(title="Cells", type="log")
    figure.update_yaxes(title=title, type="log")
    return figure


def won_and_lost(paired: "pd.DataFrame") -> "Figure":
    """Data sets that CICL wins, ties and loses against each method of one track, as bars."""
    figure = _figure(100 + 26 * len(paired))
    for column, shade in (("won", "#0072B2"), ("tied", "#B0B7BD"), ("lost", "#D55E00")):
        figure.add_bar(
            x=paired[column],
            y=paired["rival"],
            orientation="h",
            name=column,
            marker={"color": shade},
            text=paired[column],
            hovertemplate="%{y}: %{x} " + column + "<extra></extra>",
        )
    figure.update_layout(
        barmode="stack", showlegend=True, legend={"orientation": "h", "y": 1.1, "traceorder": "normal"}
    )
    figure.update_xaxes(title="Data sets")
    figure.update_yaxes(autorange="reversed")
    return figure


def study(summary: "pd.DataFrame", name: str) -> "Figure | None":
    """ARI and NMI against the parameter of a study: thick the mean over data sets, thin each of them; None without."""
    parameter, *_ = STUDIES[name]
    rows = summary[summary["setting"].str.startswith(f"{parameter}=")]
    if rows.empty:
        return None
    rows = rows.assign(value=rows["setting"].str.extract(r"=([\d.]+)", expand=False).astype(float)).sort_values("value")
    figure = _figure(440)
    for metric, shade in (("ari", "#0072B2"), ("nmi", "#D55E00")):
        for dataset, line in rows.groupby("dataset", sort=False):
            is_mean = dataset == ALL
            figure.add_scatter(
                x=line["value"],
                y=line[f"{metric}_mean"],
                name=f"{NAMES[metric]}, mean over data sets" if is_mean else dataset,
                mode="lines+markers" if is_mean else "lines",
                line={"color": shade, "width": 4 if is_mean else 1},
                opacity=1 if is_mean else 0.4,
                showlegend=is_mean,
                hovertemplate="%{x:g}: %{y:.3f}<extra>" + NAMES[metric] + ", " + dataset + "</extra>",
            )
    figure.update_layout(showlegend=True, legend={"orientation": "h", "y": 1.08})
    figure.update_xaxes(title=parameter, type="log" if name == "epochs" else "linear")
    figure.update_yaxes(title="ARI, NMI")
    return figure
