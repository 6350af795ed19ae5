// Which hyperparameters matter, and how the objective lies over each of them.
function importanceSection() {
  if (!data.importance.length) {
    section("importance", "Hyperparameters", make("p", {}, "At least 20 trials with something that varies are needed to tell which hyperparameters matter."));
    return;
  }
  const choice = make("select", {});
  data.importance.forEach((each, place) => choice.append(make("option", { value: place }, `${plural(each.resource, "epoch")} (${each.n} trials)`)));
  const told = data.importance.findLastIndex((each) => each.r2 >= 0.1);
  choice.value = String(told < 0 ? data.importance.length - 1 : told);
  const words = make("p", { class: "quiet" });
  const bars = make("div", { class: "figure" });
  const slices = make("div", { class: "slices" });
  const tables = make("div");
  const now = () => data.importance[Number(choice.value)];
  const drawIt = () => {
    words.textContent = importanceText(now());
    drawImportance(bars, now());
    tables.replaceChildren(numbers("importance", ["hyperparameter", "importance", "standard deviation"], now().rows));
    slices.replaceChildren(...now().rows.slice(0, 8).map(([name]) => sliceOf(name, now().resource)));
  };
  choice.addEventListener("change", drawIt);
  section("importance", "Hyperparameters", make("div", { class: "bar" }, make("label", {}, `Importance for the ${data.objective} after `, choice)), words, bars, tables, slices);
  keepDrawn(bars, drawIt);
}

function importanceText(each) {
  const worth = each.r2 < 0.1 ? " That is next to nothing: the importances below mean little." : "";
  return `Permutation importance: how much of its R2 a forest loses on held-out trials when one hyperparameter is shuffled. It predicts the rank of the ${data.objective} after ${plural(each.resource, "epoch")} with a held-out R2 of ${text(each.r2)}.${worth} Trials trained this far were chosen by the search, except after the first epoch.`;
}

function drawImportance(place, each) {
  const width = Math.max(240, place.clientWidth);
  const [left, row, right] = [Math.min(180, width * 0.4), 26, 60];
  const most = Math.max(1e-9, ...each.rows.map(([, mean, std]) => mean + std));
  const x = scale("linear", [0, most], [left, width - right]);
  const height = each.rows.length * row + 6;
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": `Importance of ${plural(each.rows.length, "hyperparameter")}` });
  each.rows.forEach(([name, mean, std], place) => {
    const top = place * row + 4;
    const letters = Math.floor((left - 10) / 7);
    const short = name.length > letters ? `${name.slice(0, letters - 1)}…` : name;
    const words = label(short, left - 8, top + 14, { "text-anchor": "end" });
    words.append(draw("title", {}, name));
    const bar = draw("rect", { class: "dot", x: left, y: top + 2, height: row - 10, width: Math.max(0, x(Math.max(0, mean)) - left) });
    const whisker = draw("line", { class: "whisker", x1: x(Math.max(0, mean - std)), x2: x(Math.max(0, mean + std)), y1: top + 10, y2: top + 10 });
    svg.append(words, bar, whisker, label(mean.toFixed(3), x(Math.max(0, mean + std)) + 6, top + 14, { "text-anchor": "start" }));
  });
  place.replaceChildren(svg);
}

function sliceOf(name, resource) {
  const place = make("div", { class: "figure" });
  const points = data.trials.filter((trial) => trial.values.length >= resource && trial.values[resource - 1] !== null && Object.hasOwn(trial.config, name));
  requestAnimationFrame(() => drawSlice(place, name, points, resource));
  return make("div", {}, make("h3", {}, name), place);
}

function drawSlice(place, name, points, resource) {
  const values = points.map((trial) => trial.config[name]);
  const numeric = values.every((value) => typeof value === "number");
  const levels = numeric ? [] : [...new Set(values.map(String))].sort();
  const at = numeric ? (value) => value : (value) => levels.indexOf(String(value));
  const [low, high] = numeric ? [Math.min(...values), Math.max(...values)] : [-0.5, levels.length - 0.5];
  const log = numeric && low > 0 && high / low > 50;
  const losses = points.map((trial) => trial.values[resource - 1]);
  const range = padded(bulk(losses), false);
  const { svg, x, y } = frame(place, {
    label: `${data.objective} after ${plural(resource, "epoch")} against ${name}`,
    height: 190,
    x: { label: numeric ? (log ? "value (log)" : "value") : "", range: padded([low, high], log), kind: log ? "log" : "linear", ticks: numeric ? undefined : [] },
    y: { label: data.objective, range, kind: "linear" },
  });
  levels.forEach((level, k) => svg.append(label(level.length > 10 ? `${level.slice(0, 9)}…` : level, x(k), 164, {})));
  points.forEach((trial, k) => {
    const jitter = numeric ? 0 : (((trial.id * 7919) % 101) / 101 - 0.5) * 0.5;
    const dot = draw("circle", { class: "dot", cx: x(at(values[k]) + jitter), cy: y(Math.min(Math.max(losses[k], range[0]), range[1])), r: 3 });
    dot.append(draw("title", {}, `trial ${trial.id}: ${text(values[k])}, ${data.objective} ${text(losses[k])}`));
    dot.addEventListener("click", () => change({ trial: trial.id }));
    svg.append(dot);
  });
}
