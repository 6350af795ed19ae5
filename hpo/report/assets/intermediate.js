// The values of all trials at the ends of the rungs: which went on, and which ended there.
function intermediatePart() {
  if (!data.rungs.length) return null;
  const lead = "The value of each trial at the end of a rung. Filled: trained further. Hollow: ended there.";
  const rows = () => data.rungs.flatMap((resource) => reached(resource).map((trial) => [resource, trial.id, trial.values[resource - 1], trial.values.length > resource ? "yes" : "no"]));
  const table = numbers("intermediate", "intermediate values", ["epochs", "trial", data.objective, "trained further"], rows);
  return section("intermediate", "Intermediate values", box("intermediate-lead", "p", { class: "quiet" }, lead), box("intermediate-keys", "ul", { class: "keys" }, ...fateKeys("intermediate", hadBy(data.trials))), figure("intermediate-figure", drawIntermediate, { mark: markTruth }), table);
}

function reached(resource) {
  return data.trials.filter((trial) => trial.values.length >= resource && trial.values[resource - 1] !== null);
}

function drawIntermediate(place) {
  const found = bulk(data.rungs.flatMap((resource) => reached(resource).map((trial) => trial.values[resource - 1])));
  const log = suitsLog(found);
  const range = padded(found, log);
  const count = data.rungs.length;
  const { svg, x, y, width, margin, height } = frame(place, {
    label: `${data.objective} of the trials after ${data.rungs.join(", ")} epochs`,
    height: 280,
    x: { label: "epochs at the end of a rung", range: [-0.5, count - 0.5], kind: "linear", ticks: [] },
    y: { label: log ? `${data.objective} (log scale)` : data.objective, range, kind: log ? "log" : "linear" },
  });
  const strip = (width - margin.left - margin.right) / count;
  data.rungs.forEach((resource, k) => {
    const trials = reached(resource);
    svg.append(label(resource, x(k), height - margin.bottom + 16, {}));
    for (const trial of trials) {
      const on = trial.values.length > resource || data.fates[trial.fate] === "best";
      const jitter = (((trial.id * 7919) % 101) / 101 - 0.5) * 0.7 * strip;
      const dot = draw("circle", { class: `${on ? "point" : "ring"} fate-${trial.fate}`, cx: x(k) + jitter, cy: y(clamp(trial.values[resource - 1], range)), r: 3, "data-trial": trial.id });
      titled(dot, `trial ${trial.id} after ${plural(resource, "epoch")}: ${text(trial.values[resource - 1])}`);
      dot.addEventListener("click", () => change({ trial: trial.id }));
      svg.append(dot);
    }
  });
}
