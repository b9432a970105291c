// The state of the page is its address: what is after the "#". A link to it shows the same to somebody else.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const cells = data.cells.map(([model, variant, target, status]) => ({
  name: `${model}/${variant}/${target}`, model, status,
}));
const places = new Map(cells.map((cell, place) => [cell.name, place]));
const defaults = { find: "", model: "", status: "", show: "status", sort: "", rows: "", cell: "", section: "" };

function address() {
  const given = new URLSearchParams(location.hash.slice(1));
  return Object.fromEntries(Object.entries(defaults).map(([name, value]) => [name, given.get(name) ?? value]));
}

function go(changes) {
  const wanted = { ...address(), section: "", ...changes };
  const kept = Object.entries(wanted).filter(([name, value]) => value !== defaults[name]);
  const hash = new URLSearchParams(kept).toString();
  if (hash === location.hash.slice(1)) return;
  location.hash = hash;
  follow(); // at once: the event comes later, and may find somebody at the next field
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-go]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go(Object.fromEntries(new URLSearchParams(link.hash.slice(1))));
});
