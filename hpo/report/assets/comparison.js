// Two or more searches side by side.
const DASHES = ["", "7 4", "2 3", "9 3 2 3"];

function sideBySide(heading, rows) {
  const head = make("tr", {}, make("th", { scope: "col" }, heading), ...data.runs.map((run) => make("th", { scope: "col" }, run.name)));
  const body = make("tbody");
  for (const [name, ...values] of rows)
    body.append(make("tr", {}, make("th", { scope: "row" }, name), ...values.map((value) => make("td", {}, text(value)))));
  const table = make("table", {}, make("thead", {}, head), body);
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": heading }, table);
}

function chosenBy(words, names) {
  const choice = make("select", {}, ...names.map((name, place) => make("option", { value: place }, name)));
  return [choice, make("label", {}, `${words} `, choice)];
}

// Points [epochs, seconds, best] of a run as [x, y]; the regret is zero at the best of all runs.
function pointsOf(run, by, regret) {
  const points = run.history.filter((point) => point[2] !== null);
  return points.map((point) => [point[by], regret ? Math.abs(point[2] - data.best) : point[2]]);
}

function drawComparison(place, by, regret) {
  const lines = data.runs.map((run) => pointsOf(run, by, regret));
  const all = lines.flat();
  if (!all.length) {
    place.replaceChildren(make("p", {}, "No finite value was reported so far."));
    return;
  }
  const values = all.map((point) => point[1]);
  const positive = values.filter((value) => value > 0);
  const floor = positive.length ? Math.min(...positive) / 3 : 1;
  const shownValues = regret ? values.map((value) => Math.max(value, floor)) : values;
  const [low, high] = [Math.min(...shownValues), Math.max(...shownValues)];
  const log = low > 0 && (regret || high / low > 10);
  const range = high > low ? [low, high] : [low - 0.5 * Math.abs(low || 1), low + 0.5 * Math.abs(low || 1)];
  const what = regret ? `regret (best so far against ${text(data.best)})` : `best ${data.objective} so far`;
  const { svg, x, y } = frame(place, {
    label: `${what} of ${plural(lines.length, "search")}`.replace("searchs", "searches"),
    height: 320,
    x: { label: by === 0 ? "epochs spent" : "seconds since the first report", range: [0, Math.max(...all.map((point) => point[0]), 1e-3) * 1.02], kind: "linear" },
    y: { label: what, range: padded(range, log), kind: log ? "log" : "linear" },
  });
  lines.forEach((points, number) => {
    if (!points.length) return;
    const at = (value) => y(regret ? Math.max(value, floor) : value).toFixed(1);
    let path = "";
    for (const [across, value] of points) path += path ? `H${x(across).toFixed(1)}V${at(value)}` : `M${x(across).toFixed(1)} ${at(value)}`;
    const [endX, endY] = points.at(-1);
    const mark = draw("circle", { class: `end run-${number % 6}`, cx: x(endX), cy: at(endY), r: 4.5 });
    mark.append(draw("title", {}, `${data.runs[number].name}: ${text(data.runs[number].best)} after ${text(endX)}`));
    svg.append(draw("path", { class: `run run-${number % 6}`, d: path, "stroke-dasharray": DASHES[number % 4] }), mark);
  });
}

function legendOfRuns() {
  const list = make("ul", { class: "keys" });
  data.runs.forEach((run, number) => {
    const sample = draw("svg", { width: 34, height: 10, "aria-hidden": "true" });
    sample.append(draw("path", { class: `run run-${number % 6}`, d: "M1 5H33", "stroke-dasharray": DASHES[number % 4] }));
    list.append(make("li", {}, sample, ` ${run.name}`));
  });
  return list;
}

function progressSection() {
  const place = make("div", { class: "figure" });
  const [value, valueLabel] = chosenBy("Show", [`best ${data.objective}`, "regret"]);
  const [by, byLabel] = chosenBy("against", ["epochs", "seconds"]);
  const drawIt = () => drawComparison(place, Number(by.value), value.value === "1");
  for (const choice of [value, by]) choice.addEventListener("change", drawIt);
  const rows = data.runs.flatMap((run) => run.history.map((point) => [run.name, ...point]));
  const table = numbers("best so far", ["search", "epochs", "seconds", `best ${data.objective}`], rows);
  section("progress", "Best against what was spent", make("div", { class: "bar" }, valueLabel, byLabel), legendOfRuns(), place, table);
  keepDrawn(place, drawIt);
}

section("figures-side", "The searches", sideBySide("search", data.figures));
progressSection();
section("configurations", "Best configurations", sideBySide("hyperparameter", data.configs));
const same = data.settings.length ? sideBySide("setting", data.settings) : make("p", {}, "All known settings are equal.");
section("settings", "Settings that differ", same);
document.documentElement.dataset.ready = "yes";
