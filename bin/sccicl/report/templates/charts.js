/* Charts as SVG. Each has its size from its place on the page; text is never a tag, as nodes are made, not parsed. */
class Chart {
  constructor(box, { left = 48, right = 12, top = 12, bottom = 40, height = null, width = null } = {}) {
    this.box = box;
    this.width = width ?? Math.max(box.clientWidth || 420, 220);
    this.height = height ?? 240;
    this.area = { x0: left, x1: this.width - right, y0: top, y1: this.height - bottom };
    this.node = svg("svg", { viewBox: `0 0 ${this.width} ${this.height}`, width: this.width, height: this.height, role: "img", "aria-label": box.dataset.label ?? "", class: "chart" });
    box.replaceChildren(this.node);
    box.dataset.drawn = "yes";
  }
  add(tag, attributes = {}, tip = null, ...children) {
    const node = svg(tag, attributes, ...children);
    if (tip) node.append(svg("title", {}, tip));
    this.node.append(node);
    return node;
  }
  text(x, y, text, attributes = {}) { return this.add("text", { x, y, ...attributes }, null, text); }
  rotated(x, y, text, attributes = {}) { return this.text(x, y, text, { transform: `rotate(-90 ${x} ${y})`, ...attributes }); }

  /* Scales from numbers to places */
  x(low, high) { const { x0, x1 } = this.area, d = high - low || 1; return v => x0 + (v - low) / d * (x1 - x0); }
  y(low, high) { const { y0, y1 } = this.area, d = high - low || 1; return v => y1 - (v - low) / d * (y1 - y0); }

  axisY(scale, marks, title, format = String) {
    for (const mark of marks) {
      this.add("line", { x1: this.area.x0, x2: this.area.x1, y1: scale(mark), y2: scale(mark), class: "grid" });
      this.text(this.area.x0 - 6, scale(mark) + 4, format(mark), { class: "tick", "text-anchor": "end" });
    }
    if (title) this.rotated(13, (this.area.y0 + this.area.y1) / 2, title, { class: "title", "text-anchor": "middle" });
  }
  axisX(scale, marks, title, format = String) {
    for (const mark of marks) this.text(scale(mark), this.area.y1 + 16, format(mark), { class: "tick", "text-anchor": "middle" });
    this.add("line", { x1: this.area.x0, x2: this.area.x1, y1: this.area.y1, y2: this.area.y1, class: "axis" });
    if (title) this.text((this.area.x0 + this.area.x1) / 2, this.area.y1 + 34, title, { class: "title", "text-anchor": "middle" });
  }
  key(entries, x = this.area.x0, y = 10) {
    for (const [name, colour] of entries) {
      this.add("rect", { x, y: y - 8, width: 10, height: 10, fill: colour });
      this.text(x + 15, y + 1, name, { class: "tick" });
      x += 28 + 6.4 * name.length;
    }
  }
}

/* Round marks for an axis, about n of them, each written so that no two look alike. */
function marksOf(low, high, n = 5) {
  if (!(high > low)) return [low];
  const raw = (high - low) / n, power = 10 ** Math.floor(Math.log10(raw)), step = [1, 2, 5, 10].find(s => s * power >= raw) * power, found = [];
  for (let v = Math.ceil(low / step - 1e-9) * step; v <= high + step * 1e-9; v += step) found.push(Number(v.toPrecision(12)));
  return found;
}
const plainNumber = v => Math.abs(v) >= 1000 ? whole(v) : String(Number(v.toPrecision(4)));
const percent = digits => v => `${(100 * v).toFixed(digits)} %`;
const powers = (low, high) => {
  const all = steps => [-1, 0, 1, 2, 3, 4, 5, 6, 7].flatMap(p => steps.map(s => s * 10 ** p)).filter(v => v >= low * .999 && v <= high * 1.001);
  return [[1], [1, 2, 5]].map(all).find(found => found.length > 2) ?? all([1, 2, 3, 4, 6, 8]);
};

