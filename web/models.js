// The models of a pool; one that is opened shows the endpoints that have it.

import { ask } from "./access.js";
import { byId, clear, count, errors, failing, make, ms, newLine, newTable, pair, pill, rate, setState, showRows, sparkline, text, whole } from "./parts.js";

const table = newTable(byId("models"), "Models of the pool", [
  ["who", "Model", null, "left whole bare"], ["ready", "Ready on", 96], ["rate", "Rate", 84], ["line", "Last minute", 120, "left whole"],
  ["flight", "In flight", 80], ["waiting", "Queued", 80], ["expected", "Next answer", 112], ["latency", "p50 / p99, 40 s", 128],
  ["requests", "Requests", 96], ["errors", "4xx / 5xx / lost", 128], ["refused", "Refused", 88]]);
const PLACES = [["who", "Endpoint", null, "left bare"], ["state", "State", 132, "left side"], ["has", "Model", 160, "left"], ["flight", "In flight", 92],
  ["expected", "Next answer", 116], ["requests", "Requests", 104], ["errors", "4xx / 5xx / lost", 132]];
let pool = null, again = null, opened = null;  // The number of one model, or null.

function toggle(row) {
  opened = opened === row.number ? null : row.number;
  for (const other of table.rows.values()) if (other.number !== opened) close(other);
  if (opened === null) return;
  row.more = make("tr", "detail"); row.more.setAttribute("role", "row"); row.more.id = `model-${row.number}`;
  const cell = make("td"); cell.colSpan = table.columns.length; cell.setAttribute("role", "cell");
  row.more.append(cell);
  row.places = newTable(cell, `Endpoints with ${row.name.textContent}`, PLACES, "No endpoints.");
  row.tr.after(row.more);
  row.button.setAttribute("aria-expanded", "true");
  row.button.setAttribute("aria-controls", row.more.id);
  again();
}
function close(row) {
  row.more?.remove();
  row.more = row.places = null;
  row.button.setAttribute("aria-expanded", "false"); row.button.removeAttribute("aria-controls");
}

function fill(row, m) {
  if (!row.button) {
    row.button = make("button", "model"); row.button.type = "button"; row.name = make("span"); row.button.append(row.name);
    row.cell.who.append(row.button);
    row.line = newLine(); row.cell.line.append(row.line);
    row.button.addEventListener("click", () => toggle(row));
    row.button.addEventListener("keydown", event => { if (event.key === "Escape" && row.more) toggle(row); });
    row.button.setAttribute("aria-expanded", "false");
  }
  row.number = m.number;
  text(row.name, m.name); row.name.title = m.name;
  const up = pool.endpoints.filter(e => e.state === "up").length;
  text(row.cell.ready, m.ready === 0 && m.silent > 0 ? "not said" : `${m.ready} of ${up}`);
  row.cell.ready.title = m.silent > 0 ? `${m.silent} of the endpoints that are up do not say which models they have` : "";
  row.cell.ready.classList.toggle("bad", m.ready + m.silent === 0);
  text(row.cell.rate, rate(m.rate_1s) + " /s");
  sparkline(row.line, m.history);
  text(row.cell.flight, whole(m.in_flight));
  text(row.cell.waiting, whole(m.waiting));
  text(row.cell.expected, ms(m.expected_ms));
  text(row.cell.latency, pair(m.latency_p50_ms, m.latency_p99_ms));
  text(row.cell.requests, count(m.requests));
  text(row.cell.errors, errors(m)); row.cell.errors.classList.toggle("bad", failing(m));
  text(row.cell.refused, count(m.refused)); row.cell.refused.classList.toggle("bad", m.refused > 0);
}

function fillPlace(row, at) {
  if (!row.name) {
    row.name = make("div", "name"); row.cell.who.append(row.name);
    row.state = pill(row, "state"); row.has = pill(row, "has");
  }
  text(row.name, at.name); row.name.title = at.name;
  setState(row.state, at.state);
  setState(row.has, at.refuses ? "unknown there" : at.ready === null ? "not said" : at.ready ? "ready" : "absent");
  text(row.cell.flight, whole(at.in_flight));
  text(row.cell.expected, ms(at.expected_ms));
  text(row.cell.requests, count(at.requests));
  text(row.cell.errors, errors(at)); row.cell.errors.classList.toggle("bad", failing(at));
}

export function start(poll) { again = poll; }
// Asks only where the pool knows of any.
export async function showModels(shown) {
  if (pool?.upstream !== shown.upstream) { clear(table); opened = null; }
  pool = shown;
  const path = `/api/tepal/pools/${encodeURIComponent(pool.upstream)}/models`;
  const read = async url => { const answer = await ask(url); return answer.ok ? answer.json() : null; };
  const [all, one] = await Promise.all([pool.models ? read(path) : null, opened === null ? null : read(`${path}/${opened}`)]);
  if (pool !== shown) return;  // Another pool has been chosen meanwhile.
  const models = all ? all.models.sort((a, b) => a.name < b.name ? -1 : 1) : [];
  byId("models-part").hidden = models.length === 0;
  showRows(table, models, m => m.number, fill);
  const row = table.rows.get(opened);
  if (!row) { opened = null; return; }
  if (!one || one.number !== opened || !row.places) return;
  const known = new Map(pool.endpoints.map(e => [e.id, e]));
  const places = one.endpoints.filter(at => known.has(at.id)).map(at => ({ ...at, name: known.get(at.id).name, state: known.get(at.id).state }));
  showRows(row.places, places, at => at.id, fillPlace);
}
