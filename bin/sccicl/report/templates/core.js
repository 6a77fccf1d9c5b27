"use strict";

/* Elements, colours and packed numbers: what every part of the page uses. */
const root = document.documentElement;
const SVG = "http://www.w3.org/2000/svg";
const css = name => getComputedStyle(root).getPropertyValue(name).trim();
const isDark = () => root.dataset.theme === "dark";
const whole = n => Math.round(n).toLocaleString("en-GB");
const short = (text, n = 34) => text.length > n ? text.slice(0, n - 1) + "…" : text;
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const isNumber = value => value !== null && Number.isFinite(value);

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") node.style.cssText = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter(child => child !== null && child !== undefined));
  return node;
}
const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/* Numbers are packed as base64; what is only looked up later is deflated first. */
function bytesOf(text) {
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}
const unpack = (text, type) => new type(bytesOf(text).buffer);
async function inflate(text, type = Uint8Array) {
  const stream = new Blob([bytesOf(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new type(await new Response(stream).arrayBuffer());
}
const inflateText = async text => new TextDecoder().decode(await inflate(text));

function save(name, content, type) {
  const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  const link = el("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
/* One field of a CSV file, quoted where it must be. A spreadsheet reads =, +, - and @ as the start of a formula. */
function csvField(value) {
  const text = String(value ?? "");
  const safe = /^[=+\-@]/.test(text) && !isNumber(Number(text)) ? "'" + text : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
}
const csv = rows => rows.map(row => row.map(csvField).join(",") + "\n").join("");
const fileName = text => text.replace(/[^A-Za-z0-9._-]+/g, "_");

async function copyText(text, status) {
  try {
    await navigator.clipboard.writeText(text);
    status.textContent = "Copied.";
  } catch {
    const area = el("textarea", { "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    status.textContent = document.execCommand("copy") ? "Copied." : "Your browser does not allow copying: download the file.";
    area.remove();
  }
}

/* Colours */
const rgbOf = hex => [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16));
const hexOf = rgb => "#" + rgb.map(c => Math.round(clamp(c, 0, 255)).toString(16).padStart(2, "0")).join("");
const mix = (a, b, t) => a.map((c, i) => c + (b[i] - c) * t);
function ramp(stops) {
  const colours = stops.map(rgbOf);
  return t => {
    const at = clamp(t, 0, 1) * (colours.length - 1), i = Math.min(Math.floor(at), colours.length - 2);
    return mix(colours[i], colours[i + 1], at - i);
  };
}
const VIRIDIS = ramp(["#440154", "#482878", "#3e4a89", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"]);
/* Cells without a gene stay faint. On a light page more is darker, on a dark page more is brighter. */
const expressionRamp = () => isDark()
  ? ramp(["#46525b", "#3a6ea5", "#8f8fb5", "#f2a65a", "#fff3b0"])
  : ramp(["#d6dbdf", "#9ecae1", "#4a98c9", "#2171b5", "#08306b"]);
const tintRamp = () => ramp([css("--tint"), css("--accent")]);
/* Colours that lack contrast on the page have a darker or lighter partner. */
const shade = hex => READABLE[isDark() ? "dark" : "light"][hex] ?? hex;
function inkOn(rgb) {
  const [r, g, b] = rgb.map(c => (c /= 255) <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
  return .2126 * r + .7152 * g + .0722 * b > .3 ? "#1b242c" : "#ffffff";
}
const READABLE = JSON.parse(document.getElementById("readable-colours").textContent);

/* A light or a dark page: as the system has it, until the reader chooses. Paper is always light. */
const systemDark = matchMedia("(prefers-color-scheme: dark)");
const chosenTheme = () => { try { return localStorage.getItem("cicl:theme"); } catch { return null; } };
const wantedTheme = () => chosenTheme() ?? (systemDark.matches ? "dark" : "light");
root.dataset.theme = wantedTheme();

function remember(key, value) {
  try { value === null ? localStorage.removeItem(key) : localStorage.setItem(key, value); } catch { /* private window: kept until it is closed */ }
}
function recall(key) {
  try { return localStorage.getItem(key); } catch { return null; }
}
