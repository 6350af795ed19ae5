// Every trial in a table that can be sorted and searched.
const PAGE = 50;

function trialsSection() {
  const names = [...new Set(data.trials.flatMap((trial) => Object.keys(trial.config)))];
  const columns = [
    ["trial", (trial) => trial.id], [`last ${data.objective}`, (trial) => trial.values.at(-1) ?? null], ["epochs", (trial) => trial.values.length],
    ["bracket", (trial) => trial.bracket], ["fate", (trial) => data.fates[trial.fate]],
    ...data.metrics.map((name, place) => [`last ${name}`, (trial) => trial.metrics[place].at(-1) ?? null]),
    ...names.map((name) => [name, (trial) => (Object.hasOwn(trial.config, name) ? trial.config[name] : undefined)]), ["retries", (trial) => trial.retries], ["reason", (trial) => trial.reason],
  ];
  const state = { column: null, down: false, words: "", shown: PAGE };
  const body = make("tbody");
  const more = make("button", { type: "button" });
  const count = make("p", { class: "quiet", role: "status" });
  const fill = () => fillTable(body, more, count, columns, state);
  const head = make("tr");
  columns.forEach(([name], place) => head.append(heading(name, place, head, state, fill)));
  const search = make("input", { type: "search", placeholder: "search", "aria-label": "Search the trials" });
  search.addEventListener("input", () => {
    Object.assign(state, { words: search.value.toLowerCase(), shown: PAGE });
    fill();
  });
  more.addEventListener("click", () => {
    state.shown *= 4;
    fill();
  });
  const table = make("table", {}, make("thead", {}, head), body);
  const region = make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table of trials" }, table);
  section("trials", "Trials", make("div", { class: "bar" }, search), count, region, more);
  fill();
  onChange(() => markChosen(body));
}

function heading(name, place, head, state, fill) {
  const button = make("button", { type: "button" }, name);
  const cell = make("th", { scope: "col", "aria-sort": "none" }, button);
  button.addEventListener("click", () => {
    Object.assign(state, { down: place === state.column && !state.down, column: place });
    for (const other of head.children) other.setAttribute("aria-sort", "none");
    cell.setAttribute("aria-sort", state.down ? "descending" : "ascending");
    fill();
  });
  return cell;
}

function fillTable(body, more, count, columns, state) {
  const value = state.column === null ? (trial) => trial.rank : columns[state.column][1]; // the best first
  const words = (trial) => columns.map(([, of]) => String(of(trial) ?? "")).join(" ").toLowerCase();
  const rows = data.trials.filter((trial) => !state.words || words(trial).includes(state.words));
  rows.sort((a, b) => compare(value(a), value(b)) * (state.down ? -1 : 1) || a.id - b.id);
  const part = rows.slice(0, state.shown);
  body.replaceChildren(...part.map((trial) => rowOf(trial, columns)));
  count.textContent = `${part.length} of ${plural(rows.length, "trial")}`;
  more.hidden = part.length === rows.length;
  more.textContent = `Show more of ${rows.length}`;
  markChosen(body);
}

// Numbers by size, then text; what is missing comes last.
function compare(a, b) {
  const missing = (value) => value === null || value === undefined || value === "";
  if (missing(a) || missing(b)) return Number(missing(a)) - Number(missing(b));
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b));
}

function rowOf(trial, columns) {
  const row = make("tr", { "data-trial": trial.id });
  columns.forEach(([name, of], place) => {
    if (place > 0) {
      row.append(make("td", { class: name === "reason" ? "wide" : "" }, text(of(trial))));
      return;
    }
    const button = make("button", { type: "button", "aria-label": `Choose trial ${trial.id}` }, trial.id);
    button.addEventListener("click", () => change({ trial: trial.id }));
    row.append(make("td", {}, button));
  });
  return row;
}

function markChosen(body) {
  for (const row of body.children) row.setAttribute("aria-current", String(Number(row.dataset.trial) === view.trial));
}
