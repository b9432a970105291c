// The table's order: a column, or with "-" before it from the largest.
const head = document.querySelector("#numbers thead tr");
const columns = [...head.cells].map((cell) => cell.dataset.sort);

function key(line, column) {
  if (column === 0) return Number(line.dataset.place);
  if (column === 1) return cells[line.dataset.place].name;
  const found = line.cells[column].querySelector("data");
  return found && found.value !== "nan" ? Number(found.value.replace("inf", "Infinity")) : null;
}

function showSorted(sort) {
  const down = sort.startsWith("-"), name = down ? sort.slice(1) : sort;
  const column = Math.max(columns.indexOf(name), 0);
  const keyed = lines.map((line) => [key(line, column), line]);
  keyed.sort(([one, first], [other, second]) => {
    if (one === null || other === null || one === other) {
      return (one === null) - (other === null) || first.dataset.place - second.dataset.place;
    }
    return (one < other ? -1 : 1) * (down ? -1 : 1);
  });
  const ordered = keyed.map(([, line]) => line);
  if (ordered.some((line, place) => line !== lines[place])) {
    lines.splice(0, lines.length, ...ordered);
    document.querySelector("#numbers tbody").replaceChildren(...ordered);
  }
  for (const cell of head.cells) {
    if (sort && cell.dataset.sort === name) cell.setAttribute("aria-sort", down ? "descending" : "ascending");
    else cell.removeAttribute("aria-sort");
  }
}

head.addEventListener("click", (event) => {
  const name = event.target.closest("th")?.dataset.sort;
  if (name && event.target.closest("button")) go({ sort: address().sort === name ? `-${name}` : name });
});
