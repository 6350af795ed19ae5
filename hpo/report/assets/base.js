// The content that is shown, what the reader has chosen, and elements that stay when it is redrawn.
//
// render(content) draws the whole page from one object of plain values (hpo/report/content.py). It
// may be called again with newer content: elements are found by their keys, so that focus, open
// parts, scroll positions, filters and the chosen trial stay.
let data = null;
let byId = new Map();
let ranked = [];
let metricNames = [];
let parts = [];
const view = { trial: null, picked: false, metric: 0, hidden: new Set(), bracket: "all", options: {} };
const kept = new Map();
const figures = new Map();

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

// The element of a key, made at its first use.
function keep(key, tag, attributes = {}) {
  if (!kept.has(key)) kept.set(key, make(tag));
  const element = kept.get(key);
  for (const [name, value] of Object.entries(attributes)) if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
  return element;
}

// Give an element these children; those that it has already are not moved, and keep the focus.
function fill(parent, ...children) {
  const nodes = children.flat().filter((child) => child !== null && child !== undefined);
  const wanted = nodes.map((child) => (child instanceof Node ? child : document.createTextNode(String(child))));
  const stays = new Set(wanted);
  for (const old of [...parent.childNodes]) if (!stays.has(old)) old.remove();
  wanted.forEach((node, place) => {
    if (parent.childNodes[place] !== node) parent.insertBefore(node, parent.childNodes[place] ?? null);
  });
  return parent;
}

function box(key, tag, attributes, ...children) {
  return fill(keep(key, tag, attributes), ...children);
}

function text(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number" || (Number.isInteger(value) && Math.abs(value) < 1e7)) return String(value);
  const size = Math.abs(value);
  return size >= 1e5 || size < 1e-3 ? value.toExponential(3) : String(Number(value.toPrecision(5)));
}

function plural(count, word, words = `${word}s`) {
  return `${count} ${count === 1 ? word : words}`;
}

function curveOf(trial) {
  return view.metric === 0 ? trial.values : trial.metrics[view.metric - 1];
}

function shown(trial) {
  return !view.hidden.has(trial.fate) && (view.bracket === "all" || trial.bracket === view.bracket);
}

// Draw the page from its content, for the first time or again.
function render(content) {
  data = content;
  byId = new Map(data.trials.map((trial) => [trial.id, trial]));
  ranked = [...data.trials].sort((a, b) => a.rank - b.rank);
  metricNames = [data.objective, ...data.metrics]; // the figure of the curves shows one of them
  if (view.metric >= metricNames.length) view.metric = 0;
  const best = ranked.length && Number.isFinite(ranked[0].values.at(-1)) ? ranked[0].id : null;
  if (!view.picked || (view.trial !== null && !byId.has(view.trial))) view.trial = best;
  refresh();
  document.documentElement.dataset.ready = "yes";
}

// Draw all parts again, after a change of the content or of what the reader has chosen.
function refresh() {
  document.title = data.title;
  fill(document.querySelector("h1"), data.title);
  fill(document.querySelector("ul.lines"), ...data.lines.map((line) => make("li", {}, line)));
  figures.clear();
  const sections = parts.map((part) => part()).filter(Boolean);
  const links = sections.map((each) => box(`link-${each.id}`, "a", { href: `#${each.id}` }, each.querySelector("h2").textContent));
  fill(document.querySelector("nav"), ...links);
  fill(document.querySelector("main"), ...sections);
  for (const each of figures.values()) drawn(each);
}

// Change what the reader has chosen. Another trial needs its marks only.
function change(values) {
  Object.assign(view, values);
  if ("trial" in values) view.picked = true;
  if (Object.keys(values).join() !== "trial") return refresh();
  for (const each of figures.values()) if (each.mark) each.mark(each.place);
}

// A section with a heading that the navigation links to.
function section(id, title, ...children) {
  const heading = box(`${id}-title`, "h2", { id: `${id}-title` }, title);
  return box(id, "section", { id, "aria-labelledby": `${id}-title` }, heading, ...children);
}

