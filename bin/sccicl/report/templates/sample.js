/* One sample: its data, read when first needed, what the reader chose, and the parts of the page that show it. */
class Sample {
  constructor(section) {
    this.section = section;
    this.highlighted = new Set();
    this.selected = null;
    this.showLabels = true;
    this.levels = new Map();
    this.find = selector => section.querySelector(selector);
    this.charts = [...section.querySelectorAll("[data-plot]:not([data-plot=cells])")];
    for (const box of this.charts) box.redraw = () => this.drawChart(box);
  }

  get data() {
    if (!this.read) {
      this.read = JSON.parse(this.find("script.data").textContent);
      for (const layout of this.read.layouts) for (const axis of ["x", "y"]) {
        const [low, high] = axis === "x" ? layout.bounds.slice(0, 2) : layout.bounds.slice(2);
        layout[axis] = Float32Array.from(unpack(layout[axis], Uint16Array), v => low + v / 65535 * (high - low));
      }
      for (const c of this.read.colourings) if (c.codes) c.codes = unpack(c.codes, c.wide ? Uint16Array : Uint8Array);
    }
    return this.read;
  }
  get storage() { return `cicl:names:${this.data.id}:${this.data.clusters.counts.join("-")}`; }
  get names() {
    if (!this.given) { try { this.given = JSON.parse(recall(this.storage) ?? "{}"); } catch { this.given = {}; } }
    return this.given;
  }
  get layout() { return this.data.layouts.find(l => l.name === this.chosen("layout")) ?? this.data.layouts[0]; }
  get colouring() { return this.gene ?? this.data.colourings[Number(this.chosen("colour") ?? 0)] ?? this.data.colourings[0]; }
  chosen(what) { return this.find(`input[name="${this.section.id}-${what}"]:checked`)?.value; }
  radio(what, value) { return [...this.section.querySelectorAll(`input[name="${this.section.id}-${what}"]`)].find(input => input.value === value); }

  nameOf(c, code) {
    if (code >= c.names.length) return "not given";
    const own = c === this.data.colourings[0] ? this.names[c.names[code]] : null;
    return own ? `${c.names[code]} ${own}` : c.names[code];
  }
  /* The cell type of a cluster by annotation, where the reader has not named it */
  typeOf(c, code) {
    const name = c === this.data.colourings[0] ? c.names[code] : null;
    return name === null || name === undefined || this.names[name] ? "" : this.data.types[name] ?? "";
  }
  fullNameOf(c, code) { return `${this.nameOf(c, code)} ${this.typeOf(c, code)}`.trim(); }

  /* Of each category the cell nearest to its median, where its name goes. */
  middles(c) {
    const key = `${this.layout.name}/${c.title}`;
    this.middle ??= {};
    if (this.middle[key]) return this.middle[key];
    const { x, y } = this.layout, members = c.names.map(() => []), median = values => values.sort((a, b) => a - b)[values.length >> 1];
    c.codes.forEach((code, i) => members[code]?.push(i));
    return this.middle[key] = members.map((cells, code) => {
      if (!cells.length) return null;
      const mx = median(cells.map(i => x[i])), my = median(cells.map(i => y[i]));
      let best = cells[0], least = Infinity;
      for (const i of cells) {
        const distance = (x[i] - mx) ** 2 + (y[i] - my) ** 2;
        if (distance < least) { least = distance; best = i; }
      }
      return { code, cell: best };
    }).filter(Boolean);
  }

