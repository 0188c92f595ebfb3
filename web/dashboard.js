// The page: asks the balancer once a second and shows what it says.

import * as access from "./access.js";
import * as endpoints from "./endpoints.js";
import { showFleet } from "./fleet.js";
import * as models from "./models.js";
import { age, byId, count, make, ms, pair, put, rate, short, sparkline, text, whole } from "./parts.js";
import { showScaler } from "./scaler.js";

const FLEET = "/fleet";  // No name of a pool has a slash.
const where = () => decodeURIComponent(location.hash.slice(1));
let paused = false, polling = false, wanted = false;

function showTraffic(s) {
  put("where", `${s.upstream} · up ${age(s.uptime_s)}`);
  put("rate", rate(s.rate_1s)); sparkline(byId("rate-line"), s.history);
  put("latency", pair(s.latency_p50_ms, s.latency_p99_ms));
  put("flight", whole(s.in_flight)); put("connections", `${whole(s.connections.open)} connections`);
  put("queue", whole(s.queue.length));
  put("queue-note", s.queue.length ? `oldest ${ms(s.queue.oldest_ms)}` : `${whole(s.queue.waited)} have waited`);
  put("failed", whole(s.failed + s.broken_off)); byId("failed").classList.toggle("bad", s.failed + s.broken_off > 0);
  put("failed-note", `of ${count(s.requests)} requests`);
  showRetries(s.retries, s.hedges);
}

// Hedges are shown where they are switched on.
function showRetries(retries, hedges) {
  put("retries-label", hedges.on ? "Retries / hedges" : "Retries");
  put("retries", hedges.on ? `${short(retries.allowed)} / ${short(hedges.sent)}` : whole(retries.allowed));
  put("retries-note", hedges.on ? `${count(hedges.won)} hedges won` : `${whole(retries.refused)} over budget`);
  byId("retries-note").title = hedges.on ? `over budget: ${whole(retries.refused)} retries, ${whole(hedges.refused)} hedges` : "";
}

function showPools(pools, shown) {
  const nav = byId("pools");
  nav.hidden = pools.length < 2;
  const tabs = new Map([...nav.children].map(tab => [tab.dataset.pool, tab]));
  for (const pool of pools) {
    let tab = tabs.get(pool.upstream);
    if (!tab) {
      tab = make("button"); tab.type = "button"; tab.dataset.pool = pool.upstream;
      tab.append(make("span", "", pool.upstream), make("small"));
      tab.addEventListener("click", () => { location.hash = encodeURIComponent(pool.upstream); });
      nav.append(tab);
    }
    tabs.delete(pool.upstream);
    const up = pool.endpoints.filter(e => e.state === "up").length;
    text(tab.lastChild, `${up} of ${pool.endpoints.length} up · ${rate(pool.rate_1s)} /s`);
    tab.lastChild.className = up ? "" : "bad";
    tab.setAttribute("aria-current", String(pool === shown));
  }
  for (const tab of tabs.values()) tab.remove();
}

function showView(fleet) {
  byId("views").hidden = !fleet;
  const shown = fleet && where() === FLEET ? "fleet" : "balancer";
  for (const id of ["balancer", "fleet"]) byId(id).hidden = id !== shown;
  for (const button of byId("views").children) button.setAttribute("aria-current", String(button.dataset.view === shown));
  return shown;
}

async function show(all) {
  if (showView(all.balancer.fleet) === "fleet") {
    put("where", all.balancer.name);
    return showFleet();
  }
  const pool = all.pools.find(p => p.upstream === where()) || all.pools[0];
  showPools(all.pools, pool);
  showTraffic(pool);
  showScaler(all.extra);
  endpoints.showEndpoints(pool);
  await models.showModels(pool);
}

function live(state, said) {
  byId("live").className = "live " + state;
  put("live-text", said);
}

async function askAndShow() {
  const answer = await access.ask("/api/tepal/pools").catch(() => null);
  if (!answer) return live("lost", "no answer from the balancer");
  if (answer.status === 401 || answer.status === 403) {
    for (const id of ["views", "balancer", "fleet"]) byId(id).hidden = true;
    access.onRefused(await answer.json().catch(() => null));
    return live("still", "waiting for a token");
  }
  if (!answer.ok) return live("lost", `the balancer answers ${answer.status}`);
  const all = await answer.json();
  access.onAnswer(all.caller);
  await show(all);
  live(paused ? "still" : "", paused ? "paused" : "live");
}

// One question at a time; who asks meanwhile gets another right after it.
async function poll() {
  wanted = true;
  if (polling) return;
  polling = true;
  while (wanted) {
    wanted = false;
    await askAndShow().catch(error => live("lost", error.message));
  }
  polling = false;
}

window.addEventListener("hashchange", poll);
for (const button of byId("views").children) {
  button.addEventListener("click", () => { location.hash = button.dataset.view === "fleet" ? FLEET : ""; });
}
byId("pause").addEventListener("click", event => {
  paused = !paused;
  event.target.textContent = paused ? "Go on" : "Pause"; event.target.setAttribute("aria-pressed", String(paused));
  poll();
});
access.start(poll); endpoints.start(poll); models.start(poll);
poll(); setInterval(() => { if (!paused && !polling) poll(); }, 1000);
