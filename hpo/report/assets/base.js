// Elements, numbers, and which trial is chosen: what all parts of the page share.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = new Map(data.trials.map((trial) => [trial.id, trial]));
const view = { trial: null, hidden: new Set(), bracket: "all", listeners: [] };

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

function lastLoss(trial) {
  const loss = trial.losses.at(-1);
  return loss === undefined || loss === null ? Infinity : loss;
}

function plural(count, word) {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}

const ranked = [...data.trials].sort((a, b) => lastLoss(a) - lastLoss(b) || a.id - b.id);

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