// The colours of the fates that a figure shows, for a list of class keys.
function fateKeys(key, isShown) {
  return data.fates.flatMap((fate, place) => (isShown(place) ? [box(`${key}-fate-${place}`, "li", {}, make("span", { class: `key fate-${place}` }), fate)] : []));
}

// Whether any of some trials had a fate.
function hadBy(trials) {
  const used = new Set(trials.map((trial) => trial.fate));
  return (place) => used.has(place);
}

// A place for a figure that is drawn for its width, and again whenever that changes.
function figure(key, drawIt, { mark = null, ...attributes } = {}) {
  const isNew = !kept.has(key);
  const place = keep(key, "div", { class: "figure", ...attributes });
  figures.set(key, { place, draw: drawIt, mark });
  if (isNew) {
    new ResizeObserver(() => {
      const each = figures.get(key);
      if (each && place.clientWidth !== place.drawnWidth) drawn(each);
    }).observe(place);
  }
  return place;
}

function drawn(each) {
  if (!each.place.clientWidth) return;
  each.place.drawnWidth = each.place.clientWidth;
  each.draw(each.place);
  if (each.mark) each.mark(each.place);
}

function chosenOption(key, values, initial) {
  const value = view.options[key];
  return values.includes(value) ? value : initial;
}

// A labelled list of [value, words] to choose from.
function select(key, words, options, initial = options[0][0], changed = refresh) {
  const isNew = !kept.has(key);
  const choice = keep(key, "select", { id: key });
  const all = options.map(([value, name]) => [String(value), name]);
  if (JSON.stringify(all) !== choice.dataset.options) {
    choice.dataset.options = JSON.stringify(all);
    choice.replaceChildren(...all.map(([value, name]) => make("option", { value }, name)));
  }
  choice.value = chosenOption(key, all.map(([value]) => value), String(initial));
  if (isNew) {
    choice.addEventListener("change", () => {
      view.options[key] = choice.value;
      choice.changed();
    });
  }
  choice.changed = changed;
  return box(`${key}-label`, "label", {}, `${words} `, choice);
}

function selected(key) {
  return kept.get(key).value;
}

function checkbox(key, words, initial) {
  const isNew = !kept.has(key);
  const input = keep(key, "input", { type: "checkbox", id: key });
  input.checked = view.options[key] ?? initial;
  if (isNew) {
    input.addEventListener("change", () => {
      view.options[key] = input.checked;
      refresh();
    });
  }
  return box(`${key}-label`, "label", {}, input, ` ${words}`);
}

function isChecked(key) {
  return kept.get(key).checked;
}

function button(key, words, pressed, attributes = {}) {
  const isNew = !kept.has(key);
  const element = box(key, "button", { type: "button", ...attributes }, ...[words].flat());
  element.pressed = pressed;
  if (isNew) element.addEventListener("click", () => element.pressed());
  return element;
}

// A part that the reader opens; it is filled when it is open.
function folded(key, words, contentOf) {
  const isNew = !kept.has(key);
  const details = keep(key, "details");
  const place = keep(`${key}-place`, "div");
  details.fillIt = () => details.open && fill(place, ...[contentOf()].flat());
  if (isNew) details.addEventListener("toggle", () => details.fillIt());
  details.fillIt();
  return fill(details, box(`${key}-words`, "summary", {}, words), place);
}

// The numbers of a figure as a table, folded away.
function numbers(key, title, heading, rowsOf) {
  return folded(`${key}-numbers`, `Numbers: ${title}`, () => {
    const head = make("tr", {}, ...heading.map((name) => make("th", { scope: "col" }, name)));
    const body = make("tbody", {}, ...rowsOf().map((row) => make("tr", {}, ...row.map((cell) => make("td", {}, text(cell))))));
    return scrolling(`${key}-table`, title, make("table", {}, make("thead", {}, head), body));
  });
}

function scrolling(key, title, ...children) {
  return box(key, "div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title }, ...children);
}
