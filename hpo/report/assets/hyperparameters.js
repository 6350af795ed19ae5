// Which hyperparameters matter, and how the objective depends on them: importance, slices, and
// parallel coordinates, all for the objective after one number of epochs.
const SLICES = 8;

function hyperparametersPart() {
  if (!data.axes.length || !data.resources.length) return section("importance", "Hyperparameters", make("p", {}, "No trial with a hyperparameter that varies was trained yet."));
  const measured = data.importance.findLastIndex((each) => each.r2 >= 0.1);
  const initial = data.importance.length ? data.importance[measured < 0 ? data.importance.length - 1 : measured].resource : data.resources.at(-1)[0];
  const options = data.resources.map(([resource, count]) => [resource, `${plural(resource, "epoch")} (${plural(count, "trial")})`]);
  const choice = select("resource", `${data.objective} after`, options, initial);
  const resource = Number(selected("resource"));
  const each = data.importance.find((one) => one.resource === resource);
  const order = axesInOrder(each);
  return section("importance", "Hyperparameters",
    box("importance-bar", "div", { class: "bar" }, choice),
    ...(each ? importanceOf(each) : [box("no-importance", "p", { class: "quiet" }, "Importances need at least 20 trials that were trained that far.")]),
    box("parallel-title", "h3", {}, "Parallel coordinates"),
    box("parallel-lead", "p", { class: "quiet" }, "One line per trial, from its hyperparameters to its value. The lines with the strongest contrast are the best fifth of the trials; the chosen trial is marked."),
    scrolling("parallel-scroll", "Parallel coordinates", figure("parallel-figure", (place) => drawParallel(place, order, resource), { mark: markParallel })),
    box("slices-title", "h3", {}, "Slices"),
    box("slices-lead", "p", { class: "quiet" }, `Each hyperparameter against the ${data.objective} after ${plural(resource, "epoch")}; coloured by fate.`),
    box("slices-keys", "ul", { class: "keys" }, ...fateKeys("slices", hadBy(trainedTo(resource)))),
    box("slices", "div", { class: "slices" }, ...order.slice(0, SLICES).map((axis) => sliceOf(axis, resource))),
    numbers("values", "values of the trials", ["trial", ...order.map((axis) => axis.name), data.objective], () => trainedTo(resource).map((trial) => [trial.id, ...order.map((axis) => trial.config[axis.name]), trial.values[resource - 1]])));
}

function trainedTo(resource) {
  return data.trials.filter((trial) => trial.values.length >= resource && trial.values[resource - 1] !== null);
}

// The axes of the hyperparameters, the most important first.
function axesInOrder(each) {
  const ranks = new Map((each ? each.rows : []).map(([name], place) => [name, place]));
  return [...data.axes].sort((a, b) => (ranks.get(a.name) ?? 999) - (ranks.get(b.name) ?? 999));
}

function importanceOf(each) {
  const worth = each.r2 < 0.1 ? " The forest has learned next to nothing, so these importances mean little." : "";
  const words = `Permutation importance: the decrease of the R2 of a forest on held-out trials when one hyperparameter is shuffled. Bars are means and lines are standard deviations over ${each.folds} refits. The forest predicts the rank of the ${data.objective} after ${plural(each.resource, "epoch")} with a held-out R2 of ${text(each.r2)}.${worth} Except after the first epoch, these are the trials that the search has kept.`;
  const rows = numbers("importance", "importance", ["hyperparameter", "importance", "standard deviation over refits"], () => each.rows);
  return [box("importance-h3", "h3", {}, "Importance"), box("importance-words", "p", { class: "quiet" }, words), figure("importance-figure", (place) => drawImportance(place, each)), rows];
}