function drawLines(box, series, { xTitle, yTitle, chosen = null, zero = false, format = plainNumber, integer = false } = {}) {
  const chart = new Chart(box, { top: series.length > 1 || chosen !== null ? 30 : 14, left: 58 });
  const xs = series.flatMap(s => s.x), ys = series.flatMap(s => s.y).filter(isNumber);
  if (!ys.length) return;
  let low = zero ? 0 : Math.min(...ys), high = Math.max(...ys);
  if (high === low) high = low + (Math.abs(low) || 1) * .1;
  const pad = (high - low) * .05, x = chart.x(Math.min(...xs), Math.max(...xs)), y = chart.y(zero ? 0 : low - pad, high + pad);
  chart.axisY(y, marksOf(low, high), yTitle, format);
  let marks = marksOf(Math.min(...xs), Math.max(...xs), 6);
  if (integer) marks = marks.filter(Number.isInteger);
  chart.axisX(x, marks, xTitle);
  if (chosen !== null) {
    chart.add("line", { x1: x(chosen), x2: x(chosen), y1: chart.area.y0, y2: chart.area.y1, class: "limit" });
    chart.text(clamp(x(chosen), 60, chart.width - 60), chart.area.y0 - 3, `${chosen} chosen`, { class: "tick", "text-anchor": "middle" });
  }
  for (const s of series) {
    const points = s.x.map((v, i) => [x(v), s.y[i]]).filter(p => isNumber(p[1])).map(([px, v]) => [px, y(v), v]);
    chart.add("path", { d: points.map(([px, py], i) => `${i ? "L" : "M"}${px.toFixed(1)} ${py.toFixed(1)}`).join(""), fill: "none", stroke: s.colour, "stroke-width": 2, class: "line" });
    if (points.length < 40) points.forEach(([px, py, v], i) => chart.add("circle", { cx: px, cy: py, r: 3, fill: s.colour }, `${s.name}: ${format(v)} (${xTitle.toLowerCase()} ${s.x[i]})`));
  }
  if (series.length > 1) chart.key(series.map(s => [s.name, s.colour]));
}

const BLUE = () => isDark() ? "#4aa3d8" : "#0072B2", ORANGE = () => isDark() ? "#f0a63c" : "#b35900", GREEN = () => isDark() ? "#35c796" : "#00795a";

