// Bars, the heat strip and the tables; then everything is started.

const FEW_ROWS = 30;

/** Upright bars with their counts on top. */
function bars(box, { labels, values }, { unit, empty, axis }) {
  if (!values.length) {
    box.append(make("p", { class: "small" }, empty));
    return;
  }
  const width = 360, height = 200, top = 16, bottom = 36, most = Math.max(...values);
  const step = width / values.length;
  const wide = Math.min(step - 2, 70);
  const words = labels.map((label, i) => `${label} ${axis}: ${number(values[i])} ${unit}`).join("; ");
  const picture = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": words });
  values.forEach((value, i) => {
    const high = most ? (value / most) * (height - top - bottom) : 0;
    const middle = (i + 0.5) * step;
    const bar = draw("rect", { class: "chart-bar", x: middle - wide / 2, y: height - bottom - high, width: wide, height: high, rx: 2 });
    bar.append(draw("title", {}, `${labels[i]} ${axis}: ${number(value)} ${unit}`));
    picture.append(bar);
    if (value && step > 20) picture.append(draw("text", { class: "chart-value", x: middle, y: height - bottom - high - 4, "text-anchor": "middle" }, number(value)));
    const short = step < 34 ? labels[i].split("–")[0] : labels[i];
    if (step > 26 || i % 2 === 0) picture.append(draw("text", { class: "chart-text", x: middle, y: height - bottom + 14, "text-anchor": "middle" }, short));
  });
  picture.append(draw("path", { class: "chart-base", d: `M0 ${height - bottom}h${width}` }));
  picture.append(draw("text", { class: "chart-text", x: width, y: height - 4, "text-anchor": "end" }, axis));
  box.append(picture);
}

/** Lying bars, one for each kind of packet. */
function lyingBars(box, { labels, values }) {
  if (!values.length) {
    box.append(make("p", { class: "small" }, "Nothing was sent."));
    return;
  }
  const width = 360, row = 200 / Math.max(6, values.length), most = Math.max(...values), total = values.reduce((sum, value) => sum + value, 0);
  const words = labels.map((label, i) => `${label}: ${number(values[i])} s`).join("; ");
  const picture = draw("svg", { viewBox: `0 0 ${width} ${Math.max(200, row * values.length)}`, role: "img", "aria-label": words });
  values.forEach((value, i) => {
    const bar = draw("rect", { x: 108, y: i * row + 4, width: Math.max(1, (value / most) * 155), height: Math.min(18, row - 5), rx: 2 });
    bar.style.fill = `var(--${GROUP_OF[labels[i]] ?? "chatter"})`;
    const y = i * row + 4 + Math.min(18, row - 5) / 2 + 4;
    picture.append(bar, draw("text", { class: "chart-text", x: 100, y, "text-anchor": "end" }, KIND_NAMES[labels[i]] ?? labels[i]));
    picture.append(draw("text", { class: "chart-value", x: 114 + (value / most) * 155, y }, `${number(value)} s · ${share(value, total)}`));
  });
  box.append(picture);
}

const heatClass = (percent) => (percent > 50 ? "h5" : percent > 35 ? "h4" : percent > run.busy_percent ? "h3" : percent > 15 ? "h2" : percent > 5 ? "h1" : "h0");

function heat() {
  const table = byId("heat");
  const hours = run.heat_mean.map((_, hour) => Math.floor(run.start_hour + hour));
  const head = make("tr", {}, make("th", { scope: "col" }, "Radio"));
  hours.forEach((hour) => head.append(make("th", { scope: "col", title: `from ${hour % 24} h` }, run.simulated_s > 86400 && hour % 24 === 0 ? `d${hour / 24 + 1}` : `${hour % 24}`)));
  const row = (name, values, kind = "") => make("tr", { class: kind }, make("th", { scope: "row", title: name }, name), ...values.map((value) => make("td", { class: heatClass(value) }, String(value))));
  const body = make("tbody", {}, row("Mean of all", run.heat_mean, "mean"));
  const rows = run.heat.map(({ station, percent }) => row(nameOf(station), percent));
  table.replaceChildren(make("thead", {}, head), body);
  grow(body, rows, byId("heat-more"), 14, "radios");
}

/** Put the first rows into a table's body, and a button that shows the rest. */
function grow(body, rows, button, few, noun) {
  body.append(...rows.slice(0, few));
  button.hidden = rows.length <= few;
  button.textContent = `Show all ${number(rows.length)} ${noun}`;
  button.onclick = () => {
    body.append(...rows.slice(few));
    button.hidden = true;
  };
}

