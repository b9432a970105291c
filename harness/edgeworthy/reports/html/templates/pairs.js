// Samples that two models predict otherwise: the sample, what is said of it, and boxes and masks over its picture.
const svg = (tag, attributes, ...children) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};

function over(told, shape) {
  if (told.mask) return made("img.over", { src: told.mask, alt: "" });
  if (!told.boxes || !shape) return null;
  const boxes = told.boxes.map(({ x, y, width, height, label }) => {
    const name = svg("title", {});
    name.textContent = label;
    return svg("rect", { x, y, width, height }, name);
  });
  return svg("svg", { class: "over", viewBox: `0 0 ${shape[1]} ${shape[0]}`, preserveAspectRatio: "none", "aria-hidden": "true" }, ...boxes);
}

function pictures({ index, picture, shape, told }) {
  const laid = Object.entries(told).filter(([, each]) => each.boxes || each.mask);
  const one = (name, each) => made("figure.pair", made("div.picture", made("img", { src: data.pictures[picture], alt: `sample ${index}${name && `, ${name}`}` }), over(each, shape)), name && made("figcaption", name));
  return made("div.overlaid", laid.length ? laid.map(([name, each]) => one(name, each)) : one("", {}));
}

function sampleOf(shown) {
  const told = Object.entries(shown.told).map(([name, each]) => [name, foreign(each.text)]);
  return made(`li${Object.values(shown.told).some((each) => each.boxes || each.mask) ? ".large" : ""}`,
    shown.picture && pictures(shown), shown.text !== undefined && made("p.text", foreign(shown.text)),
    facts("told", [["sample", String(shown.index)], ...told]));
}

function pairsOf({ samples, groups = [], confusion = [], unseen, names: [first, second] = [] }) {
  const rows = confusion.map(([label, before, after, count]) => ({
    values: [foreign(label), ...[before, after].map((name) => made("span", foreign(name), name === label ? " \u2713" : "")), String(count)],
  }));
  return part("Samples predicted otherwise",
    samples && !groups.length && made("p", `None: all ${samples} samples have the prediction of ${first}.`),
    groups.flatMap(({ title: kind, count, shown }) => [made("h4", `${kind}: ${count} of ${samples}`), made("ul.samples", shown.map(sampleOf))]),
    unseen && made("p.nothing", "Not shown: ", foreign(unseen), "."),
    rows.length > 0 && made("h4", "What is mixed up otherwise"),
    rows.length > 0 && tableOf("What is mixed up otherwise", ["Class", `By ${first}`, `By ${second}`, "#Samples"], rows));
}
