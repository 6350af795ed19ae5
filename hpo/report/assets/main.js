// The page of one search, from top to bottom.
function overviewPart() {
  const pairs = data.figures.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)));
  fill(document.getElementById("figures"), ...pairs);
  return null;
}

function settingsPart() {
  return data.settings.length ? section("settings", "Settings", numbers("settings", "settings", ["name", "value"], () => data.settings)) : null;
}

parts = [overviewPart, curvesPart, bestPart, intermediatePart, bracketsPart, budgetPart, predictorPart, hyperparametersPart, timelinePart, trialsPart, settingsPart];
const embedded = JSON.parse(document.getElementById("data").textContent);
if (embedded) render(embedded); // a live page has none, and asks for it