const CHARTS = {
  evidence(sample, box) {
    const { candidates, scores, chosen } = sample.data.evidence;
    drawLines(box, [{ name: "separability", x: candidates, y: scores, colour: BLUE() }], { xTitle: "Number of clusters", yTitle: "Separability", chosen, integer: true });
  },
  losses(sample, box) {
    const names = { loss: "total", instance_loss: "instance", cluster_loss: "cluster-aware" }, history = sample.data.history, colours = [BLUE(), ORANGE(), GREEN()];
    const series = Object.keys(names).filter(key => history[key]).map((key, i) => ({ name: names[key], x: history[key].map((_, e) => e + 1), y: history[key], colour: colours[i] }));
    drawLines(box, series, { xTitle: "Epoch", yTitle: "Loss" });
  },
  change(sample, box) {
    const y = sample.data.history.label_change, top = Math.max(...y.filter(isNumber), 1e-9);
    drawLines(box, [{ name: "changed", x: y.map((_, e) => e + 1), y, colour: GREEN() }], { xTitle: "Epoch", yTitle: "Share of cells", zero: true, format: percent(top < .005 ? 2 : top < .05 ? 1 : 0) });
  },
  ranks(sample, box) {
    const { rank, umis, cells } = sample.data.ranks, chart = new Chart(box, { top: 28, left: 62 });
    const log = v => Math.log10(Math.max(v, 1)), x = chart.x(log(rank[0]), log(rank.at(-1))), y = chart.y(log(Math.min(...umis)), log(Math.max(...umis)));
    chart.axisY(v => y(log(v)), powers(Math.min(...umis), Math.max(...umis)), "UMIs", whole);
    chart.axisX(v => x(log(v)), powers(rank[0], rank.at(-1)).filter(v => Number.isInteger(Math.log10(v))), "Barcodes", whole);
    const path = keep => rank.map((r, i) => keep(r) ? `${x(log(r)).toFixed(1)} ${y(log(umis[i])).toFixed(1)}` : null).filter(Boolean).map((p, i) => (i ? "L" : "M") + p).join("");
    chart.add("path", { d: path(() => true), fill: "none", stroke: css("--dim"), "stroke-width": 3, class: "line" });
    chart.add("path", { d: path(r => r <= cells), fill: "none", stroke: BLUE(), "stroke-width": 3, class: "line" });
    chart.key([["all barcodes", css("--dim")], ["as many as there are cells", BLUE()]]);
  },
  histogram(sample, box) {
    const { edges, series, lines, log } = sample.data.histograms[box.dataset.name], removed = series.removed.some(n => n > 0);
    const chart = new Chart(box, { top: 28, left: 54, height: 210 }), scale = log ? v => Math.log10(Math.max(v, 1)) : v => v;
    const x = chart.x(scale(edges[0]), scale(edges.at(-1))), y = chart.y(0, Math.max(...series.kept.map((n, i) => n + series.removed[i]), 1));
    chart.axisY(y, marksOf(0, Math.max(...series.kept.map((n, i) => n + series.removed[i]), 1), 4), "Cells", whole);
    chart.axisX(v => x(scale(v)), log ? powers(edges[0], edges.at(-1)) : marksOf(edges[0], edges.at(-1), 4), null, plainNumber);
    const colours = { kept: BLUE(), removed: ORANGE() };
    series.kept.forEach((kept, i) => {
      const left = x(scale(edges[i])), width = Math.max(x(scale(edges[i + 1])) - left - .5, .5);
      for (const [name, from, n] of [["kept", 0, kept], ["removed", kept, series.removed[i]]]) {
        if (n > 0) chart.add("rect", { x: left, width, y: y(from + n), height: y(from) - y(from + n), fill: colours[name], class: name }, `${plainNumber(edges[i])} to ${plainNumber(edges[i + 1])}: ${whole(n)} cells ${name}`);
      }
    });
    for (const line of lines) {
      const at = x(scale(line)), inside = at >= chart.area.x0 && at <= chart.area.x1;
      // A limit beyond the axis is an arrow at its edge, so that the reader sees that there is one.
      if (inside) chart.add("line", { x1: at, x2: at, y1: chart.area.y0, y2: chart.area.y1, class: "limit" }, `Limit: ${plainNumber(line)}`);
      else chart.text(at < chart.area.x0 ? chart.area.x0 : chart.area.x1, chart.area.y0 + 8, at < chart.area.x0 ? `◂ limit ${plainNumber(line)}` : `limit ${plainNumber(line)} ▸`, { class: "tick beyond", "text-anchor": at < chart.area.x0 ? "start" : "end" });
    }
    if (removed) chart.key([["kept", colours.kept], ["removed", colours.removed]]);
  },

  /* Clusters against known labels */
  overlap(sample, box) {
    const { clusters, labels, counts } = sample.data.overlap, n = clusters.length;
    const totals = clusters.map((_, i) => counts.reduce((sum, row) => sum + row[i], 0) || 1), left = Math.min(200, 16 + 7 * Math.max(...labels.map(l => short(l, 28).length)));
    const width = Math.max(box.clientWidth || 420, left + 30 * n), chart = new Chart(box, { left, top: 26, bottom: 8, width, height: 40 + 22 * labels.length });
    const w = (chart.area.x1 - left) / n, colour = tintRamp();
    chart.text(left - 6, 17, "Cluster", { class: "title", "text-anchor": "end" });
    clusters.forEach((name, i) => chart.text(left + w * (i + .5), 17, short(name, 8), { class: "tick", "text-anchor": "middle" }));
    labels.forEach((label, j) => {
      const y = 26 + 22 * j;
      chart.add("text", { x: left - 6, y: y + 15, class: "tick", "text-anchor": "end" }, label, short(label, 28));
      counts[j].forEach((count, i) => {
        const share = count / totals[i], rgb = colour(share);
        chart.add("rect", { x: left + w * i, y, width: w - 1, height: 21, fill: hexOf(rgb), class: "tile" }, `Cluster ${clusters[i]}, ${label}: ${whole(count)} cells, ${(100 * share).toFixed(1)} % of the cluster`);
        if (count) chart.text(left + w * (i + .5), y + 15, whole(count), { "text-anchor": "middle", class: "in", fill: inkOn(rgb) });
      });
    });
  },
  flow(sample, box) {
    const { clusters, labels, counts } = sample.data.overlap, colours = sample.data.clusters.colours;
    const side = n => Math.min(200, 20 + 6.6 * n), right = side(Math.max(...labels.map(l => short(l, 27).length))), left = side(Math.max(...clusters.map(c => c.length)) + 2);
    const chart = new Chart(box, { left, right, top: 8, bottom: 8, height: Math.max(240, 18 * Math.max(clusters.length, labels.length)) });
    bands(chart, clusters.map((name, i) => ({ name: short(name, 10), colour: shade(colours[i]) })), labels.map(name => ({ name: short(name, 27), full: name })), clusters.map((_, i) => counts.map(row => row[i])));
  },
  /* Share of each cluster in each sample or batch */
  composition(sample, box) {
    const { rows, clusters, counts } = sample.data.composition, colours = sample.data.clusters.colours;
    const left = Math.min(170, 16 + 6.6 * Math.max(...rows.map(r => short(r, 24).length))), chart = new Chart(box, { left, top: 8, height: 56 + 30 * rows.length });
    const x = chart.x(0, 1);
    chart.axisX(x, [0, .25, .5, .75, 1], "Share of the cells", percent(0));
    rows.forEach((name, j) => {
      const total = counts[j].reduce((a, b) => a + b, 0) || 1;
      let sum = 0;
      chart.add("text", { x: left - 6, y: 8 + 30 * j + 17, class: "tick", "text-anchor": "end" }, name, short(name, 24));
      counts[j].forEach((n, i) => {
        if (n) chart.add("rect", { x: x(sum / total), y: 8 + 30 * j, width: Math.max(x((sum + n) / total) - x(sum / total) - .6, .4), height: 24, fill: shade(colours[i]), class: "part" }, `${name}, cluster ${clusters[i]}: ${whole(n)} cells, ${(100 * n / total).toFixed(1)} %`);
        sum += n;
      });
    });
  },

  /* Clusters at each number of clusters, and where their cells go (the idea of clustree) */
  tree(sample, box) {
    const { numbers, sizes, moves, parents } = sample.data.tree, rows = numbers.length, chart = new Chart(box, { left: 76, top: 14, bottom: 10, height: 30 + 74 * rows, width: Math.max(box.clientWidth || 420, 80 + 34 * sizes.at(-1).length) });
    const total = sizes[0].reduce((a, b) => a + b, 0), at = [], colours = sample.data.clusters.colours, own = numbers.indexOf(sample.data.clusters.names.length);
    sizes.forEach((row, r) => {
      const order = parents[r], width = (chart.area.x1 - chart.area.x0) / row.length;
      at.push(row.map((_, c) => [chart.area.x0 + width * (order.indexOf(c) + .5), 34 + 74 * r]));
    });
    moves.forEach((table, r) => table.forEach((row, a) => row.forEach((n, b) => {
      const share = n / Math.max(sizes[r + 1][b], 1);
      if (share < .05) return;
      const [[x1, y1], [x2, y2]] = [at[r][a], at[r + 1][b]];
      chart.add("path", { d: `M${x1} ${y1}C${x1} ${(y1 + y2) / 2} ${x2} ${(y1 + y2) / 2} ${x2} ${y2}`, fill: "none", stroke: css("--soft"), "stroke-opacity": .15 + .6 * share, "stroke-width": 1 + 9 * Math.sqrt(n / total), class: "move" },
        `${whole(n)} cells: ${(100 * share).toFixed(0)} % of this cluster come from cluster ${a} of ${numbers[r]}`);
    })));
    sizes.forEach((row, r) => {
      chart.text(8, 38 + 74 * r, `${numbers[r]} clusters`, { class: r === own ? "tick chosen" : "tick" });
      row.forEach((n, c) => {
        const [x, y] = at[r][c], radius = 6 + 16 * Math.sqrt(n / total), colour = r === own ? shade(colours[c]) : css("--dim");
        chart.add("circle", { cx: x, cy: y, r: radius, fill: colour, stroke: css("--card"), class: "node" }, `${numbers[r]} clusters: cluster ${c} has ${whole(n)} cells`);
        chart.text(x, y + 4, String(c), { "text-anchor": "middle", class: "in", fill: inkOn(rgbOf(colour)) });
      });
    });
  },

  dots(sample, box) {
    const g = sample.data.genes, names = sample.data.clusters.names, n = g.symbols.length, step = 15;
    const clusters = sample.data.colourings[0], most = (box.clientWidth || 420) < 500 ? 14 : 30, titles = names.map((_, i) => short(sample.fullNameOf(clusters, i), most)), left = Math.max(56, Math.min(250, 36 + 7.2 * Math.max(...titles.map(t => t.length))));
    const chart = new Chart(box, { left, width: Math.max(box.clientWidth || 420, left + 20 + step * n), top: 8, bottom: 84, height: 100 + 22 * names.length });
    const w = (chart.area.x1 - left) / n, colour = tintRamp(), highest = g.symbols.map((_, j) => Math.max(...g.mean.map(row => row[j] ?? 0), 1e-9));
    titles.forEach((title, i) => chart.text(left - 8, 8 + 22 * i + 15, title, { class: "tick", "text-anchor": "end" }));
    chart.rotated(13, 8 + 11 * names.length, "Cluster", { class: "title", "text-anchor": "middle" });
    g.clusters.forEach((c, j) => { if (j && c !== g.clusters[j - 1]) chart.add("line", { x1: left + w * j, x2: left + w * j, y1: 8, y2: chart.area.y1, class: "grid" }); });
    g.symbols.forEach((symbol, j) => {
      const x = left + w * (j + .5);
      g.mean.forEach((row, i) => {
        const share = g.fraction[i][j] ?? 0, mean = row[j] ?? 0;
        chart.add("circle", { cx: x, cy: 8 + 22 * i + 11, r: 1 + Math.min(8.5, w * .5 + 1) * Math.sqrt(share), fill: hexOf(colour(mean / highest[j])), stroke: css("--dim"), class: "dotmark", "data-gene": symbol },
          `${symbol}, a marker of cluster ${g.clusters[j]}. Cluster ${names[i]}: mean ${mean.toFixed(2)}, ${(100 * share).toFixed(0)} % of the cells`);
      });
      chart.rotated(x + 4, chart.area.y1 + 8, short(symbol, 12), { class: "tick gene", "text-anchor": "end", "data-gene": symbol });
    });
    chart.node.addEventListener("click", event => { const gene = event.target.closest("[data-gene]")?.dataset.gene; if (gene) sample.showGene(gene, true); });
  },
};

