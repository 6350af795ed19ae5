// All learning curves, coloured by fate, with decision points; pointer and arrow keys choose a trial.
function curvesSection() {
  const place = make("div", { class: "figure", tabindex: "0", role: "application", "aria-roledescription": "learning curves" });
  place.setAttribute("aria-label", "Learning curves. Arrow keys go through the trials from the best on, Home to the best, Escape chooses none.");
  const options = { logX: true, logY: suitsLog(), decisions: true };
  const drawing = new Curves(place, options);
  const redraw = () => drawing.draw();
  let filter = "";
  const update = () => {
    const before = filter;
    filter = JSON.stringify([...view.hidden, view.bracket, view.metric]);
    if (filter === before) drawing.markChosen();
    else redraw();
  };
  const bar = make("div", { class: "bar" }, bracketChoice(), box("log epochs", options, "logX", redraw), box(`log ${data.metrics.length ? "values" : data.objective}`, options, "logY", redraw));
  if (data.metrics.length) bar.prepend(metricChoice());
  if (data.decisions.length) bar.append(box("decision points", options, "decisions", redraw));
  const lead = "Point at a curve, or click on the figure and use the arrow keys. Each curve ends where its trial was stopped.";
  section("curves", "Learning curves", make("p", { class: "quiet" }, lead), legend(), bar, place, detail());
  keepDrawn(place, redraw);
  onChange(update);
  place.addEventListener("keydown", chooseByKey);
  place.addEventListener("pointermove", (event) => drawing.chooseNear(event));
}

function suitsLog() {
  const [low, high] = bulk(data.trials.flatMap((trial) => trial.values));
  return low > 0 && high / low > 10;
}

function box(words, options, name, redraw) {
  const input = make("input", { type: "checkbox" });
  input.checked = options[name];
  input.addEventListener("change", () => {
    options[name] = input.checked;
    redraw();
  });
  return make("label", {}, input, ` ${words}`);
}

function metricChoice() {
  const choice = make("select", { id: "metric" });
  metricNames.forEach((name, place) => choice.append(make("option", { value: place }, name)));
  choice.addEventListener("change", () => change({ metric: Number(choice.value) }));
  return make("label", {}, "Metric ", choice);
}

function bracketChoice() {
  const choice = make("select", { id: "bracket" }, make("option", { value: "all" }, "all brackets"));
  for (const { bracket } of data.brackets) choice.append(make("option", { value: bracket }, `bracket ${bracket}`));
  choice.addEventListener("change", () => change({ bracket: choice.value === "all" ? "all" : Number(choice.value) }));
  onChange(() => (choice.value = String(view.bracket)));
  return make("label", {}, "Show ", choice);
}

function legend() {
  const bar = make("div", { class: "bar", role: "group", "aria-label": "Show trials by fate" });
  data.fates.forEach((fate, place) => {
    const count = data.trials.filter((trial) => trial.fate === place).length;
    if (!count) return;
    const button = make("button", { type: "button", "aria-pressed": "true" }, make("span", { class: `key fate-${place}` }), fate === "best" ? fate : `${fate} (${count})`);
    button.addEventListener("click", () => {
      if (!view.hidden.delete(place)) view.hidden.add(place);
      button.setAttribute("aria-pressed", String(!view.hidden.has(place)));
      change({});
    });
    bar.append(button);
  });
  return bar;
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
  change({ trial: trials[Math.min(trials.length - 1, Math.max(0, next))].id });
}

class Curves {
  constructor(place, options) {
    this.place = place;
    this.options = options;
  }

