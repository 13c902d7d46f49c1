// The map: places, links, what is chosen. Links are drawn on one canvas, packets on another, places as SVG above.

const map = { zoom: 1, shiftX: 0, shiftY: 0, chosen: null, marked: new Set(), spot: null, groups: [], width: 0, height: 0 };
const EDGE = 34;
const links = (() => {
  const most = run.pairs.reduce((top, pair) => Math.max(top, pair[4]), 1);
  const round = (value) => Number(value.toPrecision(value < 100 ? 1 : 2));
  const steps = [0.05, 0.2, 0.5].map((part) => Math.max(1, round(most * part))).filter((step) => step < most).concat(most);
  return { steps: [...new Set(steps)], near: neighbours() };
})();

function neighbours() {
  const near = run.stations.map(() => []);
  for (const pair of run.pairs) {
    near[pair[0]].push(pair);
    near[pair[1]].push(pair);
  }
  return near;
}

/** Metres that the map must show. */
const bounds = (() => {
  const xs = run.stations.map((station) => station.x);
  const ys = run.stations.map((station) => station.y);
  for (const finding of run.findings) {
    if (finding.spot) {
      xs.push(finding.spot[0]);
      ys.push(finding.spot[1]);
    }
  }
  const left = Math.min(...xs), right = Math.max(...xs), low = Math.min(...ys), high = Math.max(...ys);
  return { left, low, width: Math.max(right - left, 50), height: Math.max(high - low, 50) };
})();

const scaleOf = () => map.zoom * Math.min((map.width - 2 * EDGE) / bounds.width, (map.height - 2 * EDGE) / bounds.height);

/** Metres on the map -> pixels. */
function at(x, y) {
  const scale = scaleOf();
  return [
    map.width / 2 + map.shiftX + (x - bounds.left - bounds.width / 2) * scale,
    map.height / 2 + map.shiftY - (y - bounds.low - bounds.height / 2) * scale,
  ];
}
const atStation = (index) => at(run.stations[index].x, run.stations[index].y);

function sizeMap() {
  const box = byId("map");
  map.width = box.clientWidth;
  const wanted = (map.width * bounds.height) / bounds.width + 2 * EDGE;
  map.height = Math.round(Math.min(Math.max(wanted, Math.min(380, map.width * 0.8)), Math.max(420, map.width * 0.72)));
  box.style.height = `${map.height}px`;
}

function linkLook(pair) {
  const [, , there, back, heard] = pair;
  if (byId("colour-by").value === "quality") {
    if (there === null || back === null) return { tone: "one-way", width: 1.2, dash: [2, 4] };
    const margin = Math.min(there, back) - run.snr_limit_db;
    if (margin >= 10) return { tone: "strong", width: 1.8, dash: [] };
    return margin >= 4 ? { tone: "fair", width: 1.4, dash: [] } : { tone: "weak", width: 1.1, dash: [6, 4] };
  }
  const step = links.steps.findIndex((most) => heard <= most);
  return heard ? { tone: `use-${step + 1 + 4 - links.steps.length}`, width: 0.7 + step * 0.65, dash: [] } : { tone: "line", width: 0.7, dash: [2, 4] };
}

function drawLinks() {
  const { context } = cleared(byId("links"));
  if (byId("colour-by").value === "none") return;
  const tones = {};
  for (const pair of run.pairs) {
    const look = linkLook(pair);
    tones[look.tone] ??= colour(look.tone);
    const aside = map.chosen !== null && pair[0] !== map.chosen && pair[1] !== map.chosen;
    context.globalAlpha = aside ? 0.18 : 1;
    context.strokeStyle = tones[look.tone];
    context.lineWidth = look.width;
    context.setLineDash(look.dash);
    context.beginPath();
    context.moveTo(...atStation(pair[0]));
    context.lineTo(...atStation(pair[1]));
    context.stroke();
  }
}

