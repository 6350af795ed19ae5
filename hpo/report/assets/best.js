// The best value so far, of one search or of several, and its regret; both have two phases.
const DASHES = ["", "9 4", "9 3 2 3", "5 2"];

// A search is {name, history: [[epochs, seconds, best, complete], ...]}.
function bestControls() {
  const value = select("best-value", "Show", [["0", `best ${data.objective}`], ["1", "regret"]]);
  const by = select("best-by", "against", [["0", "epochs"], ["1", "seconds"]]);
  return box("best-bar", "div", { class: "bar" }, value, by);
}

// Each search as its two phases: lists of [x, y].
function phasesOf(search, by, best, regret) {
  const points = search.history.filter((point) => point[2] !== null);
  const shownAs = (point) => [point[by], regret ? (data.mode === "max" ? best - point[2] : point[2] - best) : point[2]];
  return [false, true].map((complete) => points.filter((point) => Boolean(point[3]) === complete).map(shownAs));
}

function drawBest(place, searches, best, baseline) {
  const by = Number(selected("best-by"));
  const regret = selected("best-value") === "1";
  const lines = searches.map((search) => phasesOf(search, by, best, regret));
  const all = lines.flat(2);
  if (!all.length) {
    place.replaceChildren(make("p", {}, `No finite ${data.objective} was reported so far.`));
    return;
  }
  const values = all.map((point) => point[1]);
  const positive = values.filter((value) => value > 0);
  const floor = regret ? (positive.length ? Math.min(...positive) / 3 : 1) : -Infinity;
  const found = [Math.max(floor, Math.min(...values)), Math.max(floor, ...values)];
  const log = regret || suitsLog(found);
  const range = padded(found[1] > found[0] ? found : widened(found[0]), log);
  const end = Math.max(...all.map((point) => point[0]), by === 0 ? baseline ?? 0 : 0, 1e-3);
  const what = regret ? `regret (difference to ${text(best)})` : `best ${data.objective} so far`;
  const several = searches.length > 1 && place.clientWidth >= 560;
  const drawing = frame(place, {
    label: `${what} of ${plural(searches.length, "search", "searches")}`,
    height: 320,
    right: several ? Math.min(190, place.clientWidth / 3.5) : 16,
    x: { label: by === 0 ? "epochs spent" : "seconds since the first report", range: [0, end * 1.02], kind: "linear", whole: by === 0 },
    y: { label: log ? `${what}, log scale` : what, range, kind: log ? "log" : "linear" },
  });
  const ends = lines.map((phases, number) => drawSearch(drawing, phases, number, floor, searches[number]));
  if (several) nameEnds(drawing, ends, searches);
  if (regret) {
    drawing.svg.append(draw("line", { class: "reference", x1: drawing.margin.left, x2: drawing.width - drawing.margin.right, y1: drawing.y(floor), y2: drawing.y(floor) }));
    drawing.svg.append(label("zero or less", drawing.margin.left + 6, drawing.y(floor) - 5, { "text-anchor": "start" }));
  }
  if (by === 0 && baseline) {
    const x = drawing.x(baseline);
    drawing.svg.append(draw("line", { class: "reference", x1: x, x2: x, y1: drawing.margin.top, y2: drawing.height - drawing.margin.bottom }));
    drawing.svg.append(label("plain Hyperband ends", x - 5, drawing.margin.top + 12, { "text-anchor": "end" }));
  }
}

// Draw the two phases of a search apart; return where its line ends.
function drawSearch({ svg, x, y, width, margin }, [early, late], number, floor, search) {
  const at = (value) => y(Math.max(value, floor)).toFixed(1);
  const stairs = (points, until) => {
    let path = "";
    for (const [across, value] of points) path += path ? `H${x(across).toFixed(1)}V${at(value)}` : `M${x(across).toFixed(1)} ${at(value)}`;
    return path && until !== undefined ? `${path}H${x(until).toFixed(1)}` : path;
  };
  const phases = [[early, `run early run-${number % 6}`, late.length ? late[0][0] : undefined], [late, `run run-${number % 6}`, undefined]];
  for (const [points, kind, until] of phases) {
    if (!points.length) continue;
    const dash = kind.includes("early") ? "1 5" : DASHES[number % 4];
    svg.append(draw("path", { class: kind, d: stairs(points, until), "stroke-dasharray": dash }));
  }
  const last = (late.length ? late : early).at(-1);
  if (!last) return null;
  const end = [x(last[0]), Number(at(last[1]))];
  const mark = draw("circle", { class: `end run-${number % 6}`, cx: end[0], cy: end[1], r: 4.5 });
  const value = search.history.filter((point) => point[2] !== null).at(-1)[2];
  const room = end[0] < width - margin.right - 75; // right of the line, where nothing else is
  svg.append(titled(mark, `${search.name}: ${text(value)}`));
  if (data.runs === undefined) svg.append(label(text(value), end[0] + (room ? 10 : -8), end[1] + (room ? 4 : end[1] < 40 ? 20 : -10), { "text-anchor": room ? "start" : "end", class: "strong-words halo" }));
  return end;
}

// The name of each search at the end of its line, moved apart where they would overlap.
function nameEnds({ svg, width, height, margin }, ends, searches) {
  const known = ends.map((end, number) => ({ end, number })).filter((each) => each.end).sort((a, b) => a.end[1] - b.end[1]);
  let lowest = margin.top;
  for (const each of known) lowest = (each.at = Math.max(each.end[1], lowest)) + 15;
  let highest = height - margin.bottom;
  for (const each of [...known].reverse()) highest = (each.at = Math.min(each.at, highest)) - 15;
  for (const { end, number, at } of known) {
    const from = width - margin.right + 8;
    svg.append(draw("path", { class: "leader", d: `M${end[0] + 6} ${end[1]}L${from - 2} ${at}` }));
    const words = label(cut(searches[number].name, margin.right - 10), from, at + 4, { "text-anchor": "start", class: "run-name" });
    svg.append(titled(words, searches[number].name));
  }
}

