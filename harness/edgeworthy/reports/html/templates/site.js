// The trends of a model's cells, each drawn when it comes near the screen.
const data = JSON.parse(document.getElementById("data").textContent);
for (const each of data.trends) {
  drawLater(document.getElementById("trends"), `${each.cell}: ${each.label}`, "trend", (into) => trend(into, each));
}
