// The replay: packets as they fly, who asks and waits, and the slider that moves through the day.

const GROUPS = [
  ["question", "questions", ["question"]],
  ["answer", "answers", ["answer"]],
  ["notice", "meshai’s own notices", ["beacon", "control"]],
  ["text", "people’s texts", ["text"]],
  ["chatter", "radios’ own chatter", ["nodeinfo", "position", "telemetry", "routing", "other"]],
];
const GROUP_OF = Object.fromEntries(GROUPS.flatMap(([group, , kinds]) => kinds.map((kind) => [kind, group])));
const KIND_NAMES = { nodeinfo: "introduction", control: "notice", beacon: "beacon", routing: "acknowledgement" };
const ABSENT = 0, HEARD = 1, LOST = 2;
const LEAST_SHOWN_S = 0.7;
const MOST_DRAWN = 120;

const flights = unpacked(run.replay);
const replay = { time: 0, used: false, playing: false, last: 0, shown: new Set(GROUPS.map(([group]) => group)) };
const longestS = Math.max(0.1, ...run.replay.airtimes);

/** Columns -> for each transmission its time, and how to find who heard it. */
function unpacked(columns) {
  const count = columns.time.length;
  const times = new Float64Array(count);
  const starts = new Uint32Array(count + 1);
  let ticks = 0;
  for (let i = 0; i < count; i += 1) {
    ticks += columns.time[i];
    times[i] = ticks / 100;
    starts[i + 1] = starts[i] + columns.exceptions[i];
  }
  const usual = Object.fromEntries(Object.entries(columns.usual).map(([station, codes]) => [station, new Map(codes.map((code) => [Math.floor(code / 3), code % 3]))]));
  return { count, times, starts, usual };
}

/** Receivers of a transmission -> HEARD or LOST. */
function receivers(index) {
  const states = new Map(flights.usual[run.replay.station[index]]);
  for (let i = flights.starts[index]; i < flights.starts[index + 1]; i += 1) {
    const code = run.replay.otherwise[i];
    if (code % 3 === ABSENT) states.delete(Math.floor(code / 3));
    else states.set(Math.floor(code / 3), code % 3);
  }
  return states;
}

/** First place in a sorted list whose value is above `value`. */
function after(values, value) {
  let low = 0, high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] > value) high = middle;
    else low = middle + 1;
  }
  return low;
}

const groupAt = (index) => GROUP_OF[run.replay.kinds[run.replay.kind[index]]];
const airtimeAt = (index) => run.replay.airtimes[run.replay.airtime[index]];
const speed = () => Number(byId("speed").value);
const shownS = (index) => Math.max(airtimeAt(index), LEAST_SHOWN_S * speed());

/** Transmissions that are to be seen now, oldest first. */
function flying() {
  const from = replay.time - Math.max(longestS, LEAST_SHOWN_S * speed());
  const found = [];
  for (let i = after(flights.times, replay.time) - 1; i >= 0 && flights.times[i] >= from && found.length < MOST_DRAWN; i -= 1) {
    if (replay.shown.has(groupAt(i)) && replay.time - flights.times[i] < shownS(i)) found.push(i);
  }
  return found.reverse();
}

function drawPackets() {
  const { context } = cleared(byId("packets"));
  const tones = Object.fromEntries(GROUPS.map(([group]) => [group, colour(group)]));
  for (const index of flying()) {
    const sender = run.replay.station[index];
    const [x, y] = atStation(sender);
    const age = Math.min(1, (replay.time - flights.times[index]) / shownS(index));
    const way = Math.min(1, 0.25 + age * 1.5);
    context.strokeStyle = context.fillStyle = tones[groupAt(index)];
    context.globalAlpha = 1 - 0.75 * Math.max(0, age - 0.5) * 2;
    for (const [receiver, state] of receivers(index)) {
      const [toX, toY] = atStation(receiver);
      const reach = state === LOST ? Math.min(way, 0.82) : way;
      const endX = x + (toX - x) * reach, endY = y + (toY - y) * reach;
      context.lineWidth = state === LOST ? 1 : 1.6;
      context.setLineDash(state === LOST ? [3, 4] : []);
      context.beginPath();
      context.moveTo(x, y);
      context.lineTo(endX, endY);
      context.stroke();
      context.setLineDash([]);
      context.beginPath();
      if (state === LOST && way > 0.8) {
        context.lineWidth = 1.8;
        context.moveTo(endX - 3.5, endY - 3.5);
        context.lineTo(endX + 3.5, endY + 3.5);
        context.moveTo(endX + 3.5, endY - 3.5);
        context.lineTo(endX - 3.5, endY + 3.5);
        context.stroke();
      } else if (state === HEARD) {
        context.arc(endX, endY, 2.4, 0, 2 * Math.PI);
        context.fill();
      }
    }
    context.globalAlpha = 1;
    context.lineWidth = run.replay.relayed[index] === "1" ? 1.5 : 3.5;
    context.beginPath();
    context.arc(x, y, 11 + age * 6, 0, 2 * Math.PI);
    context.stroke();
  }
  drawAsking(context);
}

