// What all parts of the page use: the run's data, elements, times, names. No text from the data becomes markup.
"use strict";

const run = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

/** Make an element with attributes; what follows becomes its children, strings as text. */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function draw(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const number = (value, digits = 0) => value.toLocaleString("en", { maximumFractionDigits: digits });
const share = (part, whole) => (whole ? `${Math.round((100 * part) / whole)} %` : "–");
const nameOf = (index) => run.stations[index].name;

/** Time of the day at `seconds` after the start, such as `18:03:12`; with the day where the run has several. */
function clock(seconds, withSeconds = true) {
  const total = Math.floor(run.start_hour * 3600 + seconds);
  const two = (value) => String(value).padStart(2, "0");
  const text = `${two(Math.floor(total / 3600) % 24)}:${two(Math.floor(total / 60) % 60)}`;
  const day = run.simulated_s > 86400 ? `day ${Math.floor(total / 86400) + 1}, ` : "";
  return day + text + (withSeconds ? `:${two(total % 60)}` : "");
}

const ROLES = {
  CLIENT: "Client: passes on what nobody else did",
  CLIENT_MUTE: "Mute client: never passes on",
  CLIENT_BASE: "Base client: passes on for its favourites",
  CLIENT_HIDDEN: "Hidden client: speaks only when it must",
  ROUTER: "Router: always passes on, and first",
  ROUTER_LATE: "Late router: always passes on, and last",
  REPEATER: "Repeater: always passes on",
};
const kindOf = (station) => (station.house ? (station.models.length ? "model" : "house") : "relay");
const KIND_WORDS = { house: "House", model: "House with a model", relay: "Relay on its own" };

/** The sign of a kind of station around (0, 0): circle, diamond or triangle. */
function sign(kind, size) {
  if (kind === "house") return draw("circle", { class: "mark", r: size * 0.8 });
  const shape = kind === "model" ? [[0, -1.2], [1.2, 0], [0, 1.2], [-1.2, 0]] : [[0, -1.25], [1.2, 0.95], [-1.2, 0.95]];
  return draw("polygon", { class: "mark", points: shape.map(([x, y]) => `${x * size},${y * size}`).join(" ") });
}

let waiting = 0;
/** Do it before the next picture; only the last of several. */
function soon(action) {
  cancelAnimationFrame(waiting);
  waiting = requestAnimationFrame(action);
}

/** A canvas's context, as fine as the screen, cleared, in CSS pixels. */
function cleared(canvas) {
  const fine = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * fine) || canvas.height !== Math.round(height * fine)) {
    canvas.width = Math.round(width * fine);
    canvas.height = Math.round(height * fine);
  }
  const context = canvas.getContext("2d");
  context.setTransform(fine, 0, 0, fine, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}
