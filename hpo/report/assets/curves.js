// All learning curves, coloured by fate, with decision points; pointer and arrow keys choose a trial.
const curves = { frame: null, range: null, overlay: null };

function curvesPart() {
  if (!data.trials.length) return section("curves", "Learning curves", make("p", {}, "No trial has started yet."));
  const about = "Learning curves. Arrow keys go through the trials from the best on, Home to the best, Escape chooses none.";
  const bar = [bracketChoice(), checkbox("log-epochs", "log epochs", true), checkbox("log-values", `log ${data.metrics.length ? "values" : data.objective}`, suitsLog(bulk(data.trials.flatMap((trial) => trial.values))))];
  if (data.metrics.length) bar.unshift(metricChoice());
  if (data.decisions.length) bar.push(checkbox("decision-points", "decision points", true));
  const isNew = !kept.has("curves-figure");
  const place = figure("curves-figure", drawCurves, { mark: markCurves, tabindex: "0", role: "application", "aria-roledescription": "learning curves", "aria-label": about });
  if (isNew) {
    place.addEventListener("keydown", chooseByKey);
    place.addEventListener("pointermove", chooseNear);
  }
  const lead = "Point at a curve, or click on the figure and use the arrow keys. Each curve ends where its trial was stopped.";
  return section("curves", "Learning curves", box("curves-lead", "p", { class: "quiet" }, lead), legend(), box("curves-bar", "div", { class: "bar" }, ...bar), place, detail());
}

function metricChoice() {
  const chosen = () => change({ metric: Number(selected("metric")) });
  return select("metric", "Metric", metricNames.map((name, place) => [place, name]), view.metric, chosen);
}

function bracketChoice() {
  view.options.bracket = String(view.bracket);
  const chosen = () => change({ bracket: selected("bracket") === "all" ? "all" : Number(selected("bracket")) });
  return select("bracket", "Show", [["all", "all brackets"], ...data.brackets.map(({ bracket }) => [bracket, `bracket ${bracket}`])], "all", chosen);
}

function legend() {
  const buttons = data.fates.flatMap((fate, place) => {
    const count = data.trials.filter((trial) => trial.fate === place).length;
    if (!count) return [];
    const sample = draw("svg", { class: "sample", width: 26, height: 10, "aria-hidden": "true" }, draw("path", { class: `curve strong fate-${place}`, d: "M1 5H25" }));
    const toggle = () => {
      if (!view.hidden.delete(place)) view.hidden.add(place);
      change({});
    };
    return [button(`fate-${place}`, [sample, fate === "best" ? fate : `${fate} (${count})`], toggle, { "aria-pressed": !view.hidden.has(place) })];
  });
  return box("fates", "div", { class: "bar", role: "group", "aria-label": "Show trials by fate" }, ...buttons);
}

function chooseByKey(event) {
  const trials = ranked.filter(shown);
  const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, PageDown: 10, PageUp: -10 };
  if (event.key === "Escape") return change({ trial: null });
  if (!trials.length || !(event.key in steps || event.key === "Home" || event.key === "End")) return;
  event.preventDefault();
  const now = trials.findIndex((trial) => trial.id === view.trial);
  let next = now < 0 ? 0 : now + (steps[event.key] ?? 0);
  if (event.key === "Home") next = 0;
  if (event.key === "End") next = trials.length - 1;
  change({ trial: trials[clamp(next, [0, trials.length - 1])].id });
}

function drawCurves(place) {
  const trials = data.trials.filter(shown);
  const longest = Math.max(2, ...data.trials.map((trial) => trial.values.length));
  const [logX, logY] = [isChecked("log-epochs"), isChecked("log-values")];
  const name = metricNames[view.metric];
  curves.range = padded(bulk(trials.flatMap(curveOf), view.metric === 0 ? data.mode : "both"), logY);
  curves.frame = frame(place, {
    label: `${name} against epochs of ${plural(trials.length, "trial")}`,
    height: Math.max(260, Math.min(460, window.innerHeight * 0.6)),
    x: { label: logX ? "epochs (log scale)" : "epochs", range: [1, longest], kind: logX ? "log" : "linear", whole: true, ticks: logX ? rungTicks(longest) : undefined },
    y: { label: logY && curves.range[0] > 0 ? `${name} (log scale)` : name, range: curves.range, kind: logY ? "log" : "linear" },
  });
  data.fates.forEach((_, fate) => drawFate(trials, fate));
  if (data.decisions.length && isChecked("decision-points")) drawDecisions();
  curves.overlay = draw("g");
  curves.frame.svg.append(curves.overlay);
}

