// The page, from top to bottom.
for (const [name, value] of data.figures)
  document.getElementById("figures").append(make("div", {}, make("dt", {}, name), make("dd", {}, value)));
curvesSection();
bracketsSection();
predictorSection();
spendingSection();
importanceSection();
trialsSection();
if (data.settings.length) section("settings", "Settings", numbers("settings", ["name", "value"], data.settings));
change({ trial: ranked.length && Number.isFinite(ranked[0].values.at(-1)) ? ranked[0].id : null });
document.documentElement.dataset.ready = "yes";