  draw() {
    const trials = data.trials.filter(shown);
    const longest = Math.max(2, ...data.trials.map((trial) => trial.values.length));
    const range = padded(bulk(trials.flatMap(curveOf), view.metric === 0 ? data.mode : "both"), this.options.logY);
    this.frame = frame(this.place, {
      label: `${metricNames[view.metric]} against epochs of ${plural(trials.length, "trial")}`,
      height: Math.max(260, Math.min(460, window.innerHeight * 0.6)),
      x: { label: "epochs", range: [1, longest], kind: this.options.logX ? "log" : "linear", ticks: this.options.logX ? rungTicks(longest) : undefined },
      y: { label: metricNames[view.metric], range, kind: this.options.logY ? "log" : "linear" },
    });
    this.range = range;
    data.fates.forEach((_, fate) => this.drawFate(trials, fate));
    if (this.options.decisions) this.drawDecisions();
    this.overlay = draw("g");
    this.frame.svg.append(this.overlay);
    this.markChosen();
  }

  // The chosen curve on top of all others, light around its colour.
  markChosen() {
    if (!this.overlay) return;
    const chosen = byId.get(view.trial);
    const copies = chosen ? [0, 1] : [];
    this.overlay.replaceChildren(...copies.map(() => draw("path", { class: "chosen", d: this.path(chosen) })));
  }

  drawFate(trials, fate) {
    const path = trials.filter((trial) => trial.fate === fate).map((trial) => this.path(trial)).join("");
    const strong = ["best", "failed", "trained to the end"].includes(data.fates[fate]) ? " strong" : "";
    if (path) this.frame.svg.append(draw("path", { class: `curve fate-${fate}${strong}`, d: path }));
  }

  point(unit, value) {
    const [low, high] = this.range;
    const inside = Math.min(Math.max(value, low), high);
    return [this.frame.x(unit), this.frame.y(inside)];
  }

  // Gaps where a value is not finite; a lone point is a short stroke.
  path(trial) {
    const values = curveOf(trial);
    if (values.length === 1 && values[0] !== null) {
      const [x, y] = this.point(1, values[0]);
      return `M${(x - 3).toFixed(1)} ${y.toFixed(1)}h6`;
    }
    let path = "";
    let open = false;
    values.forEach((value, place) => {
      if (value === null) {
        open = false;
        return;
      }
      const [x, y] = this.point(place + 1, value);
      path += `${open ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}${open ? "" : "h0"}`;
      open = true;
    });
    return path;
  }

  drawDecisions() {
    const marks = { kept: "", dropped: "" };
    for (const decision of data.decisions)
      for (const end of ["kept", "dropped"])
        for (const id of decision[end]) {
          const value = curveOf(byId.get(id))[decision.resource - 1];
          if (!shown(byId.get(id)) || value === null || value === undefined) continue;
          const [x, y] = this.point(decision.resource, value);
          marks[end] += `M${x.toFixed(1)} ${y.toFixed(1)}h0`;
        }
    this.frame.svg.append(draw("path", { class: "mark fate-1", d: marks.dropped }));
    this.frame.svg.append(draw("path", { class: "mark on", d: marks.kept }), draw("path", { class: "hole", d: marks.kept }));
  }

  chooseNear(event) {
    const box = this.place.getBoundingClientRect();
    const factor = this.frame.width / box.width;
    const [px, py] = [(event.clientX - box.left) * factor, (event.clientY - box.top) * factor];
    let best = { distance: 24 ** 2, id: null };
    for (const trial of data.trials.filter(shown))
      curveOf(trial).forEach((value, place) => {
        if (value === null) return;
        const [x, y] = this.point(place + 1, value);
        const distance = (x - px) ** 2 + (y - py) ** 2;
        if (distance < best.distance) best = { distance, id: trial.id };
      });
    if (best.id !== null && best.id !== view.trial) change({ trial: best.id });
  }
}

function rungTicks(longest) {
  const ends = data.brackets.flatMap((bracket) => bracket.rungs.map((rung) => rung.resource));
  return [...new Set([1, ...ends.filter((end) => end && end <= longest), longest])].sort((a, b) => a - b);
}

// What is known of the chosen trial, read out by screen readers when it changes.
function detail() {
  const panel = make("div", { class: "detail", id: "detail", "aria-live": "polite" });
  const show = () => panel.replaceChildren(...detailOf(byId.get(view.trial)));
  onChange(show);
  show();
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
