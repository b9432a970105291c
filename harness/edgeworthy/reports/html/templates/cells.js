// The section of the chosen cell. Its data stand in the page; text becomes text here, never markup.
const overview = document.getElementById("overview"), article = document.getElementById("chosen");
const title = document.title;
let open = "";

// Signs that turn the direction of writing, or that are not to be seen, become escapes, as in messages.
const visible = (text) => text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (sign) => {
  if (/\s/.test(sign)) return sign === "\n" ? sign : " ";
  const code = sign.codePointAt(0).toString(16);
  return code.length > 2 ? `\\u${code.padStart(4, "0")}` : `\\x${code.padStart(2, "0")}`;
});

// An element: ["td.number", {attribute: "value"}, children...]; a child is a text, an element, or nothing.
function made(kind, ...children) {
  const [tag, ...classes] = kind.split(".");
  const element = document.createElement(tag);
  element.classList.add(...classes);
  for (const child of children.flat()) {
    if (child?.constructor === Object) for (const [name, value] of Object.entries(child)) element.setAttribute(name, value);
    else if (typeof child === "string") element.append(visible(child));
    else if (child) element.append(child);
  }
  return element;
}

const foreign = (text) => made("bdi", text);
const status = (name) => made(`span.status.${name.replaceAll(" ", "-")}`, made("span.sign", { "aria-hidden": "true" }, data.signs[name]), name);
const hint = (text) => text && made("p.hint", made("strong", "Hint:"), " ", foreign(text));
const part = (heading, ...children) => made("section", made("h3", heading), ...children);
const facts = (kind, pairs) => made(`dl.${kind}`, pairs.map(([name, ...what]) => made("div", made("dt", foreign(name)), made("dd", ...what))));

// Columns that hold numbers are named with a "#" before their header.
function tableOf(label, headers, rows) {
  const plain = headers.map((header) => header.replace("#", ""));
  const cell = (value, column) => made(column ? `td${headers[column].startsWith("#") ? ".number" : ""}` : "th", column ? "" : { scope: "row" }, value);
  const body = rows.map(({ kind = "", values, span }) => made(`tr${kind}`, values.map((value, column) => {
    const found = cell(value, column);
    if (span && column === values.length - 1) found.colSpan = headers.length - column;
    return found;
  })));
  const head = made("tr", plain.map((header, column) => made(`th${headers[column].startsWith("#") ? ".number" : ""}`, { scope: "col" }, header)));
  return made("div.wide", { tabindex: "0", role: "region", "aria-label": label }, made("table", made("thead", head), made("tbody", body)));
}

function judged(axes = []) {
  const rows = axes.flatMap(({ name, status: was, waived, checks, message }) => [
    ...(waived.length ? [{ kind: ".waived", values: [name, made("span", status("waived"), " by ", foreign(waived.join(", ")))], span: true }] : []),
    ...checks.map(([metric, value, interval, limit, evidence, kept]) => ({
      kind: kept ? "" : ".broken", values: [name, `${kept ? "\u2713" : "\u2715"} ${data.labels[metric]}`, value, interval, limit, evidence],
    })),
    ...(message === undefined ? [] : [{ values: [name, made("span", status(was), " ", foreign(message))], span: true }]),
  ]);
  if (!rows.length) return part("Judged", made("p.nothing", "Nothing was judged."));
  return part("Judged", tableOf("Limits", ["Axis", "Metric", "#Value", "#95 % interval", "#Limit", "Evidence"], rows));
}

function latency(found) {
  const into = made("div.figures.latency");
  return [into, () => drawLatency(into, found)];
}

function changesOf(changes) {
  const rows = changes.map(([was, metric, before, after, worse, interval, tolerance, method, evidence, message, next]) => {
    const change = made(`span.change.${was.replaceAll(" ", "-")}`, was);
    const by = made("span", worse, interval && made("span.interval", interval));
    return worse
      ? { values: [change, metric, before, after, by, tolerance, method, evidence] }
      : { values: [change, metric, made("div", foreign(message), hint(next))], span: true };
  });
  const headers = ["Change", "Metric", "#Baseline", "#This run", "#Worse by", "#Allowed", "Method", "Evidence"];
  return part("Against the baseline", tableOf("Changes since the baseline", headers, rows));
}

const shareOf = (what, share) => made("span", made("meter", { min: 0, max: 100, value: share, "aria-label": `share of ${what}` }), ` ${share.toFixed(1)} %`);

function timesOf(times) {
  const rows = times.map(([op, place, nodes, took, share]) => ({ values: [foreign(op), place, nodes, took, shareOf("the time", share)] }));
  return part("Time by op", tableOf("Time by op", ["Op", "Where", "#Nodes", "#Mean time of one inference", "Share of the time there"], rows));
}

function layersOf({ target, findings, layers, left }) {
  const rows = layers.map(([tensor, op, share, ...others]) => ({ values: [foreign(tensor), op, shareOf("the error", share), ...others] }));
  return part("Layers", made("p", "Diagnosed on ", foreign(target), "."),
    made("ul", findings.map(([message, next]) => made("li", foreign(message), hint(next)))),
    rows.length && tableOf("Layers", ["Layer", "Op", "Share of the error", "#SQNR", "Calibrated", "Seen", "Cause"], rows),
    left.length && made("p", "The delegate did not take: ", foreign(left.map(([op, count]) => `${count} x ${op}`).join(", ")), "."));
}

function ranOn(ran, readings) {
  return part("Where and how it ran",
    ran && made("p", made("strong", `${ran.taken} of ${ran.total}`), " nodes ran on ", foreign(ran.delegate), ": ", foreign(ran.proof)),
    readings && tableOf("Readings", ["Reading", "#Before", "#Worst meanwhile", "#After"], readings.map((values) => ({ values }))));
}

function number([column, value, text, interval]) {
  return [data.labels[column], made("data", { value, "data-column": column }, text), interval && made("span.interval", ` ${interval}`)];
}

function draw(name, was, found) {
  const [into, drawTimes] = found.latency ? latency(found.latency) : [null, () => {}];
  const back = made("a", { href: "#cell=", "data-go": "" }, "Back to all cells");
  article.replaceChildren(...[
    made("p.back", back), made("h2", { tabindex: "-1" }, foreign(name), " ", status(was)),
    made("p.message", foreign(found.message)), hint(found.hint), judged(found.axes),
    into && part("Latency", into), found.pairs && pairsOf(found.pairs), found.changes && changesOf(found.changes),
    found.layers && layersOf(found.layers), found.times && timesOf(found.times), (found.ran || found.readings) && ranOn(found.ran, found.readings),
    found.numbers && part("All numbers", facts("facts", found.numbers.map(number))),
    part("What it is, and how to get it again",
      found.identity && facts("facts", found.identity.map(([what, text]) => [what, foreign(text)])),
      facts("commands", found.commands.map(([what, command]) => [what, made("code", command)]))),
  ].filter(Boolean));
  drawTimes();
}

function showCell(name) {
  if (name === open) return;
  const place = places.get(name);
  open = name;
  overview.hidden = form.hidden = place !== undefined;
  article.hidden = place === undefined;
  document.title = place === undefined ? title : `${visible(name)}: ${title}`;
  if (place === undefined) return article.replaceChildren();
  draw(name, cells[place].status, JSON.parse(document.getElementById(`cell-${place}`).textContent));
  article.querySelector("h2").focus({ preventScroll: true });
  scrollTo(0, article.offsetTop - 20);
}
