// Elements, numbers, and which trial and metric are chosen: what all parts of the page share.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = new Map(data.trials.map((trial) => [trial.id, trial]));
const view = { trial: null, metric: 0, hidden: new Set(), bracket: "all", listeners: [] };

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.map((child) => (child instanceof Node ? child : String(child))));
  return element;
}

function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function text(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number" || Number.isInteger(value)) return String(value);
  const size = Math.abs(value);
  return size >= 1e5 || size < 1e-3 ? value.toExponential(3) : String(Number(value.toPrecision(5)));
}

// The objective, then the further metrics; the figure of the curves shows one of them.
const metricNames = [data.objective, ...data.metrics];

function curveOf(trial) {
  return view.metric === 0 ? trial.values : trial.metrics[view.metric - 1];
}

function plural(count, word) {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}

const ranked = [...data.trials].sort((a, b) => a.rank - b.rank);

function shown(trial) {
  return !view.hidden.has(trial.fate) && (view.bracket === "all" || trial.bracket === view.bracket);
}

function onChange(listener) {
  view.listeners.push(listener);
}

function change(values) {
  Object.assign(view, values);
  for (const listener of view.listeners) listener();
}

// A section with a heading that the navigation links to.
function section(id, title, ...children) {
  const element = make("section", { id, "aria-labelledby": `${id}-title` });
  element.append(make("h2", { id: `${id}-title` }, title), ...children);
  document.querySelector("nav").append(make("a", { href: `#${id}` }, title));
  document.querySelector("main").append(element);
  return element;
}

// The numbers of a figure as a table, folded away.
function numbers(title, heading, rows) {
  const head = make("tr", {}, ...heading.map((name) => make("th", { scope: "col" }, name)));
  const table = make("table", {}, make("thead", {}, head));
  const body = make("tbody");
  for (const row of rows) body.append(make("tr", {}, ...row.map((cell) => make("td", {}, text(cell)))));
  table.append(body);
  const region = make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title }, table);
  return make("details", {}, make("summary", {}, `Numbers: ${title}`), region);
}
