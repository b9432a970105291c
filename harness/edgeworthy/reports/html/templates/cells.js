// The section of the chosen cell, which stands escaped in the page until it is chosen.
const overview = document.getElementById("overview"), article = document.getElementById("chosen");
const title = document.title;
let open = "";

function showCell(name) {
  if (name === open) return;
  const place = places.get(name);
  open = name;
  overview.hidden = form.hidden = place !== undefined;
  article.hidden = place === undefined;
  if (place === undefined) {
    article.replaceChildren();
    document.title = title;
    return;
  }
  article.innerHTML = document.getElementById(`cell-${place}`).textContent;
  for (const image of article.querySelectorAll("[data-picture]")) image.src = data.pictures[image.dataset.picture];
  for (const into of article.querySelectorAll("[data-latency]")) drawLatency(into);
  document.title = `${name}: ${title}`;
  article.querySelector("h2").focus({ preventScroll: true });
  scrollTo(0, article.offsetTop - 20);
}
