// Pictures of numbers, each drawn when it comes near the screen. Nothing is computed here: what is drawn stands in the data.
const color = (status) => `var(--${status.replaceAll(" ", "-")})`;
const style = { background: "transparent", fontSize: "12px", overflow: "visible" };
// Not "5m" for 0.005.
const plain = (value) => String(Number(value.toPrecision(6)));
const link = (cell) => `#${new URLSearchParams({ cell })}`;
const interval = (mark, axis, points) => {
  const [low, high] = [`${axis}l`, `${axis}h`];
  return mark(points.filter((point) => point[low] !== null && point[high] !== null), {
    [axis]: undefined, [`${axis}1`]: low, [`${axis}2`]: high, [axis === "x" ? "y" : "x"]: axis === "x" ? "y" : "x",
    stroke: "var(--ink)", strokeOpacity: (point) => (point.dominated ? 0.15 : 0.45), strokeWidth: 1,
  });
};

function figure(into, title) {
  const made = document.createElement("figure"), caption = document.createElement("figcaption");
  caption.textContent = visible(title);
  made.append(caption);
  into.append(made);
  return made;
}

// As a screen reader wants it: Plot labels groups, which have no role and so may have no label, and names what is in links.
function readable(svg) {
  svg.querySelector("style").remove(); // the page's style has it: its policy allows no other
  for (const group of svg.querySelectorAll("g[aria-label]")) group.removeAttribute("aria-label");
  const links = svg.querySelectorAll("a");
  for (const each of svg.querySelectorAll("title, text")) each.textContent = visible(each.textContent);
  for (const each of links) each.setAttribute("aria-label", each.querySelector("title").textContent);
  for (const each of svg.querySelectorAll("a [aria-label]")) each.removeAttribute("aria-label");
  svg.setAttribute("aria-label", visible(svg.getAttribute("aria-label")));
  svg.setAttribute("role", links.length ? "group" : "img");
  return svg;
}

function note(text) {
  const made = document.createElement("p");
  made.className = "about";
  made.textContent = text;
  return made;
}

// As wide as its place has room for, so that its letters are as large everywhere.
const room = (into, most) => Math.max(240, Math.min(most, into.clientWidth - 28));

function choice(into, { model, target, x, y, limits, points, front }) {
  const title = (point) => `${point.variant}: ${point.status}\n${point.texts.join(", ")}${point.dominated ? "\nbeaten in everything" : ""}`;
  return readable(Plot.plot({
    ariaLabel: `${model} on ${target}: ${y} over ${x}`, className: "chart", style, width: room(into, 720), height: 360, marginLeft: 60,
    marginRight: 90,
    x: { label: `${x} \u2192`, type: points.every((point) => point.x > 0) ? "log" : "linear", grid: true, nice: true, ticks: 5, tickFormat: plain },
    y: { label: `\u2191 ${y}`, grid: true, nice: true, ticks: 6 },
    r: { range: [4, 16], type: "sqrt" },
    marks: [
      Plot.ruleY([0], { stroke: "var(--line)" }),
      Plot.ruleX(limits.x, { stroke: "var(--fail)", strokeDasharray: "4 4" }),
      Plot.ruleY(limits.y, { stroke: "var(--fail)", strokeDasharray: "4 4" }),
      Plot.line(front, { stroke: "var(--accent)", strokeOpacity: 0.6, strokeWidth: 2, curve: "step-after" }),
      interval(Plot.ruleY, "x", points),
      interval(Plot.ruleX, "y", points),
      Plot.dot(points, {
        x: "x", y: "y", r: "size", fill: (point) => color(point.status), fillOpacity: (point) => (point.dominated ? 0.25 : 0.8),
        stroke: "var(--paper)", href: (point) => link(point.cell), ariaLabel: title, title,
      }),
      Plot.text(points.filter((point) => point.front), {
        x: "x", y: "y", text: "variant", dx: 10, dy: -8, textAnchor: "start", fill: "var(--ink)", stroke: "var(--paper)",
      }),
    ],
  }));
}

