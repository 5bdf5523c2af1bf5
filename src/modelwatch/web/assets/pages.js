// What scripts add to the pages, which are complete without: a crosshair that all charts of one time axis share, zoom
// by dragging or by keys, times in the reader's zone, and a refresh that moves nothing the reader has open.

const SVG = "http://www.w3.org/2000/svg";
const GRID = 300;
const LEAST_PIXELS = 8;

// Times

const ownZone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
let zone = "UTC";
try { zone = localStorage.getItem("zone") === "own" ? ownZone : "UTC"; } catch { /* storage may be closed */ }

function written(date, parts) {
  return new Intl.DateTimeFormat("en-GB", { timeZone: zone, hourCycle: "h23", ...parts }).format(date);
}

function dayAndTime(date, withYear = false) {
  const year = withYear ? { year: "numeric" } : {};
  const day = written(date, { weekday: "short", day: "numeric", month: "short", ...year }).replace(",", "");
  return `${day}, ${written(date, { hour: "2-digit", minute: "2-digit" })}`;
}

// The text of a moment in UTC, in the zone that is shown and in the same form; that of a month or a year stays.
function inZone(text, date) {
  const clock = written(date, { hour: "2-digit", minute: "2-digit", ...(/:\d\d:/.test(text) && { second: "2-digit" }) });
  if (/^\d\d:\d\d(:\d\d)?$/.test(text)) return clock;
  if (/^\w{3} \d\d:\d\d$/.test(text)) return `${written(date, { weekday: "short" })} ${clock}`;
  if (/\d\d:\d\d/.test(text)) return dayAndTime(date, /\d{4}, /.test(text)) + (/ UTC$/.test(text) ? ` ${zoneName(date)}` : "");
  const day = /^\w{3} \d{1,2}( \w{3})?$/.exec(text);
  const parts = { weekday: "short", day: "numeric", ...(day?.[1] && { month: "short" }) };
  return day ? written(date, parts).replace(",", "") : text;
}

// Of a moment: what it is called depends on the season.
function zoneName(date) {
  const parts = new Intl.DateTimeFormat("en-GB", { timeZone: zone, timeZoneName: "short" }).formatToParts(date);
  return parts.find((part) => part.type === "timeZoneName").value;
}

function showTimes(root) {
  for (const element of root.querySelectorAll("time[datetime], svg [data-at]")) {
    const date = new Date(element.dateTime ?? element.dataset.at * 1000);
    element.dataset.utc ??= element.textContent;
    if (!Number.isNaN(date.getTime())) {
      element.textContent = zone === "UTC" ? element.dataset.utc : inZone(element.dataset.utc, date);
    }
  }
  for (const element of root.querySelectorAll("svg text.zone")) {
    element.textContent = zoneName(new Date((element.closest("svg").dataset.end ?? Date.now() / 1000) * 1000));
  }
  for (const element of document.querySelectorAll("[data-zone]")) {
    element.textContent = zone === "UTC" ? "UTC" : zone.split("/").pop().replaceAll("_", " ");
  }
}

function addZoneSwitch() {
  const clock = document.querySelector(".clock");
  if (!clock || ownZone === "UTC") return;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "plain";
  const name = () => { button.textContent = zone === "UTC" ? "your zone" : "in UTC"; };
  button.addEventListener("click", () => {
    zone = zone === "UTC" ? ownZone : "UTC";
    try { localStorage.setItem("zone", zone === "UTC" ? "UTC" : "own"); } catch { /* then it holds for this page */ }
    name();
    showTimes(document);
  });
  name();
  clock.append(" · ", button);
}

// Charts: each knows its ends in seconds, and its series as numbers

const tip = document.createElement("div");
tip.className = "tip";
tip.setAttribute("role", "status");
tip.hidden = true;
document.body.append(tip);

let at = null; // seconds of the crosshair
let from = null; // seconds at which a selection began
let pressed = null; // the chart that the pointer is dragged in
let row = 0; // of a chart that has rows

const ends = (chart) => [Number(chart.dataset.start), Number(chart.dataset.end)];
const companions = (chart) => [...document.querySelectorAll("svg[data-start][data-end]")].filter(
  (other) => other.dataset.start === chart.dataset.start && other.dataset.end === chart.dataset.end,
);

function box(chart) {
  const outer = chart.getBoundingClientRect();
  const style = getComputedStyle(chart);
  const left = outer.left + parseFloat(style.paddingLeft);
  return { left, width: outer.right - parseFloat(style.paddingRight) - left, top: outer.top, bottom: outer.bottom };
}

function secondsAt(chart, x) {
  const { left, width } = box(chart);
  const [start, end] = ends(chart);
  return start + Math.min(Math.max((x - left) / width, 0), 1) * (end - start);
}

function seriesOf(chart) {
  chart.series ??= JSON.parse(chart.dataset.series || "[]");
  const cells = rowsOf(chart);
  if (!cells) return chart.series;
  const { name, values, n } = cells.rows[Math.min(row, cells.rows.length - 1)];
  return [{ name, values, n, step: cells.step, at: values.map((_, index) => cells.start + index * cells.step) }];
}

