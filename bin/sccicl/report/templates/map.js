/* The map of the cells, painted point by point into a canvas: no WebGL, so it is the same in every browser. */
const RADII = [[1500, 3.6], [5000, 2.6], [20000, 1.9], [60000, 1.4], [Infinity, 1.1]];
const MOST_LABELS = 60;
const SMALL_CLUSTER = 40;

/* Coverage of the pixels under a disc whose centre lies at one of 4 x 4 places within a pixel. */
function discs(radius) {
  const reach = Math.ceil(radius + 1), found = [];
  for (let sy = 0; sy < 4; sy++) for (let sx = 0; sx < 4; sx++) {
    const dx = [], dy = [], alpha = [];
    for (let y = -reach; y <= reach; y++) for (let x = -reach; x <= reach; x++) {
      const distance = Math.hypot(x + .5 - (sx + .5) / 4, y + .5 - (sy + .5) / 4);
      const cover = clamp(radius + .5 - distance, 0, 1);
      if (cover > .02) { dx.push(x); dy.push(y); alpha.push(cover); }
    }
    found.push({ dx, dy, alpha });
  }
  return found;
}

/* Where the points of a layout lie in a rectangle of w x h pixels: x = ox + s * x, y = oy - s * y. */
function fitted(layout, w, h, pad) {
  const [x0, x1, y0, y1] = layout.bounds, dx = Math.max(x1 - x0, 1e-9), dy = Math.max(y1 - y0, 1e-9);
  const s = Math.min((w - 2 * pad) / dx, (h - 2 * pad) / dy);
  return { s, ox: w / 2 - s * (x0 + x1) / 2, oy: h / 2 + s * (y0 + y1) / 2 };
}

class CellMap {
  constructor(sample, box) {
    this.sample = sample;
    this.box = box;
    this.canvas = box.querySelector("canvas.points");
    this.over = box.querySelector("canvas.over");
    this.tip = box.querySelector(".tip");
    this.views = {};
    this.lasso = null;
    this.selecting = false;
    this.pointers = new Map();
    this.listen();
    new ResizeObserver(() => { if (this.drawn && this.box.clientWidth !== this.drawnWidth) this.draw(); }).observe(box);
  }

  get layout() { return this.sample.layout; }
  /* Zoom and place of the layout in sight, in units of the fitted view: they outlive scrolling and resizing. */
  get view() { return this.views[this.layout.name] ??= { zoom: 1, x: 0, y: 0 }; }

  place(width, height) {
    const at = fitted(this.layout, width, height, Math.min(28, width * .06)), { zoom, x, y } = this.view;
    return {
      s: at.s * zoom,
      ox: (at.ox - width / 2) * zoom + width / 2 + x * width,
      oy: (at.oy - height / 2) * zoom + height / 2 + y * height,
    };
  }

  radius(width) {
    const n = this.layout.x.length, base = RADII.find(([most]) => n <= most)[1];
    return base * clamp(Math.sqrt(width / 640), .75, 1.3) * Math.min(2.5, this.view.zoom ** .4);
  }

  draw() {
    const width = this.box.clientWidth || 640, height = this.box.clientHeight || 480;
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    this.drawnWidth = width;
    this.size = { width, height, ratio };
    for (const canvas of [this.canvas, this.over]) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    this.paint(this.canvas.getContext("2d", { willReadFrequently: true }), width, height, ratio);
    this.drawOver();
    this.grid = null;
    this.drawn = true;
    this.box.dataset.drawn = "yes";
  }

  /* Points and their labels; used for the screen and for pictures. */
  paint(context, width, height, ratio, ground = css("--card")) {
    const { x, y } = this.layout, at = this.place(width, height), n = x.length;
    const W = Math.round(width * ratio), H = Math.round(height * ratio);
    const image = context.createImageData(W, H), px = image.data, back = rgbOf(ground);
    new Uint32Array(px.buffer).fill(255 << 24 | back[2] << 16 | back[1] << 8 | back[0]);
    const { index, lut, order, isDim } = this.sample.painting(), faint = rgbOf(css("--faint"));
    const masks = discs(this.radius(width) * ratio);
    const stamp = (i, r, g, b) => {
      const cx = (at.ox + at.s * x[i]) * ratio, cy = (at.oy - at.s * y[i]) * ratio;
      const ix = Math.floor(cx), iy = Math.floor(cy);
      if (ix < -9 || iy < -9 || ix > W + 9 || iy > H + 9) return;
      const { dx, dy, alpha } = masks[Math.floor((cy - iy) * 4) * 4 + Math.floor((cx - ix) * 4)];
      for (let k = 0; k < dx.length; k++) {
        const qx = ix + dx[k], qy = iy + dy[k];
        if (qx < 0 || qy < 0 || qx >= W || qy >= H) continue;
        const o = (qy * W + qx) * 4, a = alpha[k];
        px[o] += (r - px[o]) * a;
        px[o + 1] += (g - px[o + 1]) * a;
        px[o + 2] += (b - px[o + 2]) * a;
      }
    };
    if (isDim) for (let k = 0; k < n; k++) { const i = order ? order[k] : k; if (isDim(i)) stamp(i, ...faint); }
    for (let k = 0; k < n; k++) {
      const i = order ? order[k] : k;
      if (isDim?.(i)) continue;
      const c = index[i] * 3;
      stamp(i, lut[c], lut[c + 1], lut[c + 2]);
    }
    context.putImageData(image, 0, 0);
    for (const label of this.labels(width, height)) this.write(context, label, ratio, ground);
  }