function drawStations() {
  const svg = byId("stations");
  svg.replaceChildren();
  const size = run.stations.length > 300 ? 4 : run.stations.length > 100 ? 5.5 : 7;
  const order = run.stations.map((_, index) => index).sort((a, b) => rank(a) - rank(b));
  map.groups = [];
  for (const index of [...order].reverse()) {
    const station = run.stations[index];
    const [x, y] = atStation(index);
    const group = draw("g", { class: `station ${kindOf(station)}`, transform: `translate(${x},${y})`, "data-station": index });
    group.append(draw("circle", { class: "hit", r: Math.max(size + 4, 11) }), draw("circle", { class: "ring", r: size + 5 }));
    if (station.house && /ROUTER|REPEATER/.test(station.role)) group.append(draw("circle", { class: "mark", r: size + 2.5, "fill-opacity": 0 }));
    group.append(sign(kindOf(station), size));
    svg.append(group);
    map.groups[index] = group;
  }
  drawSpot(svg);
  drawScale(svg);
  drawNames(svg, order, size);
  showMarks();
}

const rank = (index) => {
  const station = run.stations[index];
  return (index === map.chosen ? -4 : 0) + (map.marked.has(index) ? -3 : 0) + (station.house ? (station.models.length ? 1 : 2) : 0);
};

/** Write names where nothing else stands: the most important first, none over another. */
function drawNames(svg, order, size) {
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = `11.5px ${getComputedStyle(document.body).fontFamily}`;
  const taken = run.stations.map((_, index) => {
    const [x, y] = atStation(index);
    return [x - size - 1, y - size - 1, x + size + 1, y + size + 1];
  });
  taken.push([10, map.height - 34, 150, map.height]);
  if (map.spot) {
    const [x, y] = at(...map.spot);
    taken.push([x - 12, y - 12, x + 12, y + 12]);
  }
  const free = ([left, top, right, bottom]) =>
    left > 3 && top > 2 && right < map.width - 3 && bottom < map.height - 2 &&
    taken.every((box) => right < box[0] || left > box[2] || bottom < box[1] || top > box[3]);
  for (const index of order) {
    const [x, y] = atStation(index);
    if (x < 0 || y < 0 || x > map.width || y > map.height) continue;
    const station = run.stations[index];
    const name = station.name.length > 24 ? `${station.name.slice(0, 23)}…` : station.name;
    const width = pen.measureText(name).width;
    const far = size + (index === map.chosen || map.marked.has(index) ? 9 : 4);
    const tries = [[far, 4, "start"], [-far, 4, "end"], [0, -far - 1, "middle"], [0, far + 11, "middle"], [far, -6, "start"], [far, 14, "start"], [-far, -6, "end"], [-far, 14, "end"]];
    for (const [dx, dy, anchor] of tries) {
      const left = x + dx - (anchor === "end" ? width : anchor === "middle" ? width / 2 : 0);
      const box = [left - 2, y + dy - 10, left + width + 2, y + dy + 3];
      if (!free(box)) continue;
      taken.push(box);
      svg.append(draw("text", { x: x + dx, y: y + dy, "text-anchor": anchor, class: kindOf(station) === "house" ? "minor" : "" }, name));
      break;
    }
  }
}

function drawScale(svg) {
  const scale = scaleOf();
  const wanted = 110 / scale;
  const power = 10 ** Math.floor(Math.log10(wanted));
  const metres = [5, 2, 1].map((step) => step * power).find((step) => step <= wanted);
  if (!metres) return;
  const y = map.height - 14;
  svg.append(draw("path", { class: "scale", d: `M16 ${y - 5}v5h${metres * scale}v-5` }));
  svg.append(draw("text", { x: 20, y: y - 5 }, metres >= 1000 ? `${number(metres / 1000)} km` : `${number(metres, 1)} m`));
}

function drawSpot(svg) {
  if (!map.spot) return;
  const [x, y] = at(...map.spot);
  svg.append(draw("path", { class: "spot", d: `M${x - 9} ${y}h18M${x} ${y - 9}v18` }), draw("circle", { class: "spot", cx: x, cy: y, r: 12 }));
  svg.append(draw("text", { x, y: y - 17, "text-anchor": x > map.width - 80 ? "end" : "middle" }, "put a relay here"));
}

function showMarks() {
  map.groups.forEach((group, index) => {
    group.classList.toggle("chosen", index === map.chosen);
    group.classList.toggle("marked", map.marked.has(index));
  });
}

function redrawMap() {
  byId("map").classList.toggle("zoomed", map.zoom > 1);
  drawLinks();
  drawStations();
  if (replay.used) drawPackets();
}

