/* The page: search, tables, names, navigation, printing. */
const samples = [...document.querySelectorAll("section.sample")].map(section => new Sample(section));

/* A view can be shared: the address holds layout, colouring and gene. */
function noteState(sample) {
  const state = new URLSearchParams();
  if (sample.layout !== sample.data.layouts[0]) state.set("layout", sample.layout.name);
  if (sample.gene) state.set("gene", sample.gene.title);
  else if (sample.colouring !== sample.data.colourings[0]) state.set("colour", sample.colouring.title);
  try { history.replaceState(null, "", `#${sample.section.id}${state.size ? `?${state}` : ""}`); } catch { /* a page within another one */ }
}
function readState() {
  const [anchor, query] = location.hash.slice(1).split("?"), sample = samples.find(s => s.section.id === anchor);
  if (!sample || !query) return;
  const state = new URLSearchParams(query), layout = sample.radio("layout", state.get("layout") ?? "");
  if (layout) layout.checked = true;
  const colour = sample.data.colourings.findIndex(c => c.title === state.get("colour"));
  if (colour >= 0) sample.radio("colour", String(colour)).checked = true;
  sample.section.scrollIntoView();
  state.get("gene") ? sample.showGene(state.get("gene")) : sample.recolour();
}

/* Any gene by search: a combobox with the first matches, those that begin with the text before the others. */
function searchBox(sample) {
  const input = sample.find(".search input"), list = sample.find(".search [role=listbox]");
  if (!input) return;
  let shown = [], active = -1;
  const close = () => { list.hidden = true; active = -1; input.setAttribute("aria-expanded", "false"); input.removeAttribute("aria-activedescendant"); };
  const mark = at => {
    active = at;
    [...list.children].forEach((item, i) => item.setAttribute("aria-selected", String(i === at)));
    at < 0 ? input.removeAttribute("aria-activedescendant") : input.setAttribute("aria-activedescendant", list.children[at].id);
  };
  const choose = symbol => { close(); sample.showGene(symbol); };
  input.addEventListener("input", async () => {
    const wanted = input.value.trim().toLowerCase(), all = await sample.geneList();
    if (wanted !== input.value.trim().toLowerCase()) return;
    if (!wanted) return close();
    const first = [], then = [];
    for (const symbol of all) {
      const at = symbol.toLowerCase().indexOf(wanted);
      if (at === 0) first.push(symbol); else if (at > 0 && then.length < 12) then.push(symbol);
    }
    shown = [...first.sort((a, b) => a.length - b.length).slice(0, 12), ...then].slice(0, 12);
    list.replaceChildren(...shown.map((symbol, i) => el("li", { role: "option", id: `${list.id}-${i}`, "aria-selected": "false", onpointerdown: event => { event.preventDefault(); choose(symbol); } }, symbol)));
    list.hidden = !shown.length;
    input.setAttribute("aria-expanded", String(!!shown.length));
    active = -1;
    sample.find(".search .status").textContent = shown.length ? "" : "No gene of this sample has this text in its name.";
  });
  input.addEventListener("keydown", event => {
    if (event.key === "ArrowDown" && !list.hidden) mark((active + 1) % shown.length);
    else if (event.key === "ArrowUp" && !list.hidden) mark((active - 1 + shown.length) % shown.length);
    else if (event.key === "Enter") { if (input.value.trim()) choose(active >= 0 ? shown[active] : input.value.trim()); }
    else if (event.key === "Escape") close();
    else return;
    event.preventDefault();
  });
  input.addEventListener("blur", () => setTimeout(close, 150));
}