/** Over each house that waits for an answer a question mark; for a while after it, what became of it. */
function drawAsking(context) {
  const words = { failed: ["×", "bad"] };
  context.font = "700 12px sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (const question of asking()) {
    const [x, y] = atStation(question[1]);
    const ended = replay.time >= question[0] + question[4];
    const [letter, tone] = ended ? (words[question[3]] ?? ["✓", "good"]) : ["?", "question"];
    context.fillStyle = colour(tone);
    context.beginPath();
    context.arc(x + 11, y - 14, 8.5, 0, 2 * Math.PI);
    context.fill();
    context.fillStyle = colour("card");
    context.fillText(letter, x + 11, y - 13.5);
  }
}

const askedAt = run.questions.map((question) => question[0]);
const longestAskS = Math.max(1, ...run.questions.map((question) => question[4]));

function asking() {
  const hold = Math.max(3, 2 * speed());
  const found = [];
  for (let i = after(askedAt, replay.time) - 1; i >= 0 && askedAt[i] >= replay.time - longestAskS - hold; i -= 1) {
    if (replay.time < askedAt[i] + run.questions[i][4] + hold) found.push(run.questions[i]);
  }
  return found;
}

function showNow() {
  byId("map").classList.toggle("flying", replay.used);
  byId("clock").textContent = clock(replay.time);
  byId("now-clock").textContent = clock(replay.time);
  byId("time").value = replay.time;
  byId("time").setAttribute("aria-valuetext", clock(replay.time));
  const lines = [];
  for (const question of asking().slice(0, 3)) {
    const ended = replay.time >= question[0] + question[4];
    const what = !ended ? `waits for ${Math.round(replay.time - question[0])} s` : question[3] === "failed" ? "got no answer" : question[3] === "cached" ? "got an answer from a cache" : `got an answer after ${number(question[4])} s`;
    lines.push(make("li", { class: "question" }, `${nameOf(question[1])} ${what}`));
  }
  for (const index of flying().reverse().slice(0, 7 - lines.length)) {
    const states = [...receivers(index).values()];
    const lost = states.filter((state) => state === LOST).length;
    const kind = run.replay.kinds[run.replay.kind[index]];
    const how = run.replay.relayed[index] === "1" ? "passes on" : "sends";
    const line = `${nameOf(run.replay.station[index])} ${how} ${/^[aeiou]/.test(KIND_NAMES[kind] ?? kind) ? "an" : "a"} ${KIND_NAMES[kind] ?? kind}: heard by ${states.length - lost}${lost ? `, lost at ${lost}` : ""}`;
    lines.push(make("li", { class: GROUP_OF[kind] }, line));
  }
  if (!lines.length) lines.push(make("li", { class: "chatter" }, "Silence."));
  if (!replay.used) lines.splice(0, lines.length, make("li", { class: "question" }, "Press Play, or move the slider, to see packets fly: rings are senders, dots arrive, crosses are lost."));
  byId("now").replaceChildren(...lines);
}

function seek(seconds, used = true) {
  replay.used = used && flights.count > 0;
  replay.time = Math.max(0, Math.min(run.simulated_s, seconds));
  if (replay.used) drawPackets();
  showNow();
  drawStrip();
}