  write(context, { text, x, y, align }, ratio, ground) {
    context.font = `650 ${13 * ratio}px ${getComputedStyle(document.body).fontFamily}`;
    context.textAlign = align;
    context.textBaseline = "middle";
    context.lineJoin = "round";
    context.lineWidth = 4 * ratio;
    context.strokeStyle = ground;
    context.fillStyle = css("--ink");
    context.strokeText(text, x * ratio, y * ratio);
    context.fillText(text, x * ratio, y * ratio);
  }

  /* Names on the map follow the colouring. A group of few cells has its name beside it, where it hides none. */
  labels(width, height) {
    const c = this.sample.colouring;
    if (!this.sample.showLabels || !c.codes || !c.labelled || c.names.length > MOST_LABELS) return [];
    const at = this.place(width, height), found = [];
    for (const { code, cell } of this.sample.middles(c)) {
      const x = at.ox + at.s * this.layout.x[cell], y = at.oy - at.s * this.layout.y[cell];
      if (x < 0 || y < 0 || x > width || y > height) continue;
      const beside = c.counts[code] < SMALL_CLUSTER ? 12 : 0, right = x < width - 90;
      found.push({
        text: short(this.sample.nameOf(c, code), 24), x: clamp(x + (beside && (right ? beside : -beside)), 8, width - 8), y: clamp(y - beside, 9, height - 9),
        align: beside ? right ? "left" : "right" : x < 60 ? "left" : x > width - 60 ? "right" : "center",
      });
    }
    return found;
  }

