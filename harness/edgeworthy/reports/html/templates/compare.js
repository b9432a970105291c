// Both distributions of a cell in the same bars, and its samples, drawn when its section is opened.
const data = JSON.parse(document.getElementById("data").textContent);

function fill(details) {
  const into = details.querySelector(".section"), { spread, pairs } = data.sections[details.dataset.place];
  if (!details.open || into.childElementCount) return;
  if (spread) {
    const figures = made("div.figures");
    into.append(figures);
    drawLater(figures, `Latency, ${spread.what}`, "spread", (within) => distribution(within, spread.bars, `latency, ${spread.what}`, ["A", "B"]));
  }
  if (pairs) into.append(pairsOf(pairs));
}

for (const details of document.querySelectorAll("details.both")) {
  details.addEventListener("toggle", () => fill(details));
  fill(details);
}