function drawImportance(place, each) {
  const width = Math.max(240, place.clientWidth);
  const [left, row, right] = [Math.min(180, width * 0.36), 28, 112];
  const most = Math.max(1e-9, ...each.rows.map(([, mean, std]) => mean + std));
  const least = Math.min(0, ...each.rows.map(([, mean, std]) => mean - std));
  const x = scale("linear", [least, most], [left, width - right]);
  const height = each.rows.length * row + 28;
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": `Importance of ${plural(each.rows.length, "hyperparameter")}, the first is ${each.rows[0][0]}` });
  each.rows.forEach(([name, mean, std], place) => {
    const top = place * row + 4;
    const words = titled(label(cut(name, left - 10), left - 8, top + 15, { "text-anchor": "end" }), name);
    const bar = draw("rect", { class: "dot", x: x(Math.min(0, mean)), y: top + 3, height: row - 12, width: Math.abs(x(mean) - x(0)) });
    const [from, to, middle] = [x(mean - std), x(mean + std), top + 11];
    const whisker = draw("path", { class: "whisker", d: `M${from} ${middle - 4}v8M${from} ${middle}H${to}M${to} ${middle - 4}v8` });
    svg.append(words, bar, whisker, label(`${mean.toFixed(2)} ± ${std.toFixed(2)}`, x(Math.max(mean + std, 0)) + 6, top + 15, { "text-anchor": "start" }));
  });
  svg.append(draw("line", { class: "axis", x1: x(0), x2: x(0), y1: 2, y2: height - 24 }));
  svg.append(label(`decrease of R2, mean ± standard deviation over ${each.folds} refits`, clamp(x(0), [190, width - 190]), height - 6, { class: "small-words" }));
  place.replaceChildren(svg);
}

// Where a value lies on its axis: a number, or the place of a category.
function onAxis(axis, value) {
  if (!axis.levels) return value;
  axis.places ??= new Map(axis.values.map((each, place) => [JSON.stringify(each), place]));
  return axis.places.get(JSON.stringify(value)) ?? -0.5;
}

function rangeOf(axis) {
  if (axis.levels) return [-0.5, axis.levels.length - 0.5];
  return axis.high > axis.low ? padded([axis.low, axis.high], axis.log) : widened(axis.low);
}

function sliceOf(axis, resource) {
  const place = figure(`slice-${axis.name}`, (place) => drawSlice(place, axis, resource), { mark: markTruth });
  return box(`slice-${axis.name}-box`, "div", {}, make("h4", {}, axis.name), place);
}

function drawSlice(place, axis, resource) {
  const points = trainedTo(resource).filter((trial) => Object.hasOwn(trial.config, axis.name));
  const values = points.map((trial) => trial.values[resource - 1]);
  const found = bulk(values);
  const log = suitsLog(found);
  const range = padded(found, log);
  const { svg, x, y, width, margin, height } = frame(place, {
    label: `${data.objective} after ${plural(resource, "epoch")} against ${axis.name} of ${plural(points.length, "trial")}`,
    height: 210,
    x: { label: axis.log ? `${cut(axis.name, 120)} (log scale)` : cut(axis.name, 180), range: rangeOf(axis), kind: axis.log ? "log" : "linear", ticks: axis.levels ? [] : undefined },
    y: { label: log ? `${data.objective} (log)` : data.objective, range, kind: log ? "log" : "linear" },
  });
  const strip = (width - margin.left - margin.right) / Math.max(1, (axis.levels ?? []).length);
  (axis.levels ?? []).forEach((level, k) => svg.append(titled(label(cut(level, strip - 4), x(k), height - margin.bottom + 16, {}), level)));
  const order = [...points].sort((a, b) => a.fate - b.fate);
  for (const trial of order) {
    const value = trial.config[axis.name];
    const jitter = axis.levels ? (((trial.id * 7919) % 101) / 101 - 0.5) * 0.6 * strip : 0;
    const dot = draw("circle", { class: `point fate-${trial.fate}`, cx: x(onAxis(axis, value)) + jitter, cy: y(clamp(trial.values[resource - 1], range)), r: data.fates[trial.fate] === "best" ? 5 : 3, "data-trial": trial.id });
    titled(dot, `trial ${trial.id} (${data.fates[trial.fate]}): ${text(value)}, ${data.objective} ${text(trial.values[resource - 1])}`);
    dot.addEventListener("click", () => change({ trial: trial.id }));
    svg.append(dot);
  }
}

