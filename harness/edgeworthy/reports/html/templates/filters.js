// Which cells are shown, and what the matrix shows of them.
const form = document.getElementById("filters");
const rowsOf = (table) => [...(table?.tBodies[0]?.rows ?? [])];
const lines = rowsOf(document.getElementById("numbers"));
const changeRows = [...document.querySelectorAll("#baseline tr[data-place]")];
const matrices = [...document.querySelectorAll(".matrix")].map((matrix) => ({
  matrix, rows: rowsOf(matrix.querySelector("table")).map((row) => ({ row, entries: [...row.querySelectorAll("td[data-place]")] })),
}));
const sought = cells.map((cell) => cell.name.toLowerCase());
// So many lines of the table are shown until all are asked for, and about so many rows of matrices at once: more take a browser long.
const FEW = 100, AT_ONCE = 20;
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
  chosen = matching(state);
  showLines(state.rows === "all");
  for (const row of changeRows) hide(row, !chosen[row.dataset.place]);
  showMatrices(matrices);
  const count = chosen.filter(Boolean).length;
  document.getElementById("found").textContent = `${count} of ${cells.length} cells`;
}

// The first, and in the frame after these the others: by then they are out of sight, where a browser does not lay them out.
function showMatrices(left) {
  let shown = 0, done = 0;
  while (done < left.length && shown < AT_ONCE) shown += showMatrix(left[done++]);
  if (done < left.length) requestAnimationFrame(() => setTimeout(showMatrices, 0, left.slice(done)));
}

// How many rows of it are shown: those that have a chosen cell.
function showMatrix({ matrix, rows }) {
  const found = rows.filter(({ row, entries }) => {
    for (const entry of entries) {
      if (entry.classList.contains("dim") === chosen[entry.dataset.place]) entry.classList.toggle("dim");
    }
    const wanted = entries.some((entry) => chosen[entry.dataset.place]);
    hide(row, !wanted);
    return wanted;
  });
  hide(matrix, !found.length);
  return found.length;
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