function rowsOf(chart) {
  if (chart.dataset.cells) chart.cells ??= JSON.parse(chart.dataset.cells);
  return chart.cells;
}

function rowAt(chart, y) {
  const below = (rowsOf(chart)?.rows ?? []).filter((each) => each.top <= y - chart.getBoundingClientRect().top);
  return Math.max(below.length - 1, 0);
}

function valueAt({ at: times, step }, values, seconds) {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] <= seconds) low = middle + 1; else high = middle;
  }
  const before = low - 1;
  if (step) return before >= 0 && seconds < times[before] + step ? values[before] : null;
  const near = before < 0 || (low < times.length && times[low] - seconds < seconds - times[before]) ? low : before;
  return values[near] ?? null;
}

function valueText(value, form) {
  if (value === null) return "–";
  if (form === "percent") return `${(value * 100).toPrecision(3)} %`;
  return Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3)));
}

function clearMarks() {
  for (const mark of document.querySelectorAll("svg .crosshair, svg .selected")) mark.remove();
}

function draw(chart) {
  clearMarks();
  const [start, end] = ends(chart);
  const percent = (seconds) => `${(((seconds - start) / (end - start)) * 100).toFixed(3)}%`;
  for (const each of companions(chart)) {
    const height = each.getAttribute("height");
    if (from !== null) {
      const area = document.createElementNS(SVG, "rect");
      area.setAttribute("class", "selected");
      area.setAttribute("x", percent(Math.min(from, at)));
      area.setAttribute("width", `${((Math.abs(at - from) / (end - start)) * 100).toFixed(3)}%`);
      area.setAttribute("height", height);
      each.append(area);
    }
    const line = document.createElementNS(SVG, "line");
    line.setAttribute("class", "crosshair");
    for (const [name, value] of [["x1", percent(at)], ["x2", percent(at)], ["y1", "0"], ["y2", height]]) {
      line.setAttribute(name, value);
    }
    each.append(line);
  }
  const cells = rowsOf(chart);
  if (cells?.rows.length > 1) {
    const mark = document.createElementNS(SVG, "rect");
    mark.setAttribute("class", "selected");
    for (const [name, value] of [["width", "100%"], ["height", "12"], ["y", cells.rows[Math.min(row, cells.rows.length - 1)].top]]) {
      mark.setAttribute(name, value);
    }
    chart.append(mark);
  }
}

function tipLine(name, text) {
  const line = document.createElement("div");
  const value = document.createElement("b");
  value.textContent = text;
  line.append(`${name} `, value);
  return line;
}

function tell(chart) {
  tip.replaceChildren();
  const head = document.createElement("p");
  head.textContent = `${dayAndTime(new Date(at * 1000), Math.abs(Date.now() - at * 1000) > 300 * 86_400_000)} ${zone}`;
  tip.append(head);
  const panel = chart.closest(".chart-lanes");
  for (const each of panel ? companions(chart).filter((other) => panel.contains(other)) : [chart]) {
    const lane = each.closest(".lane")?.querySelector(".name b")?.textContent;
    const known = seriesOf(each);
    for (const series of known) {
      const count = series.n && valueAt(series, series.n, at);
      const text = valueText(valueAt(series, series.values, at), each.dataset.form);
      tip.append(tipLine(known.length > 1 || !lane ? series.name : lane, count ? `${text}, n ${count.toLocaleString("en")}` : text));
    }
  }
  tip.hidden = false;
  const frame = box(chart);
  const [start, end] = ends(chart);
  const x = frame.left + ((at - start) / (end - start)) * frame.width;
  const isRight = x + tip.offsetWidth + 20 > document.documentElement.clientWidth;
  tip.style.left = `${Math.max(scrollX + (isRight ? x - tip.offsetWidth - 12 : x + 12), 4)}px`;
  tip.style.top = `${scrollY + Math.max(frame.top, 4)}px`;
}

function point(chart, seconds) {
  at = seconds;
  draw(chart);
  tell(chart);
}

function leave() {
  at = from = pressed = null;
  row = 0;
  clearMarks();
  tip.hidden = true;
}

function zoom() {
  const [low, high] = [Math.min(from, at), Math.max(from, at)];
  const start = Math.floor(low / GRID) * GRID;
  const end = Math.max(Math.ceil(high / GRID) * GRID, start + GRID);
  const address = new URL(location.href);
  address.searchParams.delete("range");
  const iso = (seconds) => new Date(seconds * 1000).toISOString().replace(".000", "");
  address.searchParams.set("from", iso(start));
  address.searchParams.set("to", iso(end));
  leave();
  location.assign(address);
}

const chartOf = (event) => (event.target instanceof Element ? event.target.closest("svg[data-start][data-end]") : null);