function choose(index, { walk = false } = {}) {
  map.chosen = index;
  byId("find").value = index === null ? "" : String(index);
  if (walk && index !== null && map.zoom > 1) {
    const [x, y] = atStation(index);
    if (x < 20 || y < 20 || x > map.width - 20 || y > map.height - 20) {
      map.shiftX += map.width / 2 - x;
      map.shiftY += map.height / 2 - y;
    }
  }
  redrawMap();
  showDetails();
}

function showDetails() {
  const panel = byId("details");
  panel.replaceChildren();
  if (map.chosen === null) {
    panel.append(make("h3", {}, "Choose a place"), make("p", { class: "small" }, "Tap or click one on the map, or find it by name, to see what it heard, sent and answered."));
    return;
  }
  const station = run.stations[map.chosen];
  const near = links.near[map.chosen];
  const both = near.filter((pair) => pair[2] !== null && pair[3] !== null).length;
  const rows = [
    ["Hears and is heard by", number(both) + (near.length > both ? ` (+${near.length - both} one way)` : "")],
    ["Asked", number(station.asked)],
    ...(station.models.length ? [["Answered for others", number(station.answered)]] : []),
    ["Packets sent", number(station.packets)],
    ["Passed on", number(station.relayed)],
    ["Heard", number(station.heard)],
    ["Lost here", share(station.lost, station.heard + station.lost)],
    ["Air in use", `${number(station.mean)} %`],
    ["In its worst hour", `${number(station.worst)} %`],
    ["Energy", `${number(station.energy_wh, 1)} Wh`],
    ["Antenna", `${number(station.height, 1)} m up`],
    ...(station.off_s ? [["Battery empty", `${number(station.off_s / 60)} min`]] : []),
  ];
  panel.append(make("h3", {}, station.name));
  panel.append(make("p", { class: "small" }, `${KIND_WORDS[kindOf(station)]}. ${ROLES[station.role] ?? station.role}.`));
  if (station.models.length) panel.append(make("p", { class: "small" }, `Model: ${station.models.join(", ")}`));
  panel.append(make("dl", {}, ...rows.flatMap(([head, value]) => [make("dt", {}, head), make("dd", {}, value)])));
}

/** The nearest place in the direction of an arrow key. */
function neighbourTowards(key) {
  const [dx, dy] = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
  if (map.chosen === null) return 0;
  const [x, y] = atStation(map.chosen);
  let best = null, least = Infinity;
  run.stations.forEach((_, index) => {
    const [otherX, otherY] = atStation(index);
    const along = (otherX - x) * dx + (otherY - y) * dy;
    const aside = Math.abs((otherX - x) * dy) + Math.abs((otherY - y) * dx);
    if (index !== map.chosen && along > 0 && aside <= along * 1.5 && along + 2 * aside < least) {
      best = index;
      least = along + 2 * aside;
    }
  });
  return best ?? map.chosen;
}

function zoomBy(factor) {
  const before = map.zoom;
  const focus = map.chosen === null ? [map.width / 2, map.height / 2] : atStation(map.chosen);
  map.zoom = Math.min(12, Math.max(1, map.zoom * factor));
  map.shiftX = map.zoom === 1 ? 0 : (map.shiftX + map.width / 2 - focus[0]) * (map.zoom / before);
  map.shiftY = map.zoom === 1 ? 0 : (map.shiftY + map.height / 2 - focus[1]) * (map.zoom / before);
  redrawMap();
}