/* Tables that sort by a click on their heads, filter by a text, and download as CSV */
function liveTable(table) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  const textOf = cell => (cell.querySelector("input")?.value ?? cell.dataset.value ?? cell.textContent).trim();
  heads.forEach((head, column) => {
    const text = head.dataset.title ?? head.textContent.trim();
    const button = el("button", { type: "button", class: "sort" }, ...head.childNodes);
    head.replaceChildren(button);
    head.dataset.title = text;
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = row => { const text = textOf(row.cells[column]), n = Number.parseFloat(text.replace(/[,\s%]/g, "")); return /^[-+\d.]/.test(text) && Number.isFinite(n) ? n : text; };
      const rows = [...body.rows].map(row => [key(row), row]);
      rows.sort(([a], [b]) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true })) * (down ? -1 : 1));
      body.append(...rows.map(([, row]) => row));
    });
  });
  const tools = document.getElementById(table.dataset.tools);
  if (!tools) return;
  const download = el("button", { type: "button" }, "Download table (CSV)");
  download.addEventListener("click", () => save(table.dataset.file, tableCsv(table, textOf), "text/csv"));
  if (table.dataset.filter) {
    const input = el("input", { type: "search", placeholder: table.dataset.filter, "aria-label": table.dataset.filter }), count = el("span", { role: "status", class: "hint" });
    input.addEventListener("input", () => {
      const words = input.value.trim().toLowerCase();
      let n = 0;
      for (const row of body.rows) { row.hidden = !!words && !row.textContent.toLowerCase().includes(words); n += !row.hidden; }
      count.textContent = words ? `${n} rows` : "";
    });
    tools.append(input, download, count);
  } else tools.append(download);
}
const tableCsv = (table, textOf) => csv([
  [...table.tHead.rows[0].cells].map(head => head.dataset.title),
  ...[...table.tBodies[0].rows].filter(row => !row.hidden).map(row => [...row.cells].map(textOf)),
]);

/* The page holds ten markers of each cluster as a table; all that the h5ad has come when it is opened. */
async function fillMarkers(sample) {
  const table = sample.find("table.marker-table"), data = sample.data.markers;
  if (!table || !data || table.dataset.whole) return;
  table.dataset.whole = "yes";
  const columns = JSON.parse(await inflateText(data)), head = [...table.tHead.rows[0].cells].map(cell => cell.dataset.title);
  const rows = columns.cluster.map((cluster, i) => {
    const cells = {
      Cluster: el("th", { scope: "row" }, cluster), Rank: el("td", { class: "n" }, String(columns.rank[i])),
      Gene: el("td", { "data-value": columns.symbol[i] }, el("button", { type: "button", class: "link", "data-gene": columns.symbol[i] }, columns.symbol[i]), columns.symbol[i] === columns.gene[i] ? "" : el("small", {}, ` ${columns.gene[i]}`)),
      "log2 fold change": el("td", { class: "n" }, columns.change[i].toFixed(2)), "Adjusted p": el("td", { class: "n", "data-value": columns.p[i] }, columns.p[i].toExponential(1)),
      "Cells inside": el("td", { class: "n" }, `${(100 * columns.inside[i]).toFixed(0)} %`), "Cells outside": el("td", { class: "n" }, `${(100 * columns.outside[i]).toFixed(0)} %`),
    };
    return el("tr", columns.rank[i] > 10 ? { class: "long" } : {}, ...head.map(title => cells[title]));
  });
  table.tBodies[0].replaceChildren(...rows);
}

for (const sample of samples) {
  const { section } = sample;
  searchBox(sample);
  section.addEventListener("change", event => {
    const { name } = event.target;
    if (name === `${section.id}-layout`) { sample.drawMap(); noteState(sample); }
    if (name === `${section.id}-colour`) { sample.leaveGene(); sample.recolour(); }
    if (event.target.matches(".labels")) { sample.showLabels = event.target.checked; sample.map?.draw(); }
    if (event.target.matches("input.name")) sample.setName(event.target.dataset.cluster, event.target.value);
  });
  section.addEventListener("click", event => {
    const gene = event.target.closest("button[data-gene]"), tool = event.target.closest("[data-tool]")?.dataset.tool, chart = event.target.closest("[data-save]");
    if (gene) sample.showGene(gene.dataset.gene, true);
    if (chart) { const box = chart.closest("figure").querySelector(".plot"); saveChart(box, `${sample.data.id}_${chart.dataset.save}`); }
    if (event.target.closest(".save-names")) save(`${fileName(sample.data.id)}.names.csv`, sample.namesCsv(), "text/csv");
    if (!tool || !sample.map) return;
    ({
      in: () => sample.map.zoom(1.5), out: () => sample.map.zoom(1 / 1.5), reset: () => sample.map.reset(), png: () => sample.map.picture("png"), svg: () => sample.map.picture("svg"),
      full: () => document.fullscreenElement ? document.exitFullscreen() : sample.find(".cells").requestFullscreen?.(),
      lasso: () => {
        sample.map.selecting = !sample.map.selecting;
        const button = event.target.closest("button");
        button.setAttribute("aria-pressed", String(sample.map.selecting));
        sample.map.over.classList.toggle("selecting", sample.map.selecting);
      },
    })[tool]();
  });
  for (const details of section.querySelectorAll("details")) details.addEventListener("toggle", () => {
    if (!details.open) return;
    if (details.querySelector("table.marker-table")) fillMarkers(sample);
    details.querySelectorAll("[data-plot]:not([data-plot=cells])").forEach(box => box.redraw?.());
  });
  for (const input of section.querySelectorAll("input.name")) input.value = sample.names[input.dataset.cluster] ?? "";
  sample.showNamed();
}
document.querySelectorAll("table.live").forEach(liveTable);

