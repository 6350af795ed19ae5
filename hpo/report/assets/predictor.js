// The predictor: its skill at each decision, and its predictions against the true values.
function predictorSection() {
  const measured = data.decisions.filter((decision) => decision.kind !== "degraded");
  if (!measured.length && !data.decisions.length) {
    section("predictor", "Predictor", make("p", {}, "This run took no decision by prediction."));
    return;
  }
  const lead = "Skill is one minus the predictor's squared error over that of keeping the last known value, cross-validated on its training curves: above 0 it beats the last value, at 0 or below it is worth nothing.";
  const skill = make("div", { class: "figure" });
  const truth = make("div", { class: "figure" });
  const pair = make("div", { class: "pair" }, make("div", {}, make("h3", {}, "Skill at each decision"), skill), make("div", {}, make("h3", {}, `Predicted and true ${data.objective}`), truth, make("p", { class: "quiet" }, errorText())));
  const rows = data.decisions.map((d) => [d.bracket, d.rung, d.resource, d.kept.length, d.dropped.length, d.skill, d.message]);
  const heading = ["bracket", "rung", "after epochs", "kept", "stopped", "skill", "message"];
  section("predictor", "Predictor", make("p", { class: "quiet" }, lead), pair, numbers("decisions", heading, rows));
  keepDrawn(skill, () => drawSkill(skill, measured));
  keepDrawn(truth, () => drawTruth(truth));
  onChange(() => drawTruth(truth));
}

function errorText() {
  const errors = data.forecast_errors;
  if (!errors.known) return "No predicted trial was trained to the predicted epoch so far.";
  return `Root mean squared error over the ${errors.known} of ${errors.made} predictions whose trials went on: predictor (dots) ${text(errors.predictor)}, last value (crosses) ${text(errors["last value"])}. Trials that were stopped have no true value, so these are the promising ones.`;
}

function drawSkill(place, decisions) {
  const floor = -2;
  const { svg, x, y, width, margin } = frame(place, {
    label: `Skill of the predictor at ${plural(decisions.length, "decision")}`,
    height: 240,
    x: { label: "decision", range: [0.5, Math.max(1.5, decisions.length + 0.5)], kind: "linear", ticks: niceTicks(1, Math.max(2, decisions.length), 6).filter(Number.isInteger) },
    y: { label: "skill", range: [floor - 0.15, 1.05], kind: "linear" },
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

function drawTruth(place) {
  const rows = data.forecasts.filter((row) => row[3] !== null && row[4] !== null);
  const range = padded(bulk(rows.flatMap((row) => row.slice(3, 6))), false);
  const { svg, x, y } = frame(place, {
    label: `Predicted against true ${data.objective}`,
    height: 240,
    x: { label: `true ${data.objective}`, range, kind: "linear" },
    y: { label: "predicted", range, kind: "linear" },
  });
  const inside = (value) => Math.min(Math.max(value, range[0]), range[1]);
  svg.append(draw("line", { class: "reference", x1: x(range[0]), x2: x(range[1]), y1: y(range[0]), y2: y(range[1]) }));
  for (const [id, resource, target, predicted, last, truth] of rows) {
    const cx = x(inside(truth));
    const by = y(inside(last));
    svg.append(draw("path", { class: "cross", d: `M${cx - 3} ${by - 3}l6 6m0 -6l-6 6` }));
    const dot = draw("circle", { class: `dot${id === view.trial ? " chosen-dot" : ""}`, cx, cy: y(inside(predicted)), r: 3.5 });
    dot.append(draw("title", {}, `trial ${id}, epoch ${resource} to ${target}: predicted ${text(predicted)}, last ${text(last)}, true ${text(truth)}`));
    dot.addEventListener("click", () => change({ trial: id }));
    svg.append(dot);
  }
}
