(() => {
"use strict";

const VIRIDIS = "Viridis";
/* Buttons are listed, not removed: Plotly's own list holds one that sends the data to its maker's site. */
const config = buttons => ({
  displaylogo: false, responsive: true, showSendToCloud: false, plotlyServerURL: "", modeBarButtons: [buttons],
});
const MAP = config(["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]);
const FIGURE = config(["toImage"]);

const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const whole = n => n.toLocaleString("en-GB");
// Plotly reads tags in its texts: a name must not be one.
const plain = text => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const short = text => text.length > 34 ? text.slice(0, 33) + "…" : text;

function unpack(text, type) {
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return new type(bytes.buffer);
}

const hasWebGL = (() => {
  try { return !!document.createElement("canvas").getContext("webgl"); } catch { return false; }
})();

function layout(extra) {
  const axis = {
    gridcolor: colour("--grid"), linecolor: colour("--line"), zeroline: false, automargin: true,
    title: { font: { size: 13, color: colour("--soft") } }, tickfont: { size: 12 },
  };
  const { xaxis = {}, yaxis = {}, ...rest } = extra;
  const merge = (own) => ({ ...axis, ...own, title: { ...axis.title, ...own.title } });
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: colour("--ink") },
    hoverlabel: { bgcolor: colour("--card"), bordercolor: colour("--line"), font: { color: colour("--ink") }, align: "left" },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("--dim"), activecolor: colour("--accent") },
    margin: { l: 50, r: 15, t: 30, b: 45 }, showlegend: false,
    xaxis: merge(xaxis), yaxis: merge(yaxis), ...rest,
  };
}

/* Cells without the gene stay faint, on a light page as on a dark one. */
const EXPRESSION = () => [[0, colour("--dim")], [.02, "#9ecae1"], [.5, "#2171b5"], [1, "#08306b"]].map(
  ([at, shade], i) => [at, i && matchMedia("(prefers-color-scheme: dark)").matches ? ["", "#3a6ea5", "#f2a65a", "#fff3b0"][i] : shade]);

const bar = title => ({
  ticksuffix: "\u2002", // keeps the title off the numbers
  title: { text: title, side: "right", font: { size: 12 } }, thickness: 10, len: .8, outlinewidth: 0, tickfont: { size: 11 },
});

/* One sample: its data, read when first needed, and what the reader chose. */
class Sample {
  constructor(section) {
    this.section = section;
    this.highlighted = new Set();
  }

  get data() {
    if (!this.read) {
      this.read = JSON.parse(this.section.querySelector("script.data").textContent);
      this.unpackCells();
    }
    return this.read;
  }

  unpackCells() {
    const d = this.read;
    d.barcodes = d.barcodes.split("\n");
    for (const name in d.layouts) d.layouts[name] = d.layouts[name].map(axis => unpack(axis, Float32Array));
    if (d.confidence) d.confidence = unpack(d.confidence, Float32Array);
    for (const c of d.colourings) if (c.codes) c.codes = unpack(c.codes, Int32Array);
    const clusters = d.colourings[0];
    d.hover = d.barcodes.map((barcode, i) => {
      const lines = [`<b>${plain(barcode)}</b>`];
      for (const c of d.colourings) if (c.codes) lines.push(`${plain(c.title)}: ${plain(c.names[c.codes[i]] ?? "not given")}`);
      if (d.confidence) lines.push(`Confidence: ${d.confidence[i].toFixed(2)}`);
      return lines.join("<br>");
    });
    d.middles = {};
    for (const name in d.layouts) d.middles[name] = middles(d.layouts[name], clusters);
  }

  chosen(what) { return this.section.querySelector(`input[name="${this.section.id}-${what}"]:checked`).value; }
  get colouring() {
    const chosen = this.chosen("colour");
    return chosen === "gene" ? this.gene : this.data.colourings[Number(chosen)];
  }
  /* The gene that is chosen: its name, and the level of every cell, unpacked when first needed. */
  get gene() {
    const place = Number(document.getElementById(`${this.section.id}-gene`).value), genes = this.data.genes;
    this.levels ??= new Map();
    if (!this.levels.has(place)) {
      const top = genes.top[place], raw = unpack(genes.levels[place], Uint8Array);
      this.levels.set(place, Float32Array.from(raw, level => level / 255 * top));
    }
    return { title: genes.symbols[genes.coloured[place]], values: this.levels.get(place), top: genes.top[place] };
  }
}

/* Of each cluster the cell nearest to the median, where its number goes. */
function middles([x, y], clusters) {
  const members = clusters.names.map(() => []);
  clusters.codes.forEach((code, i) => { if (code >= 0) members[code].push(i); });
  const median = values => values.sort((a, b) => a - b)[values.length >> 1];
  return members.map((cells, code) => {
    if (!cells.length) return null;
    const mx = median(cells.map(i => x[i])), my = median(cells.map(i => y[i]));
    let best = cells[0], least = Infinity;
    for (const i of cells) {
      const distance = (x[i] - mx) ** 2 + (y[i] - my) ** 2;
      if (distance < least) { least = distance; best = i; }
    }
    return { x: x[best], y: y[best], name: clusters.names[code] };
  }).filter(Boolean);
}

function markerOf(sample, n) {
  const c = sample.colouring, size = Math.max(2, Math.min(7, 160 / Math.sqrt(n)));
  if (c.values) {
    return { size, color: c.values, colorscale: EXPRESSION(), cmin: 0, cmax: c.top, showscale: true, colorbar: bar(plain(c.title)) };
  }
  if (!c.codes) {
    return {
      size, color: sample.data.confidence, colorscale: VIRIDIS, cmin: 0, cmax: sample.data.top, showscale: true, colorbar: bar("Confidence"),
    };
  }
  const lit = sample.highlighted, dim = colour("--dim") + "40", missing = sample.data.missing;
  const shades = c.names.map((_, code) => !lit.size || lit.has(code) ? c.colours[code] : dim);
  const unknown = lit.size && !lit.has(-1) ? dim : missing;
  return { size, color: Array.from(c.codes, code => code < 0 ? unknown : shades[code]) };
}

function drawCells(sample, div) {
  const name = sample.chosen("layout"), [x, y] = sample.data.layouts[name];
  const numbers = document.getElementById(`${sample.section.id}-numbers`).checked;
  const trace = {
    type: hasWebGL && x.length > 1500 ? "scattergl" : "scatter", mode: "markers", x, y, text: sample.data.hover,
    marker: markerOf(sample, x.length), hovertemplate: "%{text}<extra></extra>",
  };
  const bare = { showticklabels: false, ticks: "", showgrid: false, showline: false };
  const annotations = !numbers ? [] : sample.data.middles[name].map(m => ({
    x: m.x, y: m.y, text: `<b>${plain(short(m.name))}</b>`, showarrow: false, font: { size: 14 },
  }));
  return Plotly.react(div, [trace], layout({
    xaxis: { ...bare, title: { text: `${name} 1` } },
    yaxis: { ...bare, title: { text: `${name} 2` }, scaleanchor: "x" },
    margin: { l: 30, r: 10, t: 10, b: 30 }, annotations, hovermode: "closest", uirevision: name,
  }), MAP).then(() => drawLegend(sample));
}

function drawLegend(sample) {
  // Plotly gives its own legends the same class.
  const box = sample.section.querySelector(".map > .legend"), c = sample.colouring;
  const focused = box.contains(document.activeElement) ? document.activeElement.dataset.code : null;
  if (!c.codes) {
    const text = document.createElement("p");
    text.textContent = c.values ? `Expression of ${c.title}: counts scaled to 10,000 in every cell, then log(1 + x).` : "Confidence tells how clearly a cell belongs to its cluster: 1 is certain, 0 is no closer to its own cluster than to all others.";
    box.replaceChildren(text);
    return;
  }
  const entry = (code, name, shade, count) => {
    const button = document.createElement("button"), dot = document.createElement("i");
    const text = document.createElement("span"), small = document.createElement("small");
    button.type = "button";
    button.dataset.code = code;
    button.setAttribute("aria-pressed", sample.highlighted.has(code));
    dot.className = "dot";
    dot.style.background = shade;
    text.textContent = name;
    small.textContent = whole(count);
    button.append(dot, text, small);
    button.addEventListener("click", () => {
      sample.highlighted.has(code) ? sample.highlighted.delete(code) : sample.highlighted.add(code);
      drawCells(sample, sample.section.querySelector("[data-plot=cells]"));
    });
    return button;
  };
  const entries = c.names.map((name, code) => entry(code, name, c.colours[code], c.counts[code]));
  if (c.unknown) entries.push(entry(-1, "not given", sample.data.missing, c.unknown));
  box.replaceChildren(...entries);
  if (focused !== null) box.querySelector(`[data-code="${focused}"]`)?.focus();
}

function drawSizes(sample, div) {
  const { names, counts, confidence } = sample.data.sizes;
  const shown = names.map(name => plain(short(name)));
  const trace = {
    type: "bar", x: shown, y: counts, width: Math.min(.8, names.length / 8), textposition: "outside", cliponaxis: false, textfont: { size: 11 },
    text: names.length <= 24 ? counts.map(whole) : null,
    customdata: names.map((_, i) => confidence ? `<br>mean confidence ${confidence[i]?.toFixed(2) ?? "–"}` : ""),
    hovertemplate: "Cluster %{x}: %{y:,} cells%{customdata}<extra></extra>",
    marker: confidence
      ? { color: confidence, colorscale: VIRIDIS, cmin: 0, cmax: sample.data.top, colorbar: bar("Mean confidence") }
      : { color: sample.data.colourings[0].colours },
  };
  return Plotly.react(div, [trace], layout({
    xaxis: { type: "category", title: { text: "Cluster" }, showgrid: false }, yaxis: { title: { text: "Cells" } },
  }), FIGURE);
}

function drawOverlap(sample, div) {
  const { clusters, labels, counts } = sample.data.overlap;
  const totals = clusters.map((_, i) => counts.reduce((sum, row) => sum + row[i], 0) || 1);
  const few = clusters.length <= 26;
  const trace = {
    type: "heatmap", z: counts.map(row => row.map((n, i) => n / totals[i])), zmin: 0, zmax: 1, xgap: 1, ygap: 1,
    x: clusters.map((_, i) => i), y: labels.map((_, i) => i),
    colorscale: [[0, colour("--tint")], [1, colour("--accent")]], colorbar: { ...bar("Share of cluster"), tickformat: ".0%" },
    customdata: counts.map((row, j) => row.map((n, i) => `Cluster ${plain(clusters[i])}, ${plain(labels[j])}<br>${whole(n)} cells`)),
    hovertemplate: "%{customdata}, %{z:.1%} of the cluster<extra></extra>",
    ...(few ? { text: counts.map(row => row.map(n => n ? whole(n) : "")), texttemplate: "%{text}", textfont: { size: 11 } } : {}),
  };
  const ticks = names => ({
    tickmode: "array", tickvals: names.map((_, i) => i), ticktext: names.map(n => plain(short(n))), showgrid: false, ticks: "",
  });
  return Plotly.react(div, [trace], layout({
    xaxis: { ...ticks(clusters), title: { text: "Cluster" } },
    yaxis: { ...ticks(labels), autorange: "reversed" },
  }), FIGURE);
}

function drawDots(sample, div) {
  const g = sample.data.genes, names = sample.data.sizes.names;
  const highest = g.symbols.map((_, j) => Math.max(...g.mean.map(row => row[j] ?? 0), 1e-9));
  const x = [], y = [], size = [], shade = [], text = [], gene = [];
  g.mean.forEach((row, i) => row.forEach((mean, j) => {
    x.push(j); y.push(i); gene.push(j);
    size.push(2 + 15 * Math.sqrt(g.fraction[i][j] ?? 0));
    shade.push((mean ?? 0) / highest[j]);
    text.push(`<b>${plain(g.symbols[j])}</b>, a marker of cluster ${plain(g.clusters[j])}<br>in cluster ${plain(names[i])}: mean ${(mean ?? 0).toFixed(2)}, `
      + `${(100 * (g.fraction[i][j] ?? 0)).toFixed(0)} % of the cells`);
  }));
  const trace = {
    type: "scatter", mode: "markers", x, y, text, customdata: gene, hovertemplate: "%{text}<extra></extra>",
    marker: { size, opacity: 1, color: shade, cmin: 0, cmax: 1, colorscale: [[0, colour("--tint")], [1, colour("--accent")]], line: { width: 1, color: colour("--dim") },
      colorbar: bar("Mean expression, scaled") },
  };
  // Names of genes need room: on a phone, or with many clusters, the plot is wider than the page and scrolls.
  div.style.minWidth = `${9 + .9 * g.symbols.length}rem`;
  const ends = g.clusters.map((c, j) => j && c !== g.clusters[j - 1] ? j - .5 : null).filter(at => at !== null);
  return Plotly.react(div, [trace], layout({
    xaxis: { tickmode: "array", tickvals: g.symbols.map((_, j) => j), ticktext: g.symbols.map(s => plain(short(s))), tickangle: -90, showgrid: false,
      range: [-.7, g.symbols.length - .3], tickfont: { size: g.symbols.length > 70 ? 9 : 11 } },
    yaxis: { tickmode: "array", tickvals: names.map((_, i) => i), ticktext: names.map(n => plain(short(n))), range: [names.length - .4, -.6],
      title: { text: "Cluster" }, showgrid: false },
    shapes: ends.map(at => ({ type: "line", x0: at, x1: at, yref: "paper", y0: 0, y1: 1, line: { color: colour("--grid"), width: 1 } })),
    hovermode: "closest",
  }), FIGURE).then(() => {
    div.removeAllListeners?.("plotly_click");
    div.on?.("plotly_click", event => colourByGene(sample, event.points[0].customdata));
  });
}

/* The map coloured by a gene of the dot plot, if the page holds its expression. */
function colourByGene(sample, gene) {
  const place = sample.data.genes.coloured.indexOf(gene), select = document.getElementById(`${sample.section.id}-gene`);
  const map = sample.section.querySelector("[data-plot=cells]");
  if (place < 0 || !select || !map) return;
  select.value = place;
  select.dispatchEvent(new Event("change", { bubbles: true }));
  map.scrollIntoView({ block: "center" });
}

function drawHistogram(sample, div) {
  const { edges, series, lines, log } = sample.data.histograms[div.dataset.name];
  const scale = log ? value => Math.log10(Math.max(value, 1)) : value => value, at = edges.map(scale);
  const shades = { kept: "#0072B2", removed: "#D55E00" };
  const traces = Object.entries(series).map(([name, y]) => ({
    type: "bar", name, x: at.slice(1).map((edge, i) => (edge + at[i]) / 2), y, width: at.slice(1).map((edge, i) => edge - at[i]), marker: { color: shades[name] },
    text: y.map((n, i) => `${whole(Math.round(edges[i] * 100) / 100)} to ${whole(Math.round(edges[i + 1] * 100) / 100)}: ${whole(n)} cells ${name}`),
    textposition: "none", hovertemplate: "%{text}<extra></extra>",
  }));
  // Powers of ten, or the numbers between where fewer than three of them are in sight
  const marks = steps => [0, 1, 2, 3, 4, 5, 6].flatMap(p => steps.map(n => n * 10 ** p)).filter(n => Math.log10(n) >= at[0] && Math.log10(n) <= at.at(-1));
  const ticks = [[1], [1, 2, 5]].map(marks).find(found => found.length > 2) ?? marks([1, 2, 3, 4, 6, 8]);
  return Plotly.react(div, traces, layout({
    barmode: "stack", bargap: 0, yaxis: { title: { text: "Cells" } }, showlegend: true,
    xaxis: { range: [at[0], at.at(-1)], ...(log ? { tickmode: "array", tickvals: ticks.map(Math.log10), ticktext: ticks.map(whole) } : {}) },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", entrywidth: 0, bgcolor: "rgba(0,0,0,0)", font: { size: 12 } },
    shapes: lines.map(scale).filter(x => x >= at[0] && x <= at.at(-1)).map(x => ({
      type: "line", x0: x, x1: x, yref: "paper", y0: 0, y1: 1, line: { color: colour("--soft"), width: 1, dash: "dash" } })),
  }), FIGURE);
}

function drawRanks(sample, div) {
  const { rank, umis, cells } = sample.data.ranks;
  const part = (name, shade, keep) => ({
    type: "scatter", mode: "lines", name, line: { color: shade, width: 3 }, x: rank.filter((r, i) => keep(r)), y: umis.filter((_, i) => keep(rank[i])),
    hovertemplate: "%{x:,} barcodes have %{y:,} UMIs or more<extra></extra>",
  });
  return Plotly.react(div, [part("all barcodes", colour("--dim"), () => true), part("as many as there are cells", "#0072B2", r => r <= cells)], layout({
    xaxis: { type: "log", title: { text: "Barcodes" }, dtick: 1 }, yaxis: { type: "log", title: { text: "UMIs" }, dtick: 1 }, showlegend: true,
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", entrywidth: 0, bgcolor: "rgba(0,0,0,0)", font: { size: 12 } },
  }), FIGURE);
}

function drawEvidence(sample, div) {
  const { candidates, scores, compared, agreement, chosen } = sample.data.evidence;
  const trace = (name, x, y, shade) => ({
    type: "scatter", mode: "lines+markers", name, x, y, line: { color: shade, width: 2 }, marker: { size: 7 },
    hovertemplate: `%{x} clusters: ${name} %{y:.4g}<extra></extra>`,
  });
  const traces = [trace("separability", candidates, scores, colour("--accent"))];
  if (compared.length) traces.push(trace("agreement", compared, agreement, "#E69F00"));
  return Plotly.react(div, traces, layout({
    xaxis: { title: { text: "Number of clusters" }, tickformat: "d" }, yaxis: { title: { text: traces.length > 1 ? "Separability, agreement" : "Separability" } },
    showlegend: traces.length > 1, legend: { x: 0, y: 0, yanchor: "bottom", entrywidth: 0, bgcolor: "rgba(0,0,0,0)", font: { size: 12 } },
    shapes: [{ type: "line", x0: chosen, x1: chosen, yref: "paper", y0: 0, y1: 1, line: { color: colour("--soft"), width: 1, dash: "dash" } }],
    annotations: [{ x: chosen, yref: "paper", y: 1, yanchor: "bottom", xanchor: "center", text: `${chosen} chosen`, showarrow: false, font: { color: colour("--soft") } }],
  }), FIGURE);
}

function curve(values, name, shade) {
  return {
    type: "scatter", mode: values.length < 30 ? "lines+markers" : "lines", x: values.map((_, i) => i + 1), y: values, name,
    line: { color: shade, width: 2 },
  };
}

function drawLosses(sample, div) {
  const names = { loss: "total", instance_loss: "instance", cluster_loss: "cluster-aware" }, history = sample.data.history;
  const shades = ["#0072B2", "#E69F00", "#009E73"];
  const traces = Object.keys(names).filter(key => history[key]).map((key, i) => ({
    ...curve(history[key], names[key], shades[i]), hovertemplate: "epoch %{x}: %{y:.4g}",
  }));
  return Plotly.react(div, traces, layout({
    xaxis: { title: { text: "Epoch" } }, yaxis: { title: { text: "Loss" } }, showlegend: true, hovermode: "x unified",
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", entrywidth: 0, bgcolor: "rgba(0,0,0,0)", font: { size: 12 } },
  }), FIGURE);
}

function drawChange(sample, div) {
  const trace = { ...curve(sample.data.history.label_change, "changed", "#009E73"), hovertemplate: "epoch %{x}: %{y:.2%}<extra></extra>" };
  return Plotly.react(div, [trace], layout({
    xaxis: { title: { text: "Epoch" } }, yaxis: { title: { text: "Share of cells" }, tickformat: ".2~p", rangemode: "tozero" },
  }), FIGURE);
}

const DRAW = {
  cells: drawCells, sizes: drawSizes, overlap: drawOverlap, evidence: drawEvidence, dots: drawDots, histogram: drawHistogram, ranks: drawRanks, losses: drawLosses, change: drawChange,
};
const samples = new Map();

function draw(div) {
  const section = div.closest("section");
  DRAW[div.dataset.plot](samples.get(section.id), div).then(() => { div.dataset.drawn = "yes"; }, error => {
    div.textContent = "This plot could not be drawn.";
    console.error(error);
  });
}

/* Plots are drawn when they come near the window. Maps are let go of when far from it: a browser keeps few WebGL contexts. */
const watcher = new IntersectionObserver(entries => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting && !target.dataset.drawn) draw(target);
    else if (!isIntersecting && target.dataset.drawn && target.dataset.plot === "cells") {
      Plotly.purge(target);
      delete target.dataset.drawn;
    }
  }
}, { rootMargin: "800px 0px" });

for (const section of document.querySelectorAll("section.sample")) {
  const sample = new Sample(section);
  samples.set(section.id, sample);
  section.querySelectorAll("[data-plot]").forEach(div => watcher.observe(div));
  section.addEventListener("change", event => {
    if (!event.target.matches(".controls input, .controls select")) return;
    if (event.target.matches("select")) section.querySelector('input[value="gene"]').checked = true;
    if (event.target.name.endsWith("-colour")) sample.highlighted.clear();
    draw(section.querySelector("[data-plot=cells]"));
  });
}

document.getElementById("go")?.addEventListener("change", event => { location.hash = event.target.value; });

document.getElementById("copy")?.addEventListener("click", async () => {
  const text = document.getElementById("methods-text"), said = document.getElementById("copied");
  try {
    await navigator.clipboard.writeText(text.textContent);
    said.textContent = "Copied.";
  } catch {
    getSelection().selectAllChildren(text);
    said.textContent = "Selected: copy it with your keyboard.";
  }
});

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  document.querySelectorAll("[data-drawn]").forEach(draw);
});
})();