/* Drawn when they come near the window, and again when their width changes. */
const sampleOf = box => samples.find(sample => sample.section.contains(box));
const watcher = new IntersectionObserver(entries => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting || target.dataset.drawn) continue;
    target.dataset.plot === "cells" ? sampleOf(target).drawMap() : target.redraw();
  }
}, { rootMargin: "600px 0px" });
const resized = new ResizeObserver(entries => {
  for (const { target, contentRect } of entries) {
    const width = Math.round(contentRect.width);
    if (target.dataset.drawn && width && Math.abs(width - (target.lastWidth ?? width)) > 8) target.redraw?.();
    target.lastWidth = width;
  }
});
document.querySelectorAll("section.sample [data-plot]").forEach(box => { watcher.observe(box); if (box.dataset.plot !== "cells") resized.observe(box); });

/* The list of samples says which one is in sight. */
const links = new Map([...document.querySelectorAll("nav a")].map(link => [link.hash.slice(1), link]));
function showCurrent(id) {
  links.forEach(link => link.removeAttribute("aria-current"));
  links.get(id)?.setAttribute("aria-current", "true");
}
const top = document.querySelector("main > section")?.id;
addEventListener("scroll", () => { if (scrollY < 40) showCurrent(top); }, { passive: true });
const current = new IntersectionObserver(entries => {
  for (const { target, isIntersecting } of entries) if (isIntersecting) showCurrent(scrollY < 40 ? top : target.id);
}, { rootMargin: "-20% 0px -70% 0px" });
links.forEach((link, id) => {
  const target = document.getElementById(id);
  if (!target) return;
  current.observe(target);
  // The last sample may be too short to be scrolled to the top.
  link.addEventListener("click", () => showCurrent(id));
});

const redrawAll = () => samples.forEach(sample => { sample.repaint(); sample.charts.forEach(box => { if (box.dataset.drawn) box.redraw(); }); });
const themeButton = document.getElementById("theme");
function showTheme() {
  themeButton.textContent = isDark() ? "Light page" : "Dark page";
  redrawAll();
}
themeButton.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  remember("cicl:theme", root.dataset.theme === (systemDark.matches ? "dark" : "light") ? null : root.dataset.theme);
  showTheme();
});
systemDark.addEventListener("change", () => { root.dataset.theme = wantedTheme(); showTheme(); });

/* On paper every figure is drawn, in light colours, and what is folded is open. */
let closed = null;
addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("details:not([open])")];
  closed.forEach(details => { details.open = true; });
  root.dataset.theme = "light";
  samples.forEach(sample => { sample.drawAll(); sample.map?.toPaper(); });
});
addEventListener("afterprint", () => {
  closed?.forEach(details => { details.open = false; });
  closed = null;
  samples.forEach(sample => sample.map?.fromPaper());
  root.dataset.theme = wantedTheme();
  showTheme();
});

document.getElementById("copy")?.addEventListener("click", () => copyText(document.getElementById("methods-text").textContent, document.getElementById("copied")));
themeButton.hidden = false;
themeButton.textContent = isDark() ? "Light page" : "Dark page";
addEventListener("hashchange", readState);
readState();