/* Places of text lines near the wanted ones, in their order, at least a line apart */
function spread(wanted, low, high, line = 13) {
  const found = [...wanted];
  found.forEach((at, i) => { found[i] = Math.max(at, i ? found[i - 1] + line : low + line / 2); });
  for (let i = found.length - 1, most = high - line / 2; i >= 0; i--, most -= line) found[i] = Math.min(found[i], most);
  return found;
}

/* Bands between two sides, as wide as the cells that they share */
function bands(chart, from, to, table) {
  const { x0, x1, y0, y1 } = chart.area, total = table.flat().reduce((a, b) => a + b, 0) || 1, gap = 3;
  const sums = [table.map(row => row.reduce((a, b) => a + b, 0)), to.map((_, j) => table.reduce((sum, row) => sum + row[j], 0))];
  const place = (values, names) => { const h = y1 - y0 - gap * (names.length - 1); let y = y0; return values.map(v => { const top = y; y += v / total * h + gap; return [top, v / total * h]; }); };
  const left = place(sums[0], from), right = place(sums[1], to), doneLeft = left.map(p => p[0]), doneRight = right.map(p => p[0]), mid = (x0 + x1) / 2;
  table.forEach((row, i) => row.forEach((n, j) => {
    if (!n) return;
    const a = n / sums[0][i] * left[i][1], b = n / sums[1][j] * right[j][1], ya = doneLeft[i], yb = doneRight[j];
    doneLeft[i] += a;
    doneRight[j] += b;
    chart.add("path", { d: `M${x0 + 8} ${ya}C${mid} ${ya} ${mid} ${yb} ${x1 - 8} ${yb}v${b}C${mid} ${yb + b} ${mid} ${ya + a} ${x0 + 8} ${ya + a}z`, fill: from[i].colour, "fill-opacity": .55, class: "band" }, `${from[i].name} and ${to[j].full}: ${whole(n)} cells`);
  }));
  const leftText = spread(left.map(([y, h]) => y + h / 2), y0, y1), rightText = spread(right.map(([y, h]) => y + h / 2), y0, y1);
  left.forEach(([y, h], i) => { chart.add("rect", { x: x0, y, width: 8, height: Math.max(h, 1), fill: from[i].colour }); chart.text(x0 - 6, leftText[i] + 4, from[i].name, { class: "tick", "text-anchor": "end" }); });
  right.forEach(([y, h], j) => { chart.add("rect", { x: x1 - 8, y, width: 8, height: Math.max(h, 1), fill: css("--soft") }); chart.text(x1 + 6, rightText[j] + 4, to[j].name, { class: "tick" }); });
}

