// The page follows its address, from the first look on.
let shown = null;

function follow() {
  const state = address(), before = shown ?? {};
  if (shown && Object.keys(state).every((name) => state[name] === before[name])) return;
  const changed = (...names) => !shown || names.some((name) => state[name] !== before[name]);
  showForm(state);
  if (changed("sort")) showSorted(state.sort);
  if (changed("find", "model", "status", "rows", "sort")) showMatching(state);
  showCell(state.cell);
  if (state.section && changed("section")) document.getElementById(state.section)?.scrollIntoView();
  shown = state;
}

// Its target is a place, and no state.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  document.getElementById("page").focus();
});
addEventListener("hashchange", follow);
follow();
drawAll();
