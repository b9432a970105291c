// Which cells are shown, and what the matrix shows of them.
const form = document.getElementById("filters");
const rowsOf = (table) => [...(table?.tBodies[0]?.rows ?? [])];
const lines = rowsOf(document.getElementById("numbers"));
const changeRows = [...document.querySelectorAll("#baseline table")].flatMap(rowsOf);
const entries = [...document.querySelectorAll("#matrices td[data-place]")];
const matrixRows = [...document.querySelectorAll("#matrices tbody tr")].map((row) => [row, row.querySelectorAll("td[data-place]")]);
// So many lines of the table are shown until all are asked for: more take a browser long.
const FEW = 100;
let chosen = cells.map(() => true);

function matching({ find, model, status }) {
  const wanted = find.toLowerCase().split(/\s+/).filter(Boolean);
  const statuses = status ? status.split(",") : [];
  return cells.map((cell) =>
    (!model || cell.model === model)
    && (!statuses.length || statuses.includes(cell.status))
    && wanted.every((part) => cell.name.toLowerCase().includes(part)));
}

function showMatching(state) {
  chosen = matching(state);
  showLines(state.rows === "all");
  for (const row of changeRows) row.hidden = row.dataset.place !== undefined && !chosen[row.dataset.place];
  for (const entry of entries) entry.classList.toggle("dim", !chosen[entry.dataset.place]);
  for (const [row, own] of matrixRows) row.hidden = ![...own].some((entry) => chosen[entry.dataset.place]);
  for (const matrix of document.querySelectorAll(".matrix")) matrix.hidden = !matrix.querySelector("tbody tr:not([hidden])");
  const count = chosen.filter(Boolean).length;
  document.getElementById("found").textContent = `${count} of ${cells.length} cells`;
}

function showLines(all) {
  let shown = 0, left = 0;
  for (const line of lines) {
    const wanted = chosen[line.dataset.place];
    line.hidden = !wanted || (!all && shown >= FEW);
    if (wanted) line.hidden ? left++ : shown++;
  }
  const more = document.getElementById("more");
  more.hidden = !left;
  more.textContent = `Show ${left} more cells`;
}

function showForm(state) {
  form.elements.find.value = state.find;
  if (form.elements.model) form.elements.model.value = state.model;
  const statuses = state.status.split(",");
  for (const box of form.querySelectorAll("[name=status]")) box.checked = statuses.includes(box.value);
  for (const radio of document.querySelectorAll("[name=show]")) radio.checked = radio.value === state.show;
  document.getElementById("matrices").dataset.show = state.show;
}

form.addEventListener("input", () => go({
  find: form.elements.find.value,
  model: form.elements.model?.value ?? "",
  status: [...form.querySelectorAll("[name=status]:checked")].map((box) => box.value).join(","),
}));
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", (event) => {
  event.preventDefault();
  go({ find: "", model: "", status: "", cell: "" });
});
document.getElementById("matrix").addEventListener("change", (event) => {
  if (event.target.name === "show") go({ show: event.target.value });
});
document.getElementById("more").addEventListener("click", () => go({ rows: "all" }));
