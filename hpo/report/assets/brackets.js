// What became of the trials of each rung, and the decisions within it.
function bracketsSection() {
  const lead = "One bar a rung: how many trials entered it, went on to the next, and what ended the others.";
  const list = make("div");
  for (const bracket of data.brackets) list.append(bracketOf(bracket));
  section("brackets", "Brackets and decisions", make("p", { class: "quiet" }, lead), list);
}

function bracketOf(bracket) {
  const button = make("button", { type: "button" }, "show its curves");
  button.setAttribute("aria-label", `show its curves, bracket ${bracket.bracket}`);
  button.addEventListener("click", () => {
    change({ bracket: bracket.bracket });
    document.getElementById("curves").scrollIntoView();
    document.querySelector("#curves .figure").focus({ preventScroll: true });
  });
  const spent = `${plural(bracket.spent, "epoch")} spent` + (bracket.saved === null ? "" : `, ${bracket.saved} saved by decisions`);
  const head = make("header", {}, make("h3", {}, `Bracket ${bracket.bracket}`), make("span", { class: "quiet" }, spent), button);
  return make("article", { class: "bracket" }, head, ...bracket.rungs.map(rungOf));
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