function showLegend() {
  const items = ["house", "model", "relay"].filter((kind) => run.stations.some((station) => kindOf(station) === kind)).map((kind) => {
    const picture = draw("svg", { width: 20, height: 20, viewBox: "-10 -10 20 20", class: kind });
    picture.append(sign(kind, 6.5));
    return [picture, KIND_WORDS[kind]];
  });
  const line = (tone, width, dash, words) => {
    const stroke = draw("path", { d: "M1 6h24", "stroke-width": width, "stroke-dasharray": dash });
    stroke.style.stroke = `var(--${tone})`;
    return [draw("svg", { width: 26, height: 12 }, stroke), words];
  };
  const by = byId("colour-by").value;
  if (by === "use") {
    links.steps.forEach((most, step) => {
      const from = step ? links.steps[step - 1] + 1 : 1;
      const unit = step ? "" : " packets";
      items.push(line(`use-${step + 1 + 4 - links.steps.length}`, 1.3 + step * 0.7, "", `${number(from)}–${number(most)}${unit}`));
    });
    items.push(line("soft", 1, "2 4", "never used"));
  } else if (by === "quality") {
    items.push(line("strong", 2.2, "", "strong link"), line("fair", 1.8, "", "fair"), line("weak", 1.5, "6 4", "weak"), line("one-way", 1.6, "2 4", "one way only"));
  }
  byId("legend").replaceChildren(...items.map((item) => make("li", {}, ...item)));
}

function pointerOnMap() {
  const svg = byId("stations");
  const tip = byId("tip");
  const stationAt = (event) => event.target.closest?.(".station");
  let grip = null;
  svg.addEventListener("pointermove", (event) => {
    if (grip && map.zoom > 1) {
      map.shiftX = grip.shiftX + event.clientX - grip.x;
      map.shiftY = grip.shiftY + event.clientY - grip.y;
      grip.moved ||= Math.hypot(event.clientX - grip.x, event.clientY - grip.y) > 4;
      soon(redrawMap);
      return;
    }
    const group = stationAt(event);
    tip.hidden = !group;
    if (!group) return;
    const station = run.stations[group.dataset.station];
    tip.textContent = `${station.name}: ${KIND_WORDS[kindOf(station)].toLowerCase()}, sent ${number(station.packets)} packets, air in use ${number(station.mean)} %`;
    const [x, y] = atStation(group.dataset.station);
    tip.style.left = `${Math.max(4, Math.min(x + 14, map.width - tip.offsetWidth - 4))}px`;
    tip.style.top = `${y + 16 + tip.offsetHeight > map.height ? y - 16 - tip.offsetHeight : y + 16}px`;
  });
  svg.addEventListener("pointerleave", () => { tip.hidden = true; });
  svg.addEventListener("pointerdown", (event) => { grip = { x: event.clientX, y: event.clientY, shiftX: map.shiftX, shiftY: map.shiftY, moved: false }; });
  window.addEventListener("pointerup", () => { setTimeout(() => { grip = null; }); });
  svg.addEventListener("click", (event) => {
    if (grip?.moved) return;
    const group = stationAt(event);
    choose(group && Number(group.dataset.station) !== map.chosen ? Number(group.dataset.station) : null);
  });
  svg.addEventListener("keydown", (event) => {
    if (event.key.startsWith("Arrow")) choose(neighbourTowards(event.key), { walk: true });
    else if (event.key === "Escape") choose(null);
    else return;
    event.preventDefault();
  });
}

function showFinding(index) {
  const finding = run.findings[index];
  map.marked = new Set(finding.stations);
  map.spot = finding.spot;
  map.zoom = 1;
  map.shiftX = map.shiftY = 0;
  choose(finding.stations.length === 1 ? finding.stations[0] : null);
  byId("map-section").scrollIntoView({ block: "start" });
}

function startMap() {
  const find = byId("find");
  const names = run.stations.map((station, index) => [station.name, index]).sort((a, b) => a[0].localeCompare(b[0], "en", { numeric: true }));
  for (const [name, index] of names) find.append(make("option", { value: index }, name));
  find.addEventListener("change", () => choose(find.value === "" ? null : Number(find.value), { walk: true }));
  byId("colour-by").addEventListener("change", () => { showLegend(); drawLinks(); });
  byId("zoom-in").addEventListener("click", () => zoomBy(1.6));
  byId("zoom-out").addEventListener("click", () => zoomBy(1 / 1.6));
  byId("zoom-all").addEventListener("click", () => {
    replay.used = false;
    play(false);
    showNow();
    cleared(byId("packets"));
    map.marked.clear();
    map.spot = null;
    map.zoom = 1;
    map.shiftX = map.shiftY = 0;
    choose(null);
  });
  for (const button of document.querySelectorAll(".show")) button.addEventListener("click", () => showFinding(button.dataset.finding));
  pointerOnMap();
  showLegend();
  showDetails();
  sizeMap();
  redrawMap();
}