  /* What the map paints: a colour index for each cell, the colours, their order, and which cells step back. */
  painting() {
    const c = this.colouring, lit = this.highlighted, selected = this.selected && new Set(this.selected);
    if (c.codes) {
      const lut = [...c.colours.map(shade), shade(this.data.missing)].flatMap(rgbOf);
      const isDim = selected ? i => !selected.has(i) : lit.size ? i => !lit.has(c.codes[i]) : null;
      return { index: c.codes, lut, order: null, isDim };
    }
    const colour = c.gene ? expressionRamp() : VIRIDIS, lut = [];
    for (let level = 0; level < 256; level++) lut.push(...colour(level / 255));
    return { index: c.painted ?? c.levels, lut, order: c.order, isDim: selected ? i => !selected.has(i) : null };
  }
  async prepare(c) {
    if (!c.codes && !c.levels) c.levels = await inflate(c.z);
    if (c.levels && !c.order) {
      // Low values first, so that high ones lie on top (counting sort)
      const starts = new Uint32Array(257), order = new Uint32Array(c.levels.length);
      for (const level of c.levels) starts[level + 1]++;
      for (let level = 0; level < 256; level++) starts[level + 1] += starts[level];
      c.levels.forEach((level, i) => { order[starts[level]++] = i; });
      c.order = order;
    }
    return c;
  }
  valueOf(c, i) {
    const t = c.levels[i] / 255;
    return c.log ? 10 ** (Math.log10(Math.max(c.low, 1)) + t * (Math.log10(Math.max(c.high, 1)) - Math.log10(Math.max(c.low, 1)))) : c.low + t * (c.high - c.low);
  }
  async barcodes() { return this.names_of_cells ??= (await inflateText(this.data.barcodes)).split("\n"); }
  async describe(i) {
    const lines = [(await this.barcodes())[i]];
    if (this.gene?.levels) lines.push(`${this.gene.title}: ${this.valueOf(this.gene, i).toFixed(2)}`);
    for (const c of this.data.colourings) {
      if (c.codes) lines.push(`${c.title}: ${short(this.nameOf(c, c.codes[i]), 40)}`);
      else { await this.prepare(c); lines.push(`${c.title}: ${plainNumber(Number(this.valueOf(c, i).toPrecision(3)))}`); }
    }
    return lines;
  }

  /* Drawing */
  drawMap() {
    const box = this.find("[data-plot=cells]");
    if (!box) return;
    this.map ??= new CellMap(this, box);
    this.map.draw();
    this.find(".layout-note").textContent = this.layout.note;
    this.drawLegend();
  }
  drawChart(box) {
    try {
      CHARTS[box.dataset.plot](this, box);
    } catch (error) {
      box.textContent = "This chart could not be drawn.";
      console.error(error);
    }
  }
  repaint() {
    if (this.map?.drawn) { this.map.draw(); this.drawLegend(); }
    this.drawDistribution();
  }
  drawAll() {
    this.drawMap();
    this.charts.forEach(box => box.redraw());
    this.drawDistribution();
  }

  async recolour() {
    const c = this.colouring;
    this.highlighted.clear();
    await this.prepare(c);
    if (c !== this.colouring) return;
    this.drawMap();
    this.drawDistribution();
    noteState(this);
  }

  drawLegend() {
    const box = this.find(".map-legend"), c = this.colouring, focused = box.contains(document.activeElement) ? document.activeElement.dataset.code : null;
    if (!c.codes) {
      const colour = c.gene ? expressionRamp() : VIRIDIS, stops = Array.from({ length: 11 }, (_, i) => `${hexOf(colour(i / 10))} ${10 * i}%`);
      const ends = [this.valueAt(c, 0), this.valueAt(c, .5), this.valueAt(c, 1)].map(v => el("span", {}, plainNumber(Number(v.toPrecision(2)))));
      box.replaceChildren(el("div", { class: "scale" }, el("b", {}, c.title), el("div", { class: "bar", style: `background:linear-gradient(90deg,${stops.join(",")})` }), el("div", { class: "ends" }, ...ends)), el("p", {}, c.help));
      return;
    }
    const entry = (code, count, colour) => el("button", {
      type: "button", "data-code": code, "aria-pressed": String(this.highlighted.has(code)), onclick: () => {
        this.highlighted.has(code) ? this.highlighted.delete(code) : this.highlighted.add(code);
        this.drawMap();
      },
    }, el("i", { class: "dot", style: `background:${colour}` }), el("span", {}, this.nameOf(c, code), this.typeOf(c, code) ? el("span", { class: "type" }, this.typeOf(c, code)) : null), el("small", {}, whole(count)));
    const entries = c.names.map((_, code) => entry(code, c.counts[code], shade(c.colours[code])));
    if (c.unknown) entries.push(entry(c.names.length, c.unknown, shade(this.data.missing)));
    if (this.highlighted.size) entries.push(el("button", { type: "button", class: "select-lit", onclick: () => this.select([...c.codes.keys()].filter(i => this.highlighted.has(c.codes[i]))) }, "Select these cells"));
    box.replaceChildren(...entries);
    if (focused) box.querySelector(`[data-code="${focused}"]`)?.focus();
  }
  valueAt(c, t) {
    if (!c.log) return c.low + t * (c.high - c.low);
    const low = Math.log10(Math.max(c.low, 1)), high = Math.log10(Math.max(c.high, 1));
    return 10 ** (low + t * (high - low));
  }
  legendEntries() {
    const c = this.colouring;
    if (c.codes) return c.names.map((_, code) => ({ text: short(this.fullNameOf(c, code), 30), colour: shade(c.colours[code]) }));
    const colour = c.gene ? expressionRamp() : VIRIDIS;
    return [{ text: c.title }, ...[1, .75, .5, .25, 0].map(t => ({ text: plainNumber(Number(this.valueAt(c, t).toPrecision(2))), colour: hexOf(colour(t)) }))];
  }

