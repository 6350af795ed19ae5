// The predictor: its skill at each decision, and its predictions against the true values.
function predictorPart() {
  const measured = data.decisions.filter((decision) => decision.kind !== "degraded");
  if (!data.decisions.length) return section("predictor", "Predictor", make("p", {}, "This run took no decision by prediction."));
  const lead = "Skill is one minus the squared error of the predictor divided by that of keeping the last known value, cross-validated on its training curves. Above 0 the predictor is better than the last value. A triangle is a skill below −2.";
  const skill = figure("skill-figure", (place) => drawSkill(place, measured));
  const truth = figure("truth-figure", drawTruth, { mark: markTruth });
  const pair = box("predictor-pair", "div", { class: "pair" },
    box("skill-half", "div", {}, make("h3", {}, "Skill at each decision"), skill),
    box("truth-half", "div", {}, make("h3", {}, `Predicted against true ${data.objective}`), truth, make("p", { class: "quiet" }, data.forecast_errors.known ? errorText() : "")));
  const decisions = numbers("decisions", "decisions", ["bracket", "rung", "after epochs", "kept", "stopped", "skill", "message"],
    () => data.decisions.map((d) => [d.bracket, d.rung, d.resource, d.kept.length, d.dropped.length, d.skill, d.message]));
  const forecasts = numbers("forecasts", "predictions whose true value is known", ["trial", "after epochs", "predicted epoch", "predicted", "last value", "true"], () => data.forecasts);
  return section("predictor", "Predictor", box("predictor-lead", "p", { class: "quiet" }, lead), pair, decisions, forecasts);
}

function errorText() {
  const errors = data.forecast_errors;
  return `Root mean squared error over the ${errors.known} of ${errors.made} predictions whose trials went on: predictor (dots) ${text(errors.predictor)}, last value (crosses) ${text(errors["last value"])}. Trials that were stopped have no true value, so these are the promising ones.`;
}

function drawSkill(place, decisions) {
  const floor = -2;
  const least = Math.max(floor, Math.min(0, ...decisions.map((decision) => decision.skill ?? 0)));
  const { svg, x, y, width, margin } = frame(place, {
    label: `Skill of the predictor at ${plural(decisions.length, "decision")}`,
    height: 240,
    x: { label: "decision", range: [0.5, Math.max(1.5, decisions.length + 0.5)], kind: "linear", ticks: niceTicks(1, Math.max(2, decisions.length), 6).filter(Number.isInteger) },
    y: { label: "skill", range: [least - 0.15, 1.05], kind: "linear" },
  });
  svg.append(draw("line", { class: "reference", x1: margin.left, x2: width - margin.right, y1: y(0), y2: y(0) }));
  svg.append(label("last value", width - margin.right - 4, y(0) - 5, { "text-anchor": "end" }));
  decisions.forEach((decision, place) => {
    if (decision.skill === null) return;
    const below = decision.skill < floor;
    const [cx, cy] = [x(place + 1), y(below ? floor : decision.skill)];
    const mark = below ? draw("path", { class: "dot", d: `M${cx - 5} ${cy - 4}h10l-5 9z` }) : draw("circle", { class: "dot", cx, cy, r: 4.5 });
    mark.append(draw("title", {}, `bracket ${decision.bracket}, rung ${decision.rung}: skill ${text(decision.skill)}`));
    svg.append(mark);
  });
}

// Both axes in one scale, so that the distance from the diagonal is the error.
function drawTruth(place) {
  const rows = data.forecasts.filter((row) => row[3] !== null && row[4] !== null);
  if (!rows.length) {
    place.replaceChildren(make("p", { class: "quiet" }, "No predicted trial was trained to the predicted epoch so far."));
    return;
  }
  const found = bulk(rows.flatMap((row) => row.slice(3, 6)));
  const log = suitsLog(found);
  const range = padded(found, log);
  const kind = log ? "log" : "linear";
  const side = clamp(place.clientWidth, [240, 420]);
  const { svg, x, y } = frame(place, {
    label: `Predicted against true ${data.objective} of ${plural(rows.length, "prediction")}; on the diagonal both are equal`,
    height: side - 30,
    right: Math.max(12, place.clientWidth - side),
    x: { label: `true ${data.objective}`, range, kind },
    y: { label: `predicted ${data.objective}`, range, kind },
  });
  svg.append(draw("line", { class: "reference", x1: x(range[0]), x2: x(range[1]), y1: y(range[0]), y2: y(range[1]) }));
  for (const [id, resource, target, predicted, last, truth] of rows) {
    const [cx, by] = [x(clamp(truth, range)), y(clamp(last, range))];
    svg.append(draw("path", { class: "cross", d: `M${cx - 3} ${by - 3}l6 6m0 -6l-6 6` }));
    const dot = draw("circle", { class: "dot", cx, cy: y(clamp(predicted, range)), r: 4, "data-trial": id });
    titled(dot, `trial ${id}, epoch ${resource} to ${target}: predicted ${text(predicted)}, last ${text(last)}, true ${text(truth)}`);
    dot.addEventListener("click", () => change({ trial: id }));
    svg.append(dot);
  }
}

function markTruth(place) {
  for (const dot of place.querySelectorAll("circle")) dot.classList.toggle("chosen-dot", Number(dot.dataset.trial) === view.trial);
}