function keyItem(key, words, path) {
  const sample = draw("svg", { width: 34, height: 10, "aria-hidden": "true" }, draw("path", { d: "M1 5H33", ...path }));
  return box(key, "li", {}, sample, ` ${words}`);
}

function phaseKeys(searches) {
  const colour = searches.length > 1 ? "any-run" : "run-0";
  const items = searches.some((search) => search.history.some((point) => !point[3] && point[2] !== null))
    ? [keyItem("phase-early", data.phases[0], { class: `run early ${colour}`, "stroke-dasharray": "1 5" }), keyItem("phase-late", data.phases[1], { class: `run ${colour}` })]
    : [];
  if (searches.length > 1) items.push(...searches.map((search, number) => keyItem(`run-key-${number}`, search.name, { class: `run run-${number % 6}`, "stroke-dasharray": DASHES[number % 4] })));
  return box("phase-keys", "ul", { class: "keys" }, ...items);
}

function bestPart() {
  const searches = [{ name: "the search", history: data.history }];
  const known = data.history.filter((point) => point[2] !== null);
  const final = known.length ? known.at(-1)[2] : null;
  const table = numbers("best", "best value so far", ["epochs", "seconds", `best ${data.objective}`, "phase"], () => changesOf(data.history));
  const lead = box("best-lead", "p", { class: "quiet" }, "Before a trial is complete, the best value of any trial counts; from then on, the best complete trial. Within each phase the value never gets worse.");
  const controls = bestControls();
  const place = figure("best-figure", (place) => drawBest(place, searches, final, data.baseline));
  return section("best", "Best value so far", lead, controls, phaseKeys(searches), place, table);
}

// The points at which the best value changed, and the last one.
function changesOf(history) {
  const rows = history.filter((point, place) => place + 1 === history.length || !place || point[2] !== history[place - 1][2] || point[3] !== history[place - 1][3]);
  return rows.map((point) => [point[0], point[1], point[2], data.phases[point[3] ? 1 : 0]]);
}

// Epochs by bracket: on what they were spent, and what decisions saved.
function budgetPart() {
  if (!data.brackets.length) return null;
  const rows = () => data.brackets.map((b) => [b.bracket, b.spent, b.saved, ...data.fates.map((_, fate) => b.epochs[fate])]);
  const table = numbers("budget", "epochs by bracket", ["bracket", "spent", "saved", ...data.fates.map((fate) => `on trials ${fate}`)], rows);
  const keys = fateKeys("budget", (fate) => data.brackets.some((b) => b.epochs[fate]));
  if (data.brackets.some((b) => b.saved)) keys.push(box("budget-key-saved", "li", {}, make("span", { class: "key saved" }), "saved by decisions"));
  return section("budget", "Budget", box("budget-lead", "p", {}, savedText()), box("budget-keys", "ul", { class: "keys" }, ...keys), figure("budget-figure", drawBudget), table);
}

function savedText() {
  const spent = data.brackets.reduce((sum, bracket) => sum + bracket.spent, 0);
  const budget = data.budget === null ? "" : ` of a budget of ${data.budget}`;
  const [saved, whole] = data.saved; // against what plain Hyperband takes for the same trials
  const by = whole === data.baseline ? "in all" : "for the same trials so far";
  const less = saved ? ` Saved: ${saved} of the ${whole} that it takes ${by} (${((100 * saved) / whole).toFixed(1)}%).` : "";
  if (data.baseline === null) return `${spent} epochs were spent${budget}.`;
  return `${spent} epochs were spent${budget}; plain Hyperband with the same settings takes ${data.baseline}.${less}`;
}

function drawBudget(place) {
  const width = Math.max(240, place.clientWidth);
  const [left, row, right] = [84, 26, 96];
  const most = Math.max(1, ...data.brackets.map((b) => b.spent + (b.saved ?? 0)));
  const x = scale("linear", [0, most], [left, width - right]);
  const height = data.brackets.length * row + 8;
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": `Epochs spent in ${plural(data.brackets.length, "bracket")}` });
  data.brackets.forEach((bracket, number) => {
    const top = number * row + 4;
    svg.append(label(`bracket ${bracket.bracket}`, left - 8, top + 15, { "text-anchor": "end" }));
    let sum = 0;
    bracket.epochs.forEach((epochs, fate) => {
      if (epochs) svg.append(titled(draw("rect", { class: `span fate-${fate}`, x: x(sum), y: top + 1, width: x(sum + epochs) - x(sum), height: row - 8 }), `${plural(epochs, "epoch")} on trials ${data.fates[fate]}`));
      sum += epochs;
    });
    if (bracket.saved) svg.append(titled(draw("rect", { class: "span saved", x: x(sum), y: top + 1, width: x(sum + bracket.saved) - x(sum), height: row - 8 }), `${plural(bracket.saved, "epoch")} saved`));
    const words = bracket.saved ? `${bracket.spent} (−${bracket.saved})` : String(bracket.spent);
    svg.append(label(words, x(sum + (bracket.saved ?? 0)) + 6, top + 15, { "text-anchor": "start" }));
  });
  place.replaceChildren(svg);
}
