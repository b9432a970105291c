// Which cells are shown, and what the matrix shows of them.
const form = document.getElementById("filters");
const rowsOf = (table) => [...(table?.tBodies[0]?.rows ?? [])];
const lines = rowsOf(document.getElementById("numbers"));
const changeRows = [...document.querySelectorAll("#baseline tr[data-place]")];
const entries = [...document.querySelectorAll("#matrices td[data-place]")];
// What of a matrix is shown as long as a cell of it is: its rows, and the matrix itself.
const holders = [...document.querySelectorAll("#matrices tbody tr, .matrix")].map((holder) => [
  holder, [...holder.querySelectorAll("td[data-place]")].map((entry) => Number(entry.dataset.place)),
]);
const sought = cells.map((cell) => cell.name.toLowerCase());
// So many lines of the table are shown until all are asked for: more take a browser long.
const FEW = 100;
let chosen = cells.map(() => true);

function matching({ find, model, status }) {
  const wanted = find.toLowerCase().split(/\s+/).filter(Boolean);
  const statuses = status ? status.split(",") : [];
  return cells.map((cell, place) =>
    (!model || cell.model === model)
    && (!statuses.length || statuses.includes(cell.status))
    && wanted.every((part) => sought[place].includes(part)));
}

// A browser looks again at whatever is set, also where it is as it was.
function hide(element, hidden) {
  if (element.hidden !== hidden) element.hidden = hidden;
}

function showMatching(state) {
  const before = chosen;
  chosen = matching(state);
  showLines(state.rows === "all");
  for (const row of changeRows) hide(row, !chosen[row.dataset.place]);
  for (const entry of entries) {
    const { place } = entry.dataset;
    if (chosen[place] !== before[place]) entry.classList.toggle("dim", !chosen[place]);
  }
  for (const [holder, own] of holders) hide(holder, !own.some((place) => chosen[place]));
  const count = chosen.filter(Boolean).length;
  document.getElementById("found").textContent = `${count} of ${cells.length} cells`;
}

function showLines(all) {
  let shown = 0, left = 0;
  for (const line of lines) {
    const wanted = chosen[line.dataset.place], hidden = !wanted || (!all && shown >= FEW);
    hide(line, hidden);
    if (wanted) hidden ? left++ : shown++;
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
