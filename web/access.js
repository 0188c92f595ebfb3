// The token, when the balancer wants one, and what its holder may do. It is kept for as long as the tab is open,
// in this tab alone, and goes to the balancer that the page came from.

import { byId, put } from "./parts.js";

const KEY = "tepal-token";
let token = sessionStorage.getItem(KEY) || "", worked = false;
let rights = { name: "", may_write: false, refusal: "" };

export const ask = (url, options = {}) => fetch(url, { cache: "no-store", credentials: "same-origin", redirect: "error", ...options,
  headers: { ...options.headers, ...(token ? { authorization: "Bearer " + token } : {}) } });
export const refusal = () => rights.refusal;

function keep(next) {
  token = next; worked = false;
  if (token) sessionStorage.setItem(KEY, token); else sessionStorage.removeItem(KEY);
}

// What the balancer says of the caller.
export function onAnswer(caller) {
  worked = true;
  rights = caller;
  byId("login").hidden = true;
  put("login-error", "");
  put("rights", `${token ? caller.name + " · " : ""}${caller.may_write ? "may drain" : "read only"}`);
  byId("rights").title = caller.refusal;
  byId("caller").hidden = !token && caller.may_write;
  byId("leave").hidden = !token;
}

// The token is missing, or not one of the balancer's (401), or who asks is known and has no role (403).
export function onRefused(answer) {
  const login = byId("login"), field = byId("token");
  if (!token && answer?.error?.status === 403) put("login-error", answer.error.text);
  if (token) {
    put("login-error", worked ? "The token is not known to this balancer any more." : "That token is not known to this balancer.");
    field.setAttribute("aria-invalid", "true");
    keep("");
  }
  byId("caller").hidden = true;
  if (login.hidden) { login.hidden = false; field.focus(); }
}

// `poll` asks again at once.
export function start(poll) {
  byId("login").addEventListener("submit", event => {
    event.preventDefault();
    const field = byId("token"), given = field.value.trim();
    field.value = ""; field.removeAttribute("aria-invalid");
    put("login-error", "");
    if (!/^[\x21-\x7e]+$/.test(given)) {
      put("login-error", "A token has letters, digits and signs of ASCII only, and no spaces.");
      field.setAttribute("aria-invalid", "true");
      return;
    }
    keep(given);
    poll();
  });
  byId("leave").addEventListener("click", () => { keep(""); poll(); });
}