/** A table that its heads sort. Columns: {head, value, show, words}. */
function sortable(table, columns, rows, button, noun) {
  let by = null, down = false;
  const heads = columns.map((column, i) => {
    const press = make("button", { type: "button" }, column.head);
    press.addEventListener("click", () => { down = by === i ? !down : !column.words; by = i; fill(rows); });
    return make("th", { scope: "col", class: column.words ? "words" : "" }, press);
  });
  const body = make("tbody");
  table.replaceChildren(make("thead", {}, make("tr", {}, ...heads)), body);
  function fill(wanted) {
    rows = wanted;
    const value = (row) => columns[by].value(row);
    const order = by === null ? rows : [...rows].sort((a, b) => (down ? -1 : 1) * compare(value(a), value(b)));
    heads.forEach((head, i) => {
      if (i === by) head.setAttribute("aria-sort", down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
      head.firstChild.textContent = columns[i].head + (i === by ? (down ? " ↓" : " ↑") : "");
    });
    body.replaceChildren();
    const built = order.slice(0, FEW_ROWS).map(build);
    body.append(...built);
    button.hidden = order.length <= FEW_ROWS;
    button.textContent = `Show all ${number(order.length)} ${noun}`;
    button.onclick = () => { body.append(...order.slice(FEW_ROWS).map(build)); button.hidden = true; };
  }
  function build(row) {
    return make("tr", {}, ...columns.map((column, i) => {
      const shown = column.show ? column.show(row) : column.value(row);
      const content = typeof shown === "number" ? number(shown, 1) : shown;
      return i === 0 && !column.plain ? make("th", { scope: "row", class: "words" }, content) : make("td", { class: column.words ? `words ${column.long ? "long" : ""}` : "" }, content);
    }));
  }
  fill(rows);
  return fill;
}

const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b);

function toPlace(index) {
  const button = make("button", { type: "button", class: "to-place", title: "Show on the map" }, nameOf(index));
  button.addEventListener("click", () => { choose(index, { walk: true }); byId("map-section").scrollIntoView({ block: "start" }); });
  return button;
}

function stationTable() {
  const rows = run.stations.map((station, index) => ({ ...station, index }));
  sortable(byId("station-table"), [
    { head: "Place", value: (row) => row.name, show: (row) => toPlace(row.index), words: true },
    { head: "What it is", value: (row) => KIND_WORDS[kindOf(row)], words: true },
    { head: "Role", value: (row) => row.role.toLowerCase().replaceAll("_", " "), words: true },
    { head: "Asked", value: (row) => row.asked },
    { head: "Answered", value: (row) => row.answered },
    { head: "Sent", value: (row) => row.packets },
    { head: "Passed on", value: (row) => row.relayed },
    { head: "Heard", value: (row) => row.heard },
    { head: "Lost", value: (row) => row.lost / Math.max(1, row.heard + row.lost), show: (row) => share(row.lost, row.heard + row.lost) },
    { head: "Air in use", value: (row) => row.mean, show: (row) => `${number(row.mean)} %` },
    { head: "at worst", value: (row) => row.worst, show: (row) => `${number(row.worst)} %` },
    { head: "Energy", value: (row) => row.energy_wh, show: (row) => `${number(row.energy_wh, 1)} Wh` },
  ], rows, byId("station-more"), "places");
}

function questionTable() {
  const ending = (row) => {
    if (row[3] === "failed") return make("span", { class: "failed-word" }, "no answer");
    const word = { answered: "answered", cached: "from a cache", fixed: "fixed text" }[row[3]] ?? row[3];
    return row[7] ? `${word}, cut short` : word;
  };
  const note = (row) => [row[10] ? "emergency" : "", run.reasons[row[9]]].filter(Boolean).join("; ");
  const fill = sortable(byId("question-table"), [
    { head: "When", value: (row) => row[0], show: (row) => clock(row[0]), plain: true },
    { head: "Asked at", value: (row) => nameOf(row[1]), show: (row) => toPlace(row[1]), words: true },
    { head: "Language", value: (row) => row[2], words: true },
    { head: "Ending", value: (row) => row[3], show: ending, words: true },
    { head: "Seconds", value: (row) => row[4] },
    { head: "By", value: (row) => (row[5] === null ? "" : nameOf(row[5])), words: true },
    { head: "Hops", value: (row) => row[6], show: (row) => (row[3] === "answered" ? row[6] : "") },
    { head: "Air", value: (row) => row[8], show: (row) => (row[8] ? `${number(row[8], 1)} s` : "") },
    { head: "Why", value: note, words: true, long: true },
  ], run.questions, byId("question-more"), "questions");
  const show = () => {
    const wanted = byId("ending").value;
    const rows = run.questions.filter((row) => !wanted || row[3] === wanted);
    const cut = run.questions.length < run.questions_in_all ? `, the first ${number(run.questions.length)} of ${number(run.questions_in_all)} asked` : "";
    byId("question-count").textContent = `${number(rows.length)} questions${cut}`;
    fill(rows);
  };
  byId("ending").addEventListener("change", show);
  show();
}

bars(byId("chart-seconds"), run.seconds, { unit: "answers", empty: "No answers.", axis: "seconds" });
bars(byId("chart-hops"), run.hops, { unit: "answers", empty: "No answer came over the air.", axis: "hops" });
lyingBars(byId("chart-kinds"), run.kinds);
heat();
stationTable();
questionTable();
startMap();
startReplay();

const again = () => soon(() => { sizeMap(); redrawMap(); drawStrip(); });
window.addEventListener("resize", again);
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
