// The endpoints of a pool, each with its drain.

import { ask, refusal } from "./access.js";
import { age, byId, clear, count, errors, failing, make, newLine, newTable, notice, pair, pill, rate, setState, showRows, sparkline, text, twoLines, whole } from "./parts.js";

const table = newTable(byId("endpoints"), "Endpoints of the pool", [
  ["who", "Endpoint", null, "left bare"], ["state", "State", 132, "left side"], ["rate", "Rate", 84], ["share", "Share", 92],
  ["line", "Last minute", 120, "left whole"], ["flight", "In flight", 80], ["latency", "p50 / p99", 128], ["requests", "Requests", 96],
  ["errors", "4xx / 5xx / lost", 128], ["health", "Health checks", 164, "left"], ["act", "", 96, "left"]], "No endpoints yet.");
let upstream = null, again = null;

function fillFirst(row) {
  [row.name, row.sub] = twoLines(row, "who", "name");
  row.state = pill(row, "state");
  const share = make("div"), bar = make("div", "bar"); row.fill = make("i"); row.share = share;
  bar.append(row.fill); row.cell.share.append(share, bar);
  row.line = newLine(); row.cell.line.append(row.line);
  [row.check, row.error] = twoLines(row, "health");
  row.button = make("button", "", "Drain"); row.button.type = "button"; row.cell.act.append(row.button);
  row.button.addEventListener("click", () => change(row));
}

async function change(row) {
  const what = row.button.textContent;
  if (refusal()) return notice(`${what} of ${row.name.textContent}: ${refusal()}.`);
  const answer = await ask(`/api/9/http/upstreams/${encodeURIComponent(upstream)}/servers/${row.id}`, { method: "PATCH",
    headers: { "content-type": "application/json" }, body: JSON.stringify(what === "Drain" ? { drain: true } : { down: false }) })
    .catch(() => null);
  if (!answer) return notice(`${what} of ${row.name.textContent}: no answer from the balancer.`);
  if (!answer.ok) {
    const why = await answer.json().catch(() => null);
    return notice(`${what} of ${row.name.textContent}: ${why?.error?.text ?? "status " + answer.status}.`);
  }
  again();
}

function fill(row, e) {
  if (!row.button) fillFirst(row);
  row.id = e.id;
  text(row.name, e.name); row.name.title = e.name;
  text(row.sub, [e.name === e.address ? "" : e.address, e.slot, age(e.age_s)].filter(Boolean).join(" · ")); row.sub.title = row.sub.textContent;
  setState(row.state, e.state);
  text(row.cell.rate, rate(e.rate_1s) + " /s");
  text(row.share, (e.share * 100).toFixed(1) + " %"); row.fill.style.width = e.share * 100 + "%";
  sparkline(row.line, e.history);
  text(row.cell.flight, e.in_flight_max ? `${e.in_flight} of ${e.in_flight_max}` : whole(e.in_flight));
  text(row.cell.latency, pair(e.latency_p50_ms, e.latency_p99_ms));
  text(row.cell.requests, count(e.requests));
  text(row.cell.errors, errors(e)); row.cell.errors.classList.toggle("bad", failing(e));
  const failed = e.health.checks > 0 && !e.health.last_passed;
  text(row.check, `${count(e.health.checks - e.health.fails)} ok, ${count(e.health.fails)} failed`);
  text(row.error, failed ? e.health.last_error : e.ejections ? `ejected ${e.ejections} ×` : "");
  row.error.className = failed ? "sub bad" : "sub"; row.error.title = row.error.textContent;
  const what = e.state === "draining" || e.state === "down" ? "Restore" : "Drain";
  text(row.button, what);
  row.button.hidden = e.state === "removed";
  row.button.title = refusal();
  row.button.setAttribute("aria-label", refusal() ? `${what} ${e.name}: ${refusal()}` : `${what} ${e.name}`);
  row.button.setAttribute("aria-disabled", String(refusal() !== ""));
}

export function start(poll) { again = poll; }
export function showEndpoints(pool) {
  if (upstream !== pool.upstream) clear(table);  // Endpoints are numbered in each pool.
  upstream = pool.upstream;
  showRows(table, pool.endpoints, e => e.id, fill);
}
