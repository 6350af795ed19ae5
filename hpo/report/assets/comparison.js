// Two or more searches side by side.
function sideBySide(key, heading, rows) {
  const head = make("tr", {}, make("th", { scope: "col" }, heading), ...data.runs.map((run) => make("th", { scope: "col" }, run.name)));
  const body = make("tbody");
  for (const [name, ...values] of rows)
    body.append(make("tr", {}, make("th", { scope: "row" }, name), ...values.map((value) => make("td", {}, text(value)))));
  return scrolling(key, heading, make("table", {}, make("thead", {}, head), body));
}

function sidePart() {
  return section("figures-side", "The searches", sideBySide("side", "search", data.figures));
}

function progressPart() {
  const rows = () => data.runs.flatMap((run) => changesOf(run.history).map((row) => [run.name, ...row]));
  const table = numbers("progress", "best value so far", ["search", "epochs", "seconds", `best ${data.objective}`, "phase"], rows);
  const lead = box("progress-lead", "p", { class: "quiet" }, "Before a trial of a search is complete, the best value of any of its trials counts; from then on, its best complete trial.");
  const controls = bestControls();
  const place = figure("progress-figure", (place) => drawBest(place, data.runs, data.best, null));
  return section("progress", "Best value so far", lead, controls, phaseKeys(data.runs), place, table);
}

function configurationsPart() {
  return section("configurations", "Best configurations", sideBySide("configs", "hyperparameter", data.configs));
}

function differencesPart() {
  const same = data.settings.length ? sideBySide("differences", "setting", data.settings) : make("p", {}, "All known settings are equal.");
  return section("settings", "Settings that differ", same);
}

parts = [sidePart, progressPart, configurationsPart, differencesPart];
render(JSON.parse(document.getElementById("data").textContent));