function drawParallel(place, order, resource) {
  const trials = trainedTo(resource);
  const axes = [...order, valueAxis(trials, resource)];
  const least = axes.length * 84;
  const region = place.parentElement.clientWidth;
  place.style.width = least > region ? `${least}px` : "100%";
  const width = Math.max(least, region);
  const [height, top, bottom, side] = [320, 40, 46, 44];
  const across = (k) => side + (k * (width - 2 * side)) / Math.max(1, axes.length - 1);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": `Parallel coordinates of ${plural(trials.length, "trial")} over ${axes.map((axis) => axis.name).join(", ")}` });
  const ups = axes.map((axis) => scale(axis.log ? "log" : "linear", rangeOf(axis), [height - bottom, top]));
  const at = (trial, k) => {
    const has = k === axes.length - 1 || Object.hasOwn(trial.config, axes[k].name);
    const value = k === axes.length - 1 ? clamp(trial.values[resource - 1], [axes[k].low, axes[k].high]) : trial.config[axes[k].name];
    return has ? ups[k](onAxis(axes[k], value)) : height - bottom + 16;
  };
  const sorted = [...trials].sort((a, b) => (a.values[resource - 1] - b.values[resource - 1]) * (data.mode === "max" ? 1 : -1));
  sorted.forEach((trial, place) => {
    const path = axes.map((_, k) => `${k ? "L" : "M"}${across(k).toFixed(1)} ${at(trial, k).toFixed(1)}`).join("");
    const fifth = Math.floor((5 * (sorted.length - 1 - place)) / sorted.length);
    const line = draw("path", { class: `line fifth-${fifth}`, d: path, "data-trial": trial.id });
    titled(line, `trial ${trial.id}: ${data.objective} ${text(trial.values[resource - 1])}`);
    line.addEventListener("click", () => change({ trial: trial.id }));
    svg.append(line);
  });
  svg.style.setProperty("--weak", clamp(80 / trials.length, [0.2, 0.75]));
  svg.append(draw("g", { class: "overlay" }));
  axes.forEach((axis, k) => drawAxis(svg, axis, across(k), ups[k], { top, bottom: height - bottom, room: (width - 2 * side) / axes.length, last: k === axes.length - 1, names: trials.some((trial) => k < axes.length - 1 && !Object.hasOwn(trial.config, axis.name)) }));
  place.replaceChildren(svg);
}

function valueAxis(trials, resource) {
  const [low, high] = bulk(trials.map((trial) => trial.values[resource - 1]));
  return { name: data.objective, low, high, log: suitsLog([low, high]) };
}

function drawAxis(svg, axis, x, up, { top, bottom, room, last, names }) {
  svg.append(draw("line", { class: "axis", x1: x, x2: x, y1: top, y2: bottom }));
  svg.append(titled(label(cut(axis.name, room - 6), x, top - 20, { class: last ? "strong-words" : "" }), axis.name));
  if (axis.log) svg.append(label("log", x, top - 6, { class: "small-words" }));
  const marks = axis.levels ? axis.levels.map((level, k) => [k, level]) : ticksOf(up, 4).map((tick) => [tick, tickText(tick)]);
  for (const [value, words] of marks) {
    svg.append(draw("line", { class: "axis", x1: x - 4, x2: x, y1: up(value), y2: up(value) }));
    svg.append(label(cut(words, room - 8), x - 6, up(value) + 4, { "text-anchor": "end", class: "halo" }));
  }
  if (names) svg.append(label("absent", x, bottom + 34, { class: "small-words" }));
}

function markParallel(place) {
  const overlay = place.querySelector(".overlay");
  const line = [...place.querySelectorAll(".line")].find((each) => Number(each.dataset.trial) === view.trial);
  if (overlay) overlay.replaceChildren(...(line ? ["chosen", `chosen ${line.getAttribute("class")}`] : []).map((kind) => draw("path", { class: kind, d: line.getAttribute("d") })));
}
