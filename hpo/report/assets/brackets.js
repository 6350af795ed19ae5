// What became of the trials of each rung, and the decisions within it.
function bracketsPart() {
  if (!data.brackets.length) return null;
  const lead = "One bar per rung: how many trials entered it, went on to the next, and what ended the others.";
  return section("brackets", "Brackets and decisions", box("brackets-lead", "p", { class: "quiet" }, lead), ...data.brackets.map(bracketOf));
}

function bracketOf(bracket) {
  const number = bracket.bracket;
  const show = () => {
    change({ bracket: number });
    document.getElementById("curves").scrollIntoView();
    kept.get("curves-figure").focus({ preventScroll: true });
  };
  const curvesButton = button(`bracket-${number}-curves`, "show its curves", show, { "aria-label": `show its curves (bracket ${number})` });
  const spent = `${plural(bracket.spent, "epoch")} spent` + (bracket.saved === null ? "" : `, ${bracket.saved} saved by decisions`);
  const head = box(`bracket-${number}-head`, "header", {}, make("h3", {}, `Bracket ${number}`), make("span", { class: "quiet" }, spent), curvesButton);
  return box(`bracket-${number}`, "article", { class: "bracket" }, head, ...bracket.rungs.map(rungOf));
}

function rungOf(rung) {
  const shares = [["went on", rung.on, "on"], ...rung.fates.map(([fate, count]) => [data.fates[fate], count, `fate-${fate}`])].filter(([, count]) => count);
  const bar = make("div", { class: "shares", "aria-hidden": "true" });
  for (const [name, count, kind] of shares) {
    const share = make("div", { class: `share ${kind}`, title: `${count} ${name}` });
    share.style.flexGrow = count;
    bar.append(share);
  }
  const words = shares.map(([name, count]) => `${count} ${name}`).join(", ");
  const where = rung.resource === null ? `rung ${rung.rung}` : `to ${plural(rung.resource, "epoch")}`;
  const said = rung.decisions.map((decision) => make("div", {}, make("small", {}, decisionText(decision))));
  return make("div", { class: "rung" }, make("div", {}, where, make("br"), make("small", {}, plural(rung.entered, "trial"))), make("div", {}, bar, make("small", {}, words), ...said));
}

function decisionText(decision) {
  const where = `after ${plural(decision.resource, "epoch")}`;
  if (decision.kind === "degraded") return `Degraded ${where}: ${decision.message}`;
  const skill = decision.skill === null ? "skill not measured" : `skill ${decision.skill.toFixed(2)}`;
  return `Decision ${where}: ${decision.kept.length} kept, ${decision.dropped.length} stopped; ${skill}`;
}