/* Distribution of a value in each group: a violin (Gaussian kernel, Silverman's bandwidth), its median and its quartiles. */
function violins(box, { groups, title, log = false, top = null }) {
  const flat = groups.flatMap(g => g.values), high = top ?? flat.reduce((a, b) => Math.max(a, b), 1e-9), low = log ? flat.reduce((a, b) => Math.min(a, b), Infinity) : 0;
  const scale = log ? v => Math.log10(Math.max(v, 1)) : v => v, slanted = groups.some(g => g.name.length > 5);
  const chart = new Chart(box, { left: 60, bottom: slanted ? 92 : 40, height: slanted ? 292 : 240, width: Math.max(box.clientWidth || 420, 70 + 26 * groups.length) });
  const y = chart.y(scale(log ? low : 0), scale(high)), w = (chart.area.x1 - chart.area.x0) / groups.length;
  chart.axisY(v => y(scale(v)), log ? powers(low, high) : marksOf(0, high, 4), title, plainNumber);
  groups.forEach(({ name, values, colour, note }, i) => {
    const x = chart.area.x0 + w * (i + .5), v = values.map(scale).sort((a, b) => a - b), q = p => v[Math.min(v.length - 1, Math.floor(p * v.length))];
    if (v.length > 2 && v.at(-1) > v[0]) {
      const mean = v.reduce((a, b) => a + b, 0) / v.length, sd = Math.sqrt(v.reduce((a, b) => a + (b - mean) ** 2, 0) / v.length);
      const h = Math.max(1.06 * sd * v.length ** -.2, (scale(high) - scale(log ? low : 0)) / 90), steps = 60, points = [];
      const bins = new Float64Array(240), first = v[0], span = v.at(-1) - first;
      for (const one of v) bins[Math.min(239, Math.floor((one - first) / span * 240))]++;
      for (let s = 0; s <= steps; s++) {
        const at = first + span * s / steps;
        let sum = 0;
        for (let b = 0; b < 240; b++) if (bins[b]) sum += bins[b] * Math.exp(-(((at - first - span * (b + .5) / 240) / h) ** 2) / 2);
        points.push([at, sum]);
      }
      const most = Math.max(...points.map(p => p[1])), edge = sign => points.map(([at, d]) => `${(x + sign * d / most * w * .42).toFixed(1)} ${y(at).toFixed(1)}`);
      chart.add("path", { d: `M${[...edge(-1), ...edge(1).reverse()].join("L")}Z`, fill: colour, "fill-opacity": .75, stroke: colour, class: "violin" }, note);
    }
    if (v.length) {
      chart.add("line", { x1: x, x2: x, y1: y(q(.25)), y2: y(q(.75)), stroke: css("--ink"), "stroke-width": 3 });
      chart.add("circle", { cx: x, cy: y(q(.5)), r: 3.2, fill: css("--card"), stroke: css("--ink"), class: "median" }, note);
    }
    if (slanted) chart.add("text", { x, y: chart.area.y1 + 12, class: "tick", "text-anchor": "end", transform: `rotate(-40 ${x} ${chart.area.y1 + 12})` }, name, short(name, 16));
    else chart.text(x, chart.area.y1 + 16, name, { class: "tick", "text-anchor": "middle" });
  });
  chart.add("line", { x1: chart.area.x0, x2: chart.area.x1, y1: chart.area.y1, y2: chart.area.y1, class: "axis" });
}

