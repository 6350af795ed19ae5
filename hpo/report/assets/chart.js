// Axes and scales of a figure that fits the width of its place.
function scale(kind, [low, high], [from, to]) {
  const log = kind === "log" && low > 0;
  const [a, b] = log ? [Math.log(low), Math.log(high)] : [low, high];
  const factor = b > a ? (to - from) / (b - a) : 0;
  const place = (value) => from + ((log ? Math.log(value) : value) - a) * factor;
  return Object.assign(place, { log, low, high });
}

function niceTicks(low, high, count) {
  if (!(high > low)) return [low];
  const raw = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw);
  const ticks = [];
  for (let k = Math.ceil(low / step); k * step <= high * (1 + 1e-12) + 1e-300; k++) ticks.push(Number((k * step).toPrecision(12)));
  return ticks;
}

function multiplesOfPowers(factors, low, high) {
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
    for (const factor of factors) ticks.push(Number((factor * 10 ** power).toPrecision(6)));
  return ticks.filter((tick) => tick >= low && tick <= high);
}

function logTicks(low, high, count) {
  const decades = Math.log10(high / low);
  const inside = decades * 3 > count ? multiplesOfPowers([1], low, high) : [];
  if (inside.length < 2) inside.splice(0, 1, ...multiplesOfPowers([1, 2, 5], low, high));
  if (inside.length < 2) return niceTicks(low, high, count);
  const skip = Math.ceil(inside.length / Math.max(2, count));
  return inside.filter((_, place) => place % skip === 0);
}

function ticksOf(axis, count) {
  return axis.log ? logTicks(axis.low, axis.high, count) : niceTicks(axis.low, axis.high, count);
}

// A tick in few letters: 0.001, 1e-4, 20000, 1e6.
function tickText(value) {
  if (typeof value !== "number" || value === 0) return String(value);
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-3) return Number(value.toPrecision(4)).toExponential().replace("e+", "e");
  return String(Number(value.toPrecision(6)));
}

// settings: label, height, x and y ({label, range, kind, ticks?, whole?}), right?; returns the drawing and its scales.
function frame(place, settings) {
  const width = Math.max(240, place.clientWidth || 600);
  const height = settings.height;
  const margin = { left: 60, right: settings.right ?? 12, top: 10, bottom: 42 };
  const y = scale(settings.y.kind, settings.y.range, [height - margin.bottom, margin.top]);
  const yTicks = settings.y.ticks ?? ticksOf(y, Math.floor(height / 55));
  margin.left = 30 + 7 * Math.max(2, ...yTicks.map((tick) => tickText(tick).length));
  const x = scale(settings.x.kind, settings.x.range, [margin.left, width - margin.right]);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": settings.label });
  const across = Math.max(3, Math.floor((width - 70) / (width > 700 ? 90 : 45)));
  const found = settings.x.ticks ?? ticksOf(x, across);
  const xTicks = settings.x.whole ? found.filter(Number.isInteger) : found;
  drawTicks(svg, x, y, spaced(xTicks, x, 12 + 7 * Math.max(...xTicks.map((tick) => tickText(tick).length), 2)), yTicks, { width, height, margin });
  svg.append(
    label(settings.x.label, (margin.left + width - margin.right) / 2, height - 6, {}),
    label(settings.y.label, 0, 0, { transform: `translate(13 ${(height - margin.bottom + margin.top) / 2}) rotate(-90)` }),
  );
  place.replaceChildren(svg);
  return { svg, x, y, width, height, margin };
}

// Leave out ticks that would write over their neighbour.
function spaced(ticks, x, least) {
  const left = [];
  for (const tick of [...ticks].reverse()) if (!left.length || x(left.at(-1)) - x(tick) >= least) left.push(tick);
  return left;
}

function label(words, x, y, attributes) {
  return draw("text", { x, y, "text-anchor": "middle", ...attributes }, words);
}

function titled(element, words) {
  element.append(draw("title", {}, words));
  return element;
}

// As many letters as fit, of about 7 units each.
function cut(words, width) {
  const letters = Math.max(2, Math.floor(width / 7));
  return words.length > letters ? `${words.slice(0, letters - 1)}…` : words;
}

function drawTicks(svg, x, y, xTicks, yTicks, { width, height, margin }) {
  const bottom = height - margin.bottom;
  for (const tick of xTicks) {
    svg.append(draw("line", { class: "grid", x1: x(tick), x2: x(tick), y1: margin.top, y2: bottom }));
    svg.append(label(tickText(tick), x(tick), bottom + 16, {}));
  }
  for (const tick of yTicks) {
    svg.append(draw("line", { class: "grid", x1: margin.left, x2: width - margin.right, y1: y(tick), y2: y(tick) }));
    svg.append(label(tickText(tick), margin.left - 6, y(tick) + 4, { "text-anchor": "end" }));
  }
  svg.append(draw("path", { class: "axis", fill: "none", d: `M${margin.left} ${margin.top}V${bottom}H${width - margin.right}` }));
}

// The range that shows the bulk of some numbers: a few that exploded must not flatten the others.
// The bad side is cut: above if lower is better ("min"), below ("max"), or both.
function bulk(values, mode = data.mode) {
  const finite = values.filter((value) => value !== null && Number.isFinite(value)).sort((a, b) => a - b);
  if (!finite.length) return [0, 1];
  const last = finite.length - 1;
  const low = finite[mode === "min" ? 0 : Math.ceil(0.02 * last)];
  const high = finite[mode === "max" ? last : Math.floor(0.98 * last)];
  return high > low ? [low, high] : widened(low);
}

function widened(value) {
  const space = 0.1 * Math.abs(value) || 0.5;
  return [value - space, value + space];
}

function padded([low, high], log) {
  if (log && low > 0) {
    const space = (high / low) ** 0.04;
    return [low / space, high * space];
  }
  const space = 0.04 * (high - low);
  return [low - space, high + space];
}

function clamp(value, [low, high]) {
  return Math.min(Math.max(value, low), high);
}

// Whether numbers are positive and span more than a decade, so that a logarithmic axis shows more.
function suitsLog([low, high]) {
  return low > 0 && high / low > 10;
}