function trend(into, { cell, label, moments, turns }) {
  const numbered = moments.map((moment, place) => ({ ...moment, place }));
  const began = new Map(turns.map((turn) => [turn.run, turn]));
  const title = (moment) => `${moment.run}\n${moment.revision}\n${moment.text}${began.has(moment.run) ? `\n${began.get(moment.run).message}` : ""}`;
  return readable(Plot.plot({
    ariaLabel: `${cell}: ${label} over ${moments.length} runs`, className: "chart", style, width: room(into, 400), height: 130, marginLeft: 60,
    x: { axis: null }, y: { label: null, nice: true, ticks: 3, grid: true, tickFormat: (value) => plain(Number(value.toPrecision(5))) },
    marks: [
      Plot.ruleX(numbered.filter((moment) => began.has(moment.run)), {
        x: "place", stroke: (moment) => (began.get(moment.run).worse ? "var(--fail)" : "var(--pass)"), strokeWidth: 2,
      }),
      Plot.line(numbered.filter((moment) => moment.comparable), { x: "place", y: "value", stroke: "var(--accent)" }),
      Plot.dot(numbered, {
        x: "place", y: "value", r: 2.5, stroke: "var(--accent)", title,
        fill: (moment) => (moment.comparable ? "var(--accent)" : "var(--paper)"),
      }),
    ],
  }));
}

function reloads(into, { loads, before }) {
  const sides = [["this run", loads], ["baseline", before]].filter(([, times]) => times.length);
  const dots = sides.flatMap(([side, times]) => times.map((time, load) => ({ side, time, load })));
  return readable(Plot.plot({
    ariaLabel: `latency of each reload: ${sides.map(([side, times]) => `${side} ${times.join(", ")} ms`).join("; ")}`,
    className: "chart", style, width: room(into, 720), height: 60 + 45 * sides.length, marginLeft: 70,
    x: { label: "ms \u2192", nice: true, grid: true, ticks: 5 }, y: { label: null, domain: sides.map(([side]) => side) },
    marks: [Plot.dot(dots, {
      x: "time", y: "side", r: 5, fillOpacity: 0.45, fill: (dot) => (dot.side === "baseline" ? "var(--waived)" : "var(--accent)"),
      title: (dot) => `reload ${dot.load}: ${dot.time} ms`,
    })],
  }));
}

// Of one side, or of several one above the other in the same bars; the newest is the last.
function distribution(into, { low_ms: low, high_ms: high, counts, later }, title, names) {
  const width = (high - low) / counts[0].length, newest = names.length - 1;
  const bars = counts.flatMap((own, side) => own.map((count, bar) => ({ side, count, bar })));
  const named = names.map((name, side) => [name, later[side] && `${later[side]} later`].filter(Boolean).join(", "));
  return readable(Plot.plot({
    ariaLabel: `${title}, ${low} to ${high} ms: ${named.filter(Boolean).join("; ")}`, className: "chart", style, width: room(into, 720),
    height: 80 + 70 * names.length, marginLeft: 50, marginRight: named.some(Boolean) ? 90 : 20,
    x: { label: "ms \u2192", ticks: 5 }, y: { label: "count", grid: true, ticks: 3 }, fy: { label: null, tickFormat: (side) => named[side] },
    marks: [
      Plot.rectY(bars, {
        fy: "side", x1: ({ bar }) => low + bar * width, x2: ({ bar }) => low + (bar + 1) * width, y: "count",
        fill: ({ side }) => (side === newest ? "var(--accent)" : "var(--waived)"), title: ({ side, count }) => [names[side], count].filter(String).join(": "),
      }),
      Plot.ruleY([0], { stroke: "var(--line)" }),
    ],
  }));
}

function drawLatency(into, found) {
  const byLoad = figure(into, `${found.statistic === "mean" ? "Mean" : "Median"} of each reload`);
  byLoad.append(reloads(byLoad, found));
  if (!found.bars) return;
  const all = figure(into, "All samples");
  all.append(distribution(all, found.bars, "distribution of all samples", [""]));
}

const waiting = new Map();
const watcher = new IntersectionObserver((seen) => {
  for (const { isIntersecting, target } of seen) if (isIntersecting) drawNow(target);
}, { rootMargin: "300px" });

function drawNow(target) {
  const draw = waiting.get(target);
  if (!draw) return;
  waiting.delete(target);
  watcher.unobserve(target);
  target.firstElementChild.after(draw(target));
}

function drawLater(into, title, className, draw) {
  const made = figure(into, title);
  made.classList.add(className);
  waiting.set(made, draw);
  watcher.observe(made);
  return made;
}

function drawAll() {
  const choices = document.getElementById("choices"), trends = document.getElementById("trends");
  document.getElementById("no-choices").hidden = data.choices.length > 0;
  for (const each of data.choices) {
    const made = drawLater(choices, `${each.model} on ${each.target}`, "choice", (into) => choice(into, each));
    if (each.beyond.length) made.append(note(`Budgets beyond the picture: ${each.beyond.join(", ")}`));
  }
  for (const each of data.trends) drawLater(trends, `${each.cell}: ${each.label}`, "trend", (into) => trend(into, each));
}

// Paper has no screen to come near to.
addEventListener("beforeprint", () => [...waiting.keys()].forEach(drawNow));