// The chosen curve on top of all others, in its own colour with a band around it.
function markCurves() {
  if (!curves.overlay) return;
  const chosen = byId.get(view.trial);
  const kinds = chosen ? ["chosen", `chosen curve strong fate-${chosen.fate}`] : [];
  curves.overlay.replaceChildren(...kinds.map((kind) => draw("path", { class: kind, d: curvePath(chosen) })));
}

function drawFate(trials, fate) {
  const path = trials.filter((trial) => trial.fate === fate).map(curvePath).join("");
  const strong = ["best", "failed", "trained to the end"].includes(data.fates[fate]);
  if (path) curves.frame.svg.append(draw("path", { class: `curve fate-${fate}${strong ? " strong" : ""}`, d: path }));
}

function curvePoint(unit, value) {
  return [curves.frame.x(unit), curves.frame.y(clamp(value, curves.range))];
}

// Gaps where a value is not finite; a lone point is a short stroke.
function curvePath(trial) {
  const values = curveOf(trial);
  if (values.length === 1 && values[0] !== null) {
    const [x, y] = curvePoint(1, values[0]);
    return `M${(x - 3).toFixed(1)} ${y.toFixed(1)}h6`;
  }
  let path = "";
  let open = false;
  values.forEach((value, place) => {
    if (value === null) {
      open = false;
      return;
    }
    const [x, y] = curvePoint(place + 1, value);
    path += `${open ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}${open ? "" : "h0"}`;
    open = true;
  });
  return path;
}

function drawDecisions() {
  const marks = { kept: "", dropped: "" };
  for (const decision of data.decisions)
    for (const end of ["kept", "dropped"])
      for (const id of decision[end]) {
        if (!byId.has(id) || !shown(byId.get(id))) continue;
        const value = curveOf(byId.get(id))[decision.resource - 1];
        if (value === null || value === undefined) continue;
        const [x, y] = curvePoint(decision.resource, value);
        marks[end] += `M${x.toFixed(1)} ${y.toFixed(1)}h0`;
      }
  curves.frame.svg.append(draw("path", { class: "mark fate-1", d: marks.dropped }));
  curves.frame.svg.append(draw("path", { class: "mark on", d: marks.kept }), draw("path", { class: "hole", d: marks.kept }));
}

function chooseNear(event) {
  const box = event.currentTarget.getBoundingClientRect();
  const factor = curves.frame.width / box.width;
  const [px, py] = [(event.clientX - box.left) * factor, (event.clientY - box.top) * factor];
  let best = { distance: 24 ** 2, id: null };
  for (const trial of data.trials.filter(shown))
    curveOf(trial).forEach((value, place) => {
      if (value === null) return;
      const [x, y] = curvePoint(place + 1, value);
      const distance = (x - px) ** 2 + (y - py) ** 2;
      if (distance < best.distance) best = { distance, id: trial.id };
    });
  if (best.id !== null && best.id !== view.trial) change({ trial: best.id });
}

function rungTicks(longest) {
  const ends = data.brackets.flatMap((bracket) => bracket.rungs.map((rung) => rung.resource)).filter((end) => end && end <= longest);
  if (!ends.some((end) => end > 1 && end < longest)) for (let unit = longest; unit > 1; unit = Math.floor(unit / 2)) ends.push(unit);
  return [...new Set([1, ...ends, longest])].sort((a, b) => a - b);
}

// What is known of the chosen trial, read out by screen readers when it changes.
function detail() {
  const panel = keep("detail", "div", { class: "detail", id: "detail", "aria-live": "polite" });
  const show = () => {
    const now = JSON.stringify([view.trial, byId.get(view.trial)]);
    if (now === panel.shownNow) return;
    panel.shownNow = now;
    panel.replaceChildren(...detailOf(byId.get(view.trial)));
  };
  figures.set("detail", { place: panel, draw: show, mark: show });
  return panel;
}

function detailOf(trial) {
  if (!trial) return [make("p", { class: "quiet" }, "No trial is chosen.")];
  const facts = [
    [`last ${data.objective}`, text(trial.values.at(-1))], [`best ${data.objective}`, text(trial.best)], ["epochs", trial.values.length],
    ...data.metrics.map((name, place) => [`last ${name}`, text(trial.metrics[place].at(-1))]),
    ["bracket, rung", `${trial.bracket}, ${trial.rung}`], ...Object.entries(trial.config).map(([name, value]) => [name, text(value)]),
  ];
  if (trial.retries) facts.push(["retries", trial.retries]);
  if (trial.reason) facts.push(["reason", trial.reason]);
  const list = make("dl", {}, ...facts.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
  return [make("strong", {}, `Trial ${trial.id}: ${data.fates[trial.fate]}`), list];
}
