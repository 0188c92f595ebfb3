// What every part of the page is made of: elements, numbers as text, sparklines, tables.

export const byId = id => document.getElementById(id);
export function text(node, value) { if (node.textContent !== value) node.textContent = value; }
export function put(id, value) { text(byId(id), value); }
export function make(tag, cls = "", content = null) {
  const element = document.createElement(tag);
  if (cls) element.className = cls;
  if (content != null) element.textContent = content;
  return element;
}

export const whole = n => Math.round(n).toLocaleString("en");
// What only grows: at most nine letters.
export const count = n => n >= 1e13 ? (n / 1e12).toFixed(1) + " T" : n >= 1e10 ? (n / 1e9).toFixed(1) + " G" : n >= 1e7 ? (n / 1e6).toFixed(1) + " M" : whole(n);
export const rate = n => n >= 100 ? whole(n) : n.toFixed(1);
const digits = t => t >= 100 ? t.toFixed(0) : t >= 10 ? t.toFixed(1) : t.toFixed(2);
export const ms = t => t == null ? "–" : t >= 9995 ? (t / 1000).toFixed(1) + " s" : digits(t) + " ms";
export const pair = (a, b) => a == null ? "–" : b >= 9995 ? `${ms(a)} / ${ms(b)}` : `${digits(a)} / ${digits(b)} ms`;
export const age = s => s < 120 ? Math.floor(s) + " s" : s < 7200 ? Math.floor(s / 60) + " min" : s < 172800 ? Math.floor(s / 3600) + " h" : Math.floor(s / 86400) + " d";
export const short = n => n >= 1e7 ? (n / 1e6).toFixed(0) + " M" : n >= 1e4 ? (n / 1e3).toFixed(0) + " k" : String(n);
// 4xx, 5xx and no answer.
export const errors = counts => [counts.responses[3], counts.responses[4], counts.failures].map(short).join(" / ");
export const failing = counts => counts.responses[4] > 0 || counts.failures > 0;

const SVG = "http://www.w3.org/2000/svg";
export function newLine() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "line"); svg.setAttribute("preserveAspectRatio", "none"); svg.setAttribute("aria-hidden", "true");
  return svg;
}
// One value a second, at most 60 of them, the newest at the right.
export function sparkline(svg, values) {
  const width = 300, height = 40, step = width / 59;
  if (!svg.firstChild) {
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.append(document.createElementNS(SVG, "polygon"), document.createElementNS(SVG, "polyline"));
  }
  const most = Math.max(1, ...values), start = width - (values.length - 1) * step;
  const points = values.map((v, i) => `${(start + i * step).toFixed(1)},${(height - 2 - v / most * (height - 5)).toFixed(1)}`).join(" ");
  const drawn = values.length > 1;
  svg.firstChild.setAttribute("points", drawn ? `${start.toFixed(1)},${height} ${points} ${width},${height}` : "");
  svg.lastChild.setAttribute("points", drawn ? points : "");
}

// A table in `panel` whose rows stay where they are as their values change. `columns`: [key, heading, width
// in pixels or null for the rest, classes]. On narrow screens a row is a card (dashboard.css), so all say their role.
export function newTable(panel, caption, columns, none = "") {
  const table = make("table"), group = make("colgroup"), head = make("thead"), headings = make("tr"), body = make("tbody");
  table.setAttribute("role", "table"); body.setAttribute("role", "rowgroup"); headings.setAttribute("role", "row");
  for (const [, heading, width, cls] of columns) {
    const column = make("col"); if (width) column.style.width = width + "px";
    const th = make("th", cls && cls.includes("left") ? "left" : "", heading); th.scope = "col"; th.setAttribute("role", "columnheader");
    group.append(column); headings.append(th);
  }
  head.append(headings); table.append(make("caption", "", caption), group, head, body);
  const empty = make("div", "empty", none); empty.hidden = true;
  panel.replaceChildren(table, empty);
  return { table, body, empty, columns, rows: new Map() };
}
export function newRow(columns) {
  const row = { tr: make("tr"), cell: {}, more: null };  // `more`: another <tr>, right below it.
  row.tr.setAttribute("role", "row");
  for (const [key, heading, , cls] of columns) {
    const td = row.cell[key] = make("td", cls);
    td.setAttribute("role", "cell"); if (heading) td.dataset.label = heading;
    row.tr.append(td);
  }
  return row;
}
function remove(row) { row.tr.remove(); row.more?.remove(); }
// Makes, fills and removes rows so that there is one for each item, in order.
export function showRows(table, items, keyOf, fill) {
  const alive = new Set(items.map(keyOf));
  for (const [key, row] of table.rows) if (!alive.has(key)) { remove(row); table.rows.delete(key); }
  let after = null;
  for (const item of items) {
    const key = keyOf(item);
    let row = table.rows.get(key);
    if (!row) table.rows.set(key, row = newRow(table.columns));
    if (row.tr.parentNode !== table.body || row.tr.previousElementSibling !== after) {
      if (after) after.after(row.tr); else table.body.prepend(row.tr);
    }
    fill(row, item);
    after = row.tr;
    if (!row.more) continue;
    if (row.more.previousElementSibling !== row.tr) row.tr.after(row.more);
    after = row.more;
  }
  table.table.hidden = items.length === 0 && table.empty.textContent !== "";
  table.empty.hidden = items.length > 0 || table.empty.textContent === "";
}
export function clear(table) {
  for (const row of table.rows.values()) remove(row);
  table.rows.clear();
}
// The first filling of a cell with a line of text and a smaller one below.
export function twoLines(row, key, cls = "") {
  const first = make("div", cls), second = make("div", "sub");
  row.cell[key].append(first, second);
  return [first, second];
}
export function pill(row, key) {
  const state = make("span", "state");
  row.cell[key].append(state);
  return state;
}
export function setState(node, state) { text(node, state); node.className = "state s-" + state.replaceAll(" ", "-"); }

let fading = 0;
export function notice(message) {
  const node = byId("notice");
  node.hidden = !message;
  text(node, message);
  clearTimeout(fading);
  if (message) fading = setTimeout(() => notice(""), 8000);
}