/* Mean of a gene in each cluster, where the page holds no value of the single cells */
function bars(box, { groups, title }) {
  const chart = new Chart(box, { left: 60 }), y = chart.y(0, Math.max(...groups.map(g => g.value), 1e-9)), w = (chart.area.x1 - chart.area.x0) / groups.length;
  chart.axisY(y, marksOf(0, Math.max(...groups.map(g => g.value), 1e-9), 4), title, plainNumber);
  groups.forEach(({ name, value, colour, note }, i) => {
    chart.add("rect", { x: chart.area.x0 + w * i + w * .15, width: w * .7, y: y(value), height: chart.area.y1 - y(value), fill: colour, class: "bar" }, note);
    chart.text(chart.area.x0 + w * (i + .5), chart.area.y1 + 16, short(name, 6), { class: "tick", "text-anchor": "middle" });
  });
  chart.add("line", { x1: chart.area.x0, x2: chart.area.x1, y1: chart.area.y1, y2: chart.area.y1, class: "axis" });
}

/* A chart as a file of its own: the styles that the page gives go with it, on white. */
function saveChart(box, name) {
  const theme = root.dataset.theme;
  root.dataset.theme = "light";
  try {
    box.redraw();
    const node = box.querySelector("svg"), copy = node.cloneNode(true), own = node.querySelectorAll("*");
    copy.setAttribute("xmlns", SVG);
    copy.setAttribute("font-family", "Arial, Helvetica, sans-serif");
    copy.querySelectorAll("*").forEach((child, i) => {
      const style = getComputedStyle(own[i]);
      for (const property of ["fill", "stroke", "stroke-width", "stroke-dasharray", "font-size", "font-weight"]) child.setAttribute(property, style.getPropertyValue(property));
    });
    copy.insertBefore(svg("rect", { width: "100%", height: "100%", fill: "#ffffff" }), copy.firstChild);
    save(`${fileName(name)}.svg`, new XMLSerializer().serializeToString(copy), "image/svg+xml");
  } finally {
    root.dataset.theme = theme;
    box.redraw();
  }
}