  drawOver() {
    const context = this.over.getContext("2d"), { ratio } = this.size;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.over.width, this.over.height);
    context.strokeStyle = css("--ink");
    context.lineWidth = 1.5;
    if (this.lasso?.length > 1) {
      context.beginPath();
      this.lasso.forEach(([x, y], i) => i ? context.lineTo(x, y) : context.moveTo(x, y));
      context.setLineDash([5, 4]);
      context.stroke();
      context.setLineDash([]);
    }
    if (this.hovered >= 0) {
      const at = this.place(this.size.width, this.size.height);
      context.beginPath();
      context.arc(at.ox + at.s * this.layout.x[this.hovered], at.oy - at.s * this.layout.y[this.hovered], this.radius(this.size.width) + 2.5, 0, 7);
      context.stroke();
    }
  }

  zoom(factor, at = null) {
    const { width, height } = this.size, v = this.view, before = v.zoom;
    v.zoom = clamp(v.zoom * factor, 1, 60);
    const f = v.zoom / before, fx = at ? at[0] / width - .5 : 0, fy = at ? at[1] / height - .5 : 0;
    v.x = fx + (v.x - fx) * f;
    v.y = fy + (v.y - fy) * f;
    this.bounded();
    this.soon();
  }
  pan(dx, dy) {
    this.view.x += dx / this.size.width;
    this.view.y += dy / this.size.height;
    this.bounded();
    this.soon();
  }
  bounded() {
    const v = this.view, most = v.zoom / 2;
    v.x = clamp(v.x, -most, most);
    v.y = clamp(v.y, -most, most);
    if (v.zoom === 1) v.x = v.y = 0;
  }
  reset() {
    delete this.views[this.layout.name];
    this.soon();
  }
  soon() {
    this.grid = null;
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.draw(); });
  }

  /* The nearest cell within 12 pixels, by a grid of 16-pixel fields. */
  cellAt(px, py) {
    const { width, height } = this.size, at = this.place(width, height), { x, y } = this.layout, columns = Math.ceil(width / 16) + 1;
    if (!this.grid) {
      this.grid = new Map();
      for (let i = 0; i < x.length; i++) {
        const key = Math.floor((at.oy - at.s * y[i]) / 16) * columns + Math.floor((at.ox + at.s * x[i]) / 16);
        const field = this.grid.get(key);
        field ? field.push(i) : this.grid.set(key, [i]);
      }
    }
    let best = -1, least = 144;
    for (let gy = -1; gy <= 1; gy++) for (let gx = -1; gx <= 1; gx++) {
      for (const i of this.grid.get((Math.floor(py / 16) + gy) * columns + Math.floor(px / 16) + gx) ?? []) {
        const distance = (at.ox + at.s * x[i] - px) ** 2 + (at.oy - at.s * y[i] - py) ** 2;
        if (distance < least) { least = distance; best = i; }
      }
    }
    return best;
  }

  async hover(px, py) {
    const cell = this.cellAt(px, py), changed = cell !== this.hovered;
    this.hovered = cell;
    if (changed) this.drawOver();
    if (cell < 0) { this.tip.hidden = true; return; }
    if (changed) {
      const lines = await this.sample.describe(cell);
      if (this.hovered !== cell) return;
      this.tip.replaceChildren(el("b", {}, lines[0]), ...lines.slice(1).map(line => el("span", {}, line)));
      this.tip.hidden = false;
    }
    const { width, height } = this.size;
    this.tip.style.left = `${clamp(px + 14, 0, Math.max(0, width - this.tip.offsetWidth - 4))}px`;
    this.tip.style.top = `${clamp(py + 14, 0, Math.max(0, height - this.tip.offsetHeight - 4))}px`;
  }

  listen() {
    const over = this.over, where = event => { const r = over.getBoundingClientRect(); return [event.clientX - r.left, event.clientY - r.top]; };
    over.addEventListener("pointerdown", event => {
      if (event.button) return;
      this.pointers.set(event.pointerId, where(event));
      if (this.selecting && this.pointers.size === 1) this.lasso = [where(event)];
      if (event.pointerType === "mouse" || this.selecting) over.setPointerCapture(event.pointerId);
    });
    over.addEventListener("pointermove", event => {
      const at = where(event), before = this.pointers.get(event.pointerId);
      if (!before) { if (event.pointerType === "mouse") this.hover(...at); return; }
      if (this.lasso) { this.lasso.push(at); this.drawOver(); return; }
      const others = [...this.pointers].filter(([id]) => id !== event.pointerId);
      if (others.length) {
        const other = others[0][1], distance = p => Math.hypot(p[0] - other[0], p[1] - other[1]);
        this.zoom(distance(at) / Math.max(distance(before), 1), [(at[0] + other[0]) / 2, (at[1] + other[1]) / 2]);
      } else if (event.pointerType === "mouse" || this.view.zoom > 1) this.pan(at[0] - before[0], at[1] - before[1]);
      this.pointers.set(event.pointerId, at);
    });
    const end = event => {
      const at = this.pointers.get(event.pointerId);
      this.pointers.delete(event.pointerId);
      if (this.lasso) { const path = this.lasso; this.lasso = null; this.drawOver(); if (path.length > 2) this.sample.select(this.within(path)); }
      else if (at && event.type === "pointerup" && event.pointerType !== "mouse") this.hover(...at);
    };
    over.addEventListener("pointerup", end);
    over.addEventListener("pointercancel", event => { this.pointers.delete(event.pointerId); this.lasso = null; });
    over.addEventListener("pointerleave", () => { this.hovered = -1; this.tip.hidden = true; if (this.drawn) this.drawOver(); });
    over.addEventListener("dblclick", () => this.reset());
    over.addEventListener("wheel", event => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY / 300), where(event));
    }, { passive: false });
    over.addEventListener("keydown", event => {
      const step = 40, act = {
        ArrowLeft: () => this.pan(step, 0), ArrowRight: () => this.pan(-step, 0), ArrowUp: () => this.pan(0, step), ArrowDown: () => this.pan(0, -step),
        "+": () => this.zoom(1.4), "=": () => this.zoom(1.4), "-": () => this.zoom(1 / 1.4), 0: () => this.reset(), Escape: () => this.sample.select(null),
      }[event.key];
      if (!act || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      act();
    });
  }

  /* Cells within a closed path (even-odd rule). */
  within(path) {
    const at = this.place(this.size.width, this.size.height), { x, y } = this.layout, found = [];
    for (let i = 0; i < x.length; i++) {
      const px = at.ox + at.s * x[i], py = at.oy - at.s * y[i];
      let inside = false;
      for (let a = 0, b = path.length - 1; a < path.length; b = a++) {
        const [ax, ay] = path[a], [bx, by] = path[b];
        if (ay > py !== by > py && px < (bx - ax) * (py - ay) / (by - ay) + ax) inside = !inside;
      }
      if (inside) found.push(i);
    }
    return found;
  }

  /* The map as a picture with its legend: always dark on white, for slides and papers. */
  picture(type) {
    const theme = root.dataset.theme, width = 900, height = 700;
    root.dataset.theme = "light";
    this.sample.repaint();
    try {
      const entries = this.sample.legendEntries(), side = 260;
      if (type === "png") {
        const ratio = 2, canvas = el("canvas", { width: (width + side) * ratio, height: height * ratio }), context = canvas.getContext("2d");
        context.fillStyle = "#ffffff";
        context.fillRect(0, 0, canvas.width, canvas.height);
        this.paint(context, width, height, ratio, "#ffffff");
        context.font = `${13 * ratio}px ${getComputedStyle(document.body).fontFamily}`;
        context.textAlign = "left";
        context.textBaseline = "middle";
        entries.forEach(({ text, colour }, i) => {
          const y = (30 + 20 * i) * ratio;
          if (colour) { context.fillStyle = colour; context.beginPath(); context.arc((width + 12) * ratio, y, 6 * ratio, 0, 7); context.fill(); }
          context.fillStyle = "#1b242c";
          context.fillText(text, (width + (colour ? 26 : 6)) * ratio, y);
        });
        canvas.toBlob(blob => save(`${this.pictureName()}.png`, blob));
        return;
      }
      save(`${this.pictureName()}.svg`, new XMLSerializer().serializeToString(this.vector(width, height, side, entries)), "image/svg+xml");
    } finally {
      root.dataset.theme = theme;
      this.sample.repaint();
    }
  }
  /* On paper the map is an image: browsers print a canvas that has just been painted as an empty box. */
  toPaper() {
    const { width, height } = this.size, canvas = el("canvas", { width: width * 2, height: height * 2 });
    this.paint(canvas.getContext("2d"), width, height, 2);
    this.paper = el("img", { class: "paper", alt: this.canvas.getAttribute("aria-label"), src: canvas.toDataURL(), decoding: "sync" });
    this.box.append(this.paper);
  }
  fromPaper() { this.paper?.remove(); }
  pictureName() { return fileName(`${this.sample.data.id}_${this.layout.name}_${this.sample.colouring.title}`); }

  vector(width, height, side, entries) {
    const at = this.place(width, height), { index, lut, order, isDim } = this.sample.painting(), faint = css("--faint"), r = this.radius(width).toFixed(2);
    const drawing = svg("svg", { xmlns: SVG, viewBox: `0 0 ${width + side} ${height}`, width: width + side, height, "font-family": "Arial, Helvetica, sans-serif", "font-size": 13 });
    drawing.append(svg("rect", { width: width + side, height, fill: "#ffffff" }));
    const groups = new Map(), { x, y } = this.layout;
    const inner = svg("svg", { x: 0, y: 0, width, height });
    for (let k = 0; k < x.length; k++) {
      const i = order ? order[k] : k, c = index[i] * 3;
      const colour = isDim?.(i) ? faint : hexOf([lut[c], lut[c + 1], lut[c + 2]]);
      const path = `M${(at.ox + at.s * x[i]).toFixed(1)} ${(at.oy - at.s * y[i]).toFixed(1)}h0`;
      groups.has(colour) ? groups.get(colour).push(path) : groups.set(colour, [path]);
    }
    for (const [colour, paths] of groups) inner.append(svg("path", { d: paths.join(""), stroke: colour, "stroke-width": 2 * r, "stroke-linecap": "round", fill: "none" }));
    for (const { text, x, y, align } of this.labels(width, height)) {
      inner.append(svg("text", { x, y, "text-anchor": { center: "middle", left: "start", right: "end" }[align], "dominant-baseline": "middle", "font-weight": "bold", fill: "#1b242c", stroke: "#ffffff", "stroke-width": 3, "paint-order": "stroke" }, text));
    }
    drawing.append(inner);
    entries.forEach(({ text, colour }, i) => {
      if (colour) drawing.append(svg("circle", { cx: width + 12, cy: 30 + 20 * i, r: 6, fill: colour }));
      drawing.append(svg("text", { x: width + (colour ? 26 : 6), y: 34 + 20 * i, fill: "#1b242c" }, text));
    });
    return drawing;
  }
}