function tick(now) {
  if (!replay.playing) return;
  const passed = Math.min(0.25, (now - replay.last) / 1000);
  replay.last = now;
  seek(replay.time + passed * speed());
  if (replay.time >= run.simulated_s) play(false);
  else requestAnimationFrame(tick);
}

function play(wanted) {
  replay.playing = wanted;
  byId("play").textContent = wanted ? "Pause" : "Play";
  byId("play").setAttribute("aria-pressed", String(wanted));
  if (!wanted) return;
  if (replay.time >= run.simulated_s) replay.time = 0;
  replay.last = performance.now();
  requestAnimationFrame(tick);
}

const strip = (() => {
  const bins = 240;
  const seconds = new Float64Array(bins);
  for (let i = 0; i < flights.count; i += 1) seconds[Math.min(bins - 1, Math.floor((flights.times[i] / run.simulated_s) * bins))] += airtimeAt(i);
  return { bins, seconds, most: Math.max(1e-9, ...seconds) };
})();

/** The day at a glance, above the slider. The slider's knob keeps 8 px from both ends. */
function drawStrip() {
  const { context, width, height } = cleared(byId("strip"));
  const left = 8, usable = width - 16, base = height - 12;
  const x = (seconds) => left + (seconds / run.simulated_s) * usable;
  context.fillStyle = colour("use-3");
  strip.seconds.forEach((seconds, bin) => {
    const high = (seconds / strip.most) * (base - 4);
    context.fillRect(left + (bin / strip.bins) * usable, base - high, Math.max(1, usable / strip.bins - 1), high);
  });
  context.fillStyle = colour("bad");
  for (const question of run.questions) if (question[3] === "failed") context.fillRect(x(question[0]) - 1, 0, 2, 9);
  context.fillStyle = colour("soft");
  context.font = "10px sans-serif";
  context.textAlign = "center";
  const hours = run.simulated_s / 3600;
  const step = [1, 2, 3, 6, 12, 24, 48].find((each) => (hours / each) * 46 < usable) ?? 96;
  for (let hour = Math.ceil(run.start_hour / step) * step; hour <= run.start_hour + hours; hour += step) {
    const at = x((hour - run.start_hour) * 3600);
    if (at > 16 && at < width - 16) context.fillText(run.simulated_s > 86400 && hour % 24 === 0 ? `day ${hour / 24 + 1}` : `${hour % 24} h`, at, height - 2);
  }
  context.fillStyle = colour("ink");
  context.fillRect(x(replay.time) - 0.75, 0, 1.5, base);
}

function startReplay() {
  const slider = byId("time");
  slider.max = Math.ceil(run.simulated_s);
  slider.addEventListener("input", () => seek(Number(slider.value)));
  byId("strip").addEventListener("pointerdown", (event) => {
    const box = event.target.getBoundingClientRect();
    seek(((event.clientX - box.left - 8) / (box.width - 16)) * run.simulated_s);
  });
  byId("play").addEventListener("click", () => play(!replay.playing));
  byId("next").addEventListener("click", () => {
    const at = askedAt[after(askedAt, replay.time + 1)];
    if (at !== undefined) seek(at + 0.9);
  });
  byId("previous").addEventListener("click", () => seek((askedAt[after(askedAt, replay.time - 1.5) - 1] ?? 0) + 0.9));
  byId("speed").addEventListener("change", () => seek(replay.time));
  const present = new Set(run.replay.kind.map((kind) => GROUP_OF[run.replay.kinds[kind]]));
  for (const [group, words] of GROUPS) {
    if (!present.has(group)) continue;
    const box = make("input", { type: "checkbox" });
    box.checked = true;
    box.addEventListener("change", () => { replay.shown[box.checked ? "add" : "delete"](group); seek(replay.time); });
    byId("kinds").append(make("label", { class: group }, box, make("i"), words));
  }
  byId("kinds").hidden = !present.size;
  seek(firstLively(), false);
}

/** A moment at which there is something to see: the first question that went over the air. */
function firstLively() {
  const first = run.questions.find((question) => question[3] === "answered" && question[6] > 1) ?? run.questions[0];
  const sent = first ? after(flights.times, first[0] - 0.01) : 0;
  return sent < flights.count ? flights.times[sent] + airtimeAt(sent) * 0.8 : first ? first[0] : 0;
}