document.addEventListener("pointermove", (event) => {
  const chart = pressed ?? chartOf(event);
  if (chart) {
    row = rowAt(chart, event.clientY);
    point(chart, secondsAt(chart, event.clientX));
  } else if (at !== null && !document.activeElement?.matches("svg[data-start]")) leave();
});
document.addEventListener("pointerdown", (event) => {
  const chart = chartOf(event);
  if (!chart || event.button !== 0 || event.pointerType === "touch" || event.target.closest("a")) return;
  pressed = chart;
  from = secondsAt(chart, event.clientX);
  event.preventDefault();
});
document.addEventListener("pointerup", (event) => {
  if (!pressed) return;
  const { width } = box(pressed);
  const [start, end] = ends(pressed);
  at = secondsAt(pressed, event.clientX);
  if ((Math.abs(at - from) / (end - start)) * width >= LEAST_PIXELS) zoom(); else { from = pressed = null; clearMarks(); }
});
document.addEventListener("keydown", (event) => {
  const chart = chartOf(event);
  if (event.key === "Escape" && at !== null) leave();
  else if (event.key === "/" && !event.target.closest("input, textarea, select")) {
    const search = document.querySelector("input[type=search]");
    if (search) { search.focus(); event.preventDefault(); }
  } else if (chart) {
    const [start, end] = ends(chart);
    const step = Math.max((end - start) / 96, GRID);
    const here = at ?? end;
    const goal = { ArrowLeft: here - step, ArrowRight: here + step, Home: start, End: end }[event.key];
    const rows = rowsOf(chart)?.rows.length ?? 0;
    const down = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (down && rows > 1) {
      row = Math.min(Math.max(row + down, 0), rows - 1);
      point(chart, here);
      event.preventDefault();
    } else if (goal !== undefined) {
      if (event.shiftKey) from ??= here; else from = null;
      point(chart, Math.min(Math.max(goal, start), end));
      event.preventDefault();
    } else if (event.key === "Enter" && from !== null && from !== at) zoom();
  }
});
document.addEventListener("focusout", (event) => { if (chartOf(event)) leave(); });

function prepare(root) {
  showTimes(root);
  for (const chart of root.querySelectorAll("svg[data-start]:is([data-series], [data-cells])")) {
    chart.setAttribute("tabindex", "0");
  }
}

// Refresh

let touched = false; // a form that is being filled in stays as it is
document.addEventListener("input", (event) => { if (event.target.closest("main")) touched = true; });

const keyOf = (details) => details.querySelector("summary")?.textContent.trim();

function isBusy(main) {
  const focused = document.activeElement;
  return touched || at !== null || document.hidden || !getSelection().isCollapsed
    || (main.contains(focused) && focused.matches("input, textarea, select, svg"))
    || main.querySelector("details.switch[open], dialog[open]") !== null;
}

function renew(main, fresh) {
  const open = new Map([...main.querySelectorAll("details")].map((each) => [keyOf(each), each.open]));
  const focused = document.activeElement?.matches("main a") ? document.activeElement.getAttribute("href") : null;
  const anchor = [...main.querySelectorAll("section, tr, li")].find((each) => each.getBoundingClientRect().bottom > 0);
  const before = anchor?.getBoundingClientRect().top;
  const place = anchor ? [...main.querySelectorAll("section, tr, li")].indexOf(anchor) : -1;
  main.replaceChildren(...fresh.childNodes);
  for (const each of main.querySelectorAll("details")) {
    if (open.has(keyOf(each))) each.open = open.get(keyOf(each));
  }
  if (focused !== null) main.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  const now = [...main.querySelectorAll("section, tr, li")][place];
  if (now && before !== undefined && scrollY > 0) scrollBy(0, now.getBoundingClientRect().top - before);
  prepare(main);
}

// What is on the page stays there while it can't be renewed: that must be said.
function tellOld(isOld) {
  const told = document.querySelector("[data-old]");
  if (!isOld) return told?.remove();
  if (told) return;
  const notice = document.createElement("section");
  notice.className = "banner";
  notice.dataset.old = "";
  notice.setAttribute("role", "status");
  const text = document.createElement("p");
  text.append("Not renewed since ", document.querySelector(".clock time").cloneNode(true));
  text.append(": the service or its store does not answer. What you see is of then.");
  notice.append(text);
  document.querySelector("main").before(notice);
}

async function refresh() {
  const main = document.querySelector("main[data-refresh]");
  if (!main || isBusy(main)) return;
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
  if (answer?.ok && main.dataset.reload !== undefined) return location.reload();
  tellOld(!answer?.ok && main.dataset.reload === undefined);
  if (!answer?.ok || answer.redirected) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.querySelector("main");
  if (!fresh || isBusy(main)) return;
  for (const part of [".bar nav", ".clock time"]) {
    const [old, renewed] = [document.querySelector(part), page.querySelector(part)];
    if (old && renewed && !old.contains(document.activeElement)) old.replaceWith(renewed);
  }
  showTimes(document.querySelector(".top"));
  renew(main, fresh);
}

const seconds = Number(document.querySelector("main[data-refresh]")?.dataset.refresh);
if (seconds) setInterval(() => { refresh().catch(() => { /* the next one may succeed */ }); }, seconds * 1000);
addZoneSwitch();
prepare(document);
