// Which worker trained which segment of which trial, from when to when; predictions; waiting.
function timelinePart() {
  const { lanes, spans, recorded } = data.timeline;
  if (!spans.length) return null;
  const words = recorded
    ? "One row per worker. A bar is a segment of a trial, coloured by the fate of the trial; gaps are waiting. The percentages are shares of the time without the transfer of segments and reports, which the utilisation of the run contains."
    : "The journal does not say which worker trained which segment. The segments are put into as few rows as possible; a bar lasts from the decision to the report.";
  const kinds = new Set(spans.map((span) => span[1]));
  const extra = [["predict", "prediction"], ["forecast", "forecast"], ["retry", "attempt that failed and was repeated"], ["failed", "attempt after which its trial failed"]].filter(([kind]) => kinds.has(kind));
  const keys = extra.map(([kind, name]) => box(`timeline-key-${kind}`, "li", {}, make("span", { class: `key span-${kind}` }), name));
  const table = numbers("timeline", "timeline", ["worker", "what", "trial", "from epoch", "to epoch", "start (s)", "end (s)"],
    () => spans.map(([lane, kind, trial, first, last, start, end]) => [lanes[lane].name, kind, trial, first, last, start, end]));
  return section("timeline", "Timeline of workers", box("timeline-lead", "p", { class: "quiet" }, words), box("timeline-keys", "ul", { class: "keys" }, ...fateKeys("timeline", hadBy(data.trials)), ...keys), figure("timeline-figure", drawTimeline, { mark: markTimeline }), table);
}

function drawTimeline(place) {
  const { lanes, spans } = data.timeline;
  const width = Math.max(240, place.clientWidth);
  const row = lanes.length > 24 ? 10 : 22;
  const [left, right, bottom] = [Math.min(150, width * 0.28), 46, 42];
  const height = lanes.length * row + bottom + 8;
  const end = Math.max(1e-3, ...spans.map((span) => span[6]));
  const [unit, seconds] = end > 7200 ? ["hours", 3600] : end > 180 ? ["minutes", 60] : ["seconds", 1];
  const x = scale("linear", [0, end], [left, width - right]);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": `Timeline of ${plural(lanes.length, "worker")} and ${plural(spans.length, "segment")} over ${text(end / seconds)} ${unit}` });
  const ticks = niceTicks(0, end / seconds, Math.max(2, Math.floor((width - left) / 80)));
  for (const tick of ticks) {
    const at = x(tick * seconds);
    svg.append(draw("line", { class: "grid", x1: at, x2: at, y1: 4, y2: height - bottom }), label(tickText(tick), at, height - bottom + 16, {}));
  }
  svg.append(label(`${unit} since the start`, (left + width - right) / 2, height - 6, {}));
  lanes.forEach((lane, number) => {
    const middle = number * row + 4 + row / 2;
    svg.append(draw("line", { class: "grid", x1: left, x2: width - right, y1: middle, y2: middle }));
    if (row < 12 && number % 2) return;
    svg.append(titled(label(cut(lane.name, left - 8), left - 8, middle + 4, { "text-anchor": "end" }), lane.name));
    if (lane.busy !== null) svg.append(titled(label(`${Math.round(100 * lane.busy)}%`, width - right + 6, middle + 4, { "text-anchor": "start" }), "share of the time in which it was busy"));
  });
  for (const [lane, kind, trial, first, last, start, stop] of spans) {
    const fate = trial === null || !byId.has(trial) ? null : byId.get(trial).fate;
    const size = Math.max(1, x(stop) - x(start) - 0.5);
    const kindOf = kind === "train" ? `fate-${fate}` : `span-${kind}`;
    const bar = draw("rect", { class: `span ${kindOf}`, x: x(start), y: lane * row + 6, width: size, height: row - 4, "data-trial": trial ?? "" });
    titled(bar, trial === null ? `${kind}, ${text(start)} to ${text(stop)} s` : `trial ${trial}, epochs ${first} to ${last}, ${kind}, ${text(start)} to ${text(stop)} s on ${lanes[lane].name}`);
    if (trial !== null) bar.addEventListener("click", () => change({ trial }));
    svg.append(bar);
  }
  place.replaceChildren(svg);
}

function markTimeline(place) {
  for (const bar of place.querySelectorAll(".span")) bar.classList.toggle("chosen-span", view.trial !== null && bar.dataset.trial === String(view.trial));
}
