// The objective of the best trial against what was spent, and what was saved.
function spendingSection() {
  const known = data.history.filter((point) => point[2] !== null);
  const place = make("div", { class: "figure" });
  const choice = make("select", {}, make("option", { value: "0" }, "epochs"), make("option", { value: "1" }, "seconds"));
  const drawIt = () => drawHistory(place, known, Number(choice.value));
  choice.addEventListener("change", drawIt);
  const bar = make("div", { class: "bar" }, make("label", {}, `Best ${data.objective} so far against `, choice));
  const saved = data.brackets.map((b) => [b.bracket, b.spent, b.saved]);
  section("spending", "Epochs spent and saved", make("p", {}, savedText()), bar, place, numbers("epochs by bracket", ["bracket", "spent", "saved"], saved));
  keepDrawn(place, drawIt);
}

function savedText() {
  const spent = data.brackets.reduce((sum, bracket) => sum + bracket.spent, 0);
  if (data.baseline === null) return `${spent} epochs were spent. There is no plain Hyperband with the same settings to compare with.`;
  return `${spent} epochs were spent; plain Hyperband with the same settings takes ${data.baseline}. Saved so far: ${data.saved} (${((100 * data.saved) / data.baseline).toFixed(1)}%).`;
}

function drawHistory(place, points, by) {
  if (!points.length) {
    place.replaceChildren(make("p", {}, `No finite ${data.objective} was reported so far.`));
    return;
  }
  const baseline = by === 0 && data.baseline !== null ? data.baseline : 0;
  const end = Math.max(points.at(-1)[by], baseline, 1e-3);
  const values = points.map((point) => point[2]);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const log = low > 0 && high / low > 10;
  const { svg, x, y, margin, height } = frame(place, {
    label: `Best ${data.objective} so far, ${text(values.at(-1))} at the end`,
    height: 260,
    x: { label: by === 0 ? "epochs spent" : "seconds since the first report", range: [0, end * 1.02], kind: "linear" },
    y: { label: `best ${data.objective}`, range: padded(high > low ? [low, high] : [low - 0.5, low + 0.5], log), kind: log ? "log" : "linear" },
  });
  let path = "";
  for (const point of points) path += path ? `H${x(point[by]).toFixed(1)}V${y(point[2]).toFixed(1)}` : `M${x(point[by]).toFixed(1)} ${y(point[2]).toFixed(1)}`;
  svg.append(draw("path", { class: "step", d: path }));
  if (!baseline) return;
  svg.append(draw("line", { class: "reference", x1: x(baseline), x2: x(baseline), y1: margin.top, y2: height - margin.bottom }));
  svg.append(label("plain Hyperband ends", x(baseline) - 5, margin.top + 12, { "text-anchor": "end" }));
}