  /* Violins of the chosen value by cluster; means where the page holds no value of single cells */
  drawDistribution() {
    const figure = this.find(".distribution"), c = this.colouring;
    if (!figure) return;
    figure.hidden = !!c.codes;
    if (c.codes) return;
    const clusters = this.data.colourings[0], box = figure.querySelector(".plot"), name = code => this.nameOf(clusters, code);
    figure.querySelector("figcaption span").textContent = `${c.title} by cluster`;
    box.redraw = () => this.drawDistribution();
    box.dataset.label = `Distribution of ${c.title} in each cluster`;
    if (c.levels) {
      const values = clusters.names.map(() => []);
      clusters.codes.forEach((code, i) => values[code]?.push(this.valueOf(c, i)));
      const groups = clusters.names.map((_, code) => {
        const expressing = c.fraction ? `, ${(100 * c.fraction[code]).toFixed(0)} % of the cells express it, mean ${c.mean[code].toFixed(2)}` : "";
        return { name: name(code), values: values[code], colour: shade(clusters.colours[code]), note: `Cluster ${name(code)}${expressing}` };
      });
      violins(box, { groups, title: c.gene ? "Expression" : c.title, log: c.log, top: c.high });
    } else {
      bars(box, { title: "Mean expression", groups: clusters.names.map((n, code) => ({ name: n, value: c.mean[code], colour: shade(clusters.colours[code]), note: `Cluster ${name(code)}: mean ${c.mean[code].toFixed(2)}, ${(100 * c.fraction[code]).toFixed(0)} % of the cells express it` })) });
    }
  }

