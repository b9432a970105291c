// Both distributions of a cell in the same bars, and its samples, drawn when its section is opened; nothing is computed here.
const data = JSON.parse(document.getElementById("data").textContent);

function distributions(into, { what, low, high, later, before, after }) {
  const width = (high - low) / before.length;
  const bars = [["A", before], ["B", after]].flatMap(([side, counts]) => counts.map((count, bar) => ({ side, count, bar })));
  const names = ["A", "B"].map((side, place) => `${side}${later[place] ? `, ${later[place]} later` : ""}`);
  return readable(Plot.plot({
    ariaLabel: `latency, ${what}: ${names.join("; ")}`, className: "chart", style, width: room(into, 720), height: 220, marginLeft: 50,
    x: { label: "ms \u2192", ticks: 5 }, y: { label: "count", grid: true, ticks: 3 },
    fy: { label: null, domain: ["A", "B"], tickFormat: (side) => names[side === "A" ? 0 : 1] },
    marks: [
      Plot.rectY(bars, {
        fy: "side", x1: (each) => low + each.bar * width, x2: (each) => low + (each.bar + 1) * width, y: "count",
        fill: (each) => (each.side === "A" ? "var(--waived)" : "var(--accent)"), title: (each) => `${each.side}: ${each.count}`,
      }),
      Plot.ruleY([0], { stroke: "var(--line)" }),
    ],
  }));
}

function fill(details) {
  const into = details.querySelector(".section"), { spread, pairs } = data.sections[details.dataset.place];
  if (!details.open || into.childElementCount) return;
  if (spread) {
    const figures = made("div.figures");
    into.append(figures);
    drawLater(figures, `Latency, ${spread.what}`, "spread", (within) => distributions(within, spread));
  }
  if (pairs) into.append(pairsOf(pairs));
}

for (const details of document.querySelectorAll("details.both")) {
  details.addEventListener("toggle", () => fill(details));
  fill(details);
}
