// The state of the moment above the report, and newer content: from the server that the page came
// from, or by loading the file again.
const live = { now: null, tag: "", offset: 0, lost: null, updated: null, timer: null };
const liveStates = {
  waiting: "waiting for the journal", running: "running", finished: "finished",
  stopped: "stopped", unknown: "state not known",
};

function ago(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

// Seconds since a moment by the server's clock, which may differ from the browser's.
function since(moment) {
  return Date.now() / 1000 + live.offset - moment;
}

function liveText() {
  const now = live.now;
  if (!now) return "connecting";
  const words = [];
  if (now.state === "running" || now.state === "unknown") {
    if (now.workers !== null) words.push(`${now.segments.length} of ${plural(now.workers, "worker")} busy`);
    if (now.predictions) words.push(`${plural(now.predictions, "prediction")} running`);
  }
  const counts = Object.entries(now.trials ?? {}).filter(([, n]) => n).map(([name, n]) => `${n} ${name}`);
  if (counts.length) words.push(`trials: ${counts.join(", ")}`);
  if (now.units !== undefined) words.push(`epochs: ${now.units}${now.budget === null ? "" : ` of ${now.budget}`}`);
  return words.join(" · ");
}

function drawLive() {
  const now = live.now;
  const state = now ? liveStates[now.state] : "connecting";
  const head = box("live-state", "strong", { class: `state state-${live.lost ? "lost" : now ? now.state : "waiting"}` }, live.lost ? "lost connection" : state);
  const parts = [head, box("live-text", "span", { id: "live-counts" }, ` ${liveText()}`)];
  const times = [];
  if (live.lost) times.push(`the server has not answered since ${new Date(live.lost).toLocaleTimeString()}`);
  if (now && now.last_report) times.push(`last report ${ago(since(now.last_report))} ago`);
  if (live.updated) times.push(`page updated ${new Date(live.updated).toLocaleTimeString()}`);
  if (now && now.problem) times.push(now.problem);
  const over = now && now.state !== "running" && now.state !== "unknown";
  const rows = (now ? now.segments : []).map((each) =>
    make("tr", {}, make("td", {}, String(each.trial)), make("td", {}, `${each.start} to ${each.stop}`),
      make("td", {}, ago(since(each.since))), make("td", {}, each.where + (each.attempt > 1 ? ` (attempt ${each.attempt})` : ""))));
  const table = rows.length ? box("live-table", "div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Running trials" },
    make("table", { id: "live-running" }, make("thead", {}, make("tr", {}, ...[over ? "interrupted trial" : "running trial", "epochs", "for", "where"].map((name) => make("th", { scope: "col" }, name)))), make("tbody", {}, ...rows))) : null;
  const place = box("live", "section", { id: "live", "aria-label": "State of the run" },
    box("live-line", "p", { role: "status" }, ...parts), box("live-times", "p", { class: "quiet" }, times.join(" · ")), table);
  document.querySelector(".skip").hidden = !data; // there is no table of trials yet
  const header = document.querySelector("header");
  if (place.parentNode !== header) header.insertBefore(place, document.getElementById("figures"));
}

function takeIn(content) {
  live.now = content.live;
  live.updated = Date.now();
  if (content.trials) render(content);
  drawLive();
}

async function ask() {
  try {
    const headers = live.tag ? { "If-None-Match": live.tag } : {};
    const answer = await fetch("data.json", { headers, cache: "no-store" });
    if (answer.status !== 200 && answer.status !== 304) throw new Error(answer.statusText);
    const date = Date.parse(answer.headers.get("Date"));
    if (Number.isFinite(date) && Math.abs(date - Date.now()) > 5000) live.offset = (date - Date.now()) / 1000;
    live.lost = null;
    if (answer.status === 200) {
      live.tag = answer.headers.get("ETag");
      takeIn(await answer.json());
    } else drawLive();
  } catch {
    live.lost ??= Date.now();
    drawLive();
  }
  askLater();
}

function askLater() {
  const over = live.now && (live.now.state === "finished" || live.now.state === "stopped");
  clearTimeout(live.timer);
  live.timer = setTimeout(ask, live.lost || over || document.hidden ? 5000 : 2000);
}

// A file cannot ask for anything: it is loaded again, and what the reader has chosen is kept.
const keptAt = `hpo ${location.pathname}`;

function loadAgain() {
  const busy = ["SELECT", "INPUT"].includes(document.activeElement?.tagName) || String(getSelection());
  if (busy || document.hidden) return void setTimeout(loadAgain, 1000);
  const { trial, picked, metric, hidden, bracket, options } = view;
  const open = [...document.querySelectorAll("details")].map((each) => each.open);
  const state = { trial, picked, metric, hidden: [...hidden], bracket, options, open, x: scrollX, y: scrollY };
  sessionStorage.setItem(keptAt, JSON.stringify(state));
  location.reload();
}

function takeUp() {
  const saved = JSON.parse(sessionStorage.getItem(keptAt) ?? "null");
  if (!saved) return;
  const { open, x, y, ...chosen } = saved;
  Object.assign(view, chosen, { hidden: new Set(chosen.hidden) });
  render(embedded);
  document.querySelectorAll("details").forEach((each, place) => { each.open = open[place] ?? false; });
  scrollTo(x, y);
}

if (embedded) {
  history.scrollRestoration = "manual";
  live.now = embedded.live;
  drawLive();
  try {
    takeUp();
  } catch {
    // what was kept is of another version
  }
  if (embedded.live.reload) setTimeout(loadAgain, 1000 * embedded.live.reload);
} else {
  drawLive();
  ask();
  document.addEventListener("visibilitychange", () => document.hidden || ask());
}
setInterval(drawLive, 1000);