  /* Genes: the list, the mean in every cluster, and for many the level of every cell */
  async geneList() {
    const s = this.data.search;
    if (!s) return [];
    return this.symbols ??= (await inflateText(s.symbols)).split("\n");
  }
  async geneOf(symbol) {
    const symbols = await this.geneList(), wanted = symbol.toLowerCase();
    let at = symbols.indexOf(symbol);
    if (at < 0) at = symbols.findIndex(s => s.toLowerCase() === wanted);
    if (at < 0) return null;
    if (this.levels.has(at)) return this.levels.get(at);
    const s = this.data.search, k = this.data.clusters.names.length;
    this.means ??= await inflate(s.mean);
    this.fractions ??= await inflate(s.fraction);
    this.tops ??= await inflate(s.top, Float32Array);
    const gene = {
      title: symbols[at], gene: true, low: 0, high: this.tops[at], help: "Expression: counts scaled to 10,000 in every cell, then log(1 + x).",
      mean: Array.from({ length: k }, (_, c) => this.means[at * k + c] / 255 * this.tops[at]), fraction: Array.from({ length: k }, (_, c) => this.fractions[at * k + c] / 255),
    };
    const place = s.stored.indexOf(at);
    if (place >= 0) {
      this.blob ??= this.find("script.genes").textContent;
      gene.levels = await inflate(this.blob.slice(place ? s.ends[place - 1] : 0, s.ends[place]));
      gene.high = s.tops[place];
    } else {
      // Each cell has the mean of its cluster: the legend says so.
      const codes = this.data.colourings[0].codes, high = Math.max(...gene.mean, 1e-9);
      gene.high = high;
      gene.onlyMeans = true;
      gene.help = "Only the mean of each cluster is stored for this gene, and every cell is drawn in the colour of its cluster's mean. Values of single cells are stored for the markers and the most variable genes.";
      gene.shown = Uint8Array.from(codes, code => Math.round(255 * (gene.mean[code] ?? 0) / high));
    }
    this.levels.set(at, gene);
    return gene;
  }
  async showGene(symbol, scroll = false) {
    const token = this.asked = {}, input = this.find(".search input"), gene = await this.geneOf(symbol);
    if (token !== this.asked) return;
    const status = this.find(".search .status");
    if (status) status.textContent = gene ? "" : symbol ? `${symbol} is not among the genes of this sample.` : "";
    if (!gene) return;
    this.gene = gene.onlyMeans ? Object.assign(Object.create(gene), { painted: gene.shown }) : gene;
    if (input) input.value = gene.title;
    const checked = this.find(`input[name="${this.section.id}-colour"]:checked`);
    if (checked) checked.checked = false;
    await this.recolour();
    if (scroll) this.find(".cells")?.scrollIntoView({ block: "start" });
  }
  leaveGene() {
    this.asked = {};
    this.gene = null;
    const input = this.find(".search input");
    if (input) input.value = "";
  }

  /* Selected cells */
  select(cells) {
    this.selected = cells?.length ? cells : null;
    const panel = this.find(".selection");
    if (this.map?.drawn) this.map.draw();
    if (!panel) return;
    panel.hidden = !this.selected;
    if (!this.selected) { panel.replaceChildren(); return; }
    const c = this.data.colourings[0], counts = c.names.map(() => 0), status = el("span", { role: "status" });
    for (const i of this.selected) counts[c.codes[i]]++;
    const parts = counts.map((n, code) => [n, code]).filter(([n]) => n).sort((a, b) => b[0] - a[0]).slice(0, 6).map(([n, code]) => `${whole(n)} of cluster ${this.nameOf(c, code)}`);
    panel.replaceChildren(
      el("p", {}, el("b", {}, `${whole(this.selected.length)} cells selected`), `: ${parts.join(", ")}`),
      el("div", { class: "row" },
        el("button", { type: "button", onclick: async () => { const all = await this.barcodes(); copyText(this.selected.map(i => all[i]).join("\n"), status); } }, "Copy barcodes"),
        el("button", { type: "button", onclick: async () => save(`${fileName(this.data.id)}.selection.csv`, await this.selectionCsv(), "text/csv") }, "Download CSV"),
        el("button", { type: "button", onclick: () => this.select(null) }, "Clear"), status),
    );
  }
  async selectionCsv() {
    const all = await this.barcodes(), c = this.data.colourings[0];
    return csv([["barcode", "cluster"], ...this.selected.map(i => [all[i], c.names[c.codes[i]]])]);
  }

  /* Names that the reader gives to clusters: kept in this browser, exported as CSV */
  setName(cluster, name) {
    const text = name.trim();
    text ? this.names[cluster] = text : delete this.names[cluster];
    remember(this.storage, Object.keys(this.names).length ? JSON.stringify(this.names) : null);
    this.repaint();
    this.showNamed();
  }
  showNamed() {
    const n = Object.keys(this.names).length, button = this.find(".save-names");
    if (button) button.disabled = !n;
  }
  namesCsv() { return csv([["cluster", "label"], ...this.data.clusters.names.filter(name => this.names[name]).map(name => [name, this.names[name]])]); }
}
