// Every trial in a table that can be sorted and searched.
const PAGE = 50;

const trialTable = { column: null, down: false, shown: PAGE };

function trialColumns() {
  const names = [...new Set(data.trials.flatMap((trial) => Object.keys(trial.config)))];
  return [
    ["trial", (trial) => trial.id], [`last ${data.objective}`, (trial) => trial.values.at(-1) ?? null], ["epochs", (trial) => trial.values.length],
    ["bracket", (trial) => trial.bracket], ["fate", (trial) => data.fates[trial.fate]],
    ...data.metrics.map((name, place) => [`last ${name}`, (trial) => trial.metrics[place].at(-1) ?? null]),
    ...names.map((name) => [name, (trial) => (Object.hasOwn(trial.config, name) ? trial.config[name] : undefined)]), ["retries", (trial) => trial.retries], ["reason", (trial) => trial.reason],
  ];
}

function trialsPart() {
  const isNew = !kept.has("trials-search");
  const search = keep("trials-search", "input", { type: "search", placeholder: "search", "aria-label": "Search the trials" });
  if (isNew) {
    search.addEventListener("input", () => {
      trialTable.shown = PAGE;
      refresh();
    });
  }
  const columns = trialColumns();
  const words = (trial) => columns.map(([, of]) => String(of(trial) ?? "")).join(" ").toLowerCase();
  const wanted = search.value.toLowerCase();
  const rows = data.trials.filter((trial) => !wanted || words(trial).includes(wanted));
  const value = trialTable.column === null ? (trial) => trial.rank : columns[trialTable.column][1]; // the best first
  rows.sort((a, b) => compare(value(a), value(b)) * (trialTable.down ? -1 : 1) || a.id - b.id);
  const part = rows.slice(0, trialTable.shown);
  const head = box("trials-head", "tr", {}, ...columns.map(([name], place) => heading(name, place)));
  const body = box("trials-body", "tbody", {}, ...part.map((trial) => rowOf(trial, columns)));
  const table = box("trials-table", "table", {}, box("trials-top", "thead", {}, head), body);
  const count = box("trials-count", "p", { class: "quiet", role: "status" }, `${part.length} of ${plural(rows.length, "trial")}`);
  const more = button("trials-more", `Show more of ${rows.length}`, () => {
    trialTable.shown *= 4;
    refresh();
  });
  more.hidden = part.length === rows.length;
  figures.set("trials", { place: body, draw: markChosen, mark: markChosen });
  return section("trials", "Trials", box("trials-bar", "div", { class: "bar" }, search), count, scrolling("trials-scroll", "Table of trials", table), more);
}

function heading(name, place) {
  const sorted = trialTable.column !== place ? "none" : trialTable.down ? "descending" : "ascending";
  const sort = () => {
    Object.assign(trialTable, { down: place === trialTable.column && !trialTable.down, column: place });
    refresh();
  };
  return box(`column-${place}`, "th", { scope: "col", "aria-sort": sorted }, button(`column-${place}-sort`, name, sort));
}

// Numbers by size, then text; what is missing comes last.
function compare(a, b) {
  const missing = (value) => value === null || value === undefined || value === "";
  if (missing(a) || missing(b)) return Number(missing(a)) - Number(missing(b));
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b));
}

function rowOf(trial, columns) {
  const choose = button(`trial-${trial.id}`, trial.id, () => change({ trial: trial.id }), { "aria-label": `Choose trial ${trial.id}` });
  const cells = columns.map(([name, of], place) =>
    place ? make("td", { class: name === "reason" ? "wide" : "" }, text(of(trial))) : box(`trial-${trial.id}-cell`, "td", {}, choose));
  return box(`trial-${trial.id}-row`, "tr", { "data-trial": trial.id }, ...cells);
}

function markChosen(body) {
  for (const row of body.children) row.setAttribute("aria-current", String(Number(row.dataset.trial) === view.trial));
}
