// The page of a run. Names and messages come from archives: they are put into the page as text, never as HTML.
"use strict";

const COLOURS = {
  queued: "#8a94a3", waiting: "#c98a1b", downloading: "#2f6fde", verifying: "#7a4fd1",
  delivered: "#1a7f4b", here: "#57a773", "left out": "#6b7280", failed: "#c62828",
};
const WORDS = { waiting: "waiting for tape", here: "already here" };
const MOST_LISTED = 200;
const DRAW_EVERY = 500;

const products = [];   // by number: { name, size, tier, footprint, state, message }
const states = [];     // by number, also of products that are not described yet
let view = null;
let coast = { box: "", rings: [] };
let drawnBox = "";
let isOver = false;
let asking = null; // the request for products that is under way
let hasNews = false;

const $ = (id) => document.getElementById(id);
const words = (state) => WORDS[state] || state;

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function dot(state) {
  const made = element("span", "dot");
  made.style.setProperty("background", COLOURS[state] || "#888");
  return made;
}

function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let power = 0;
  while (bytes >= 999.95 && power < 5) { bytes /= 1000; power += 1; }
  return `${power ? bytes.toFixed(bytes >= 10 ? 1 : 2) : bytes} ${units[power]}`;
}

function duration(seconds) {
  const whole = Math.round(seconds);
  for (const [unit, name, smaller, below] of [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]]) {
    if (whole >= unit) {
      const rest = Math.floor((whole % unit) / smaller);
      return `${Math.floor(whole / unit)} ${name}${rest ? ` ${rest} ${below}` : ""}`;
    }
  }
  return `${whole} s`;
}

function timeLeft({ least, most, unknown }) {
  if (most === null) {
    const why = `${unknown.join(" and ")} not known yet`;
    return least >= 1 ? `at least ${duration(least)} left, ${why}` : `time left: ${why}`;
  }
  if (most <= Math.max(1, 1.25 * least)) return `about ${duration((least + most) / 2)} left`;
  return `${duration(least)} to ${duration(most)} left`;
}

function percent(share) {
  return `${share >= 1 ? 100 : Math.min(99, Math.round(100 * share))} %`;
}

// ---- what the run has come to

function showView() {
  const more = view.is_searched ? "" : "+";
  $("share").value = view.share;
  $("percent").textContent = view.total.products ? percent(view.share) : "";
  const speed = view.speed ? ` · ${size(Math.round(view.speed))}/s` : "";
  $("figures").textContent = view.total.products
    ? `${view.finished}/${view.total.products}${more} products · ${size(view.present_bytes)} of ${size(view.total.bytes)}${more}${speed}`
    : "searching ...";
  $("times").textContent = `${duration(view.elapsed)} elapsed${isOver ? "" : ` · ${timeLeft(view.time_left)}`}`;
  const waiting = view.states.waiting.products;
  const look = view.next_look === null ? "" : view.next_look >= 0.5 ? `, next look in ${duration(view.next_look)}` : ", looking now";
  $("tape").textContent = waiting ? `${waiting} waiting for tape, oldest since ${duration(view.oldest_wait)}${look}` : "";
  const quota = view.quota_wait ? `the quota is used up: the next download may begin in ${duration(view.quota_wait)}. ` : "";
  const trouble = view.trouble ? `the last look failed: ${view.trouble}. ` : "";
  $("trouble").textContent = `${quota}${trouble}${view.failed ? `${view.failed} failed: ${view.last_failure || ""}` : ""}`;
  document.title = view.total.products ? `${percent(view.share)} · pepsasync` : "pepsasync";
  showStates();
  showDownloads();
}

function showStates() {
  const rows = Object.entries(view.states).filter(([, amount]) => amount.products).map(([state, amount]) => {
    const row = element("tr");
    const share = view.total.bytes ? percent(amount.bytes / view.total.bytes) : "";
    for (const text of [words(state), amount.products, size(amount.bytes), share]) row.append(element("td", "", text));
    return row;
  });
  $("states").tBodies[0].replaceChildren(...rows);
}

function showDownloads() {
  $("under-way").hidden = !view.downloads.length;
  $("downloads").replaceChildren(...view.downloads.map((one) => {
    const item = element("li");
    const facts = element("div", "facts");
    const bar = element("progress");
    bar.max = one.size || 1;
    bar.value = one.received;
    bar.setAttribute("aria-label", "received");
    facts.append(bar, element("span", "", one.size ? percent(one.received / one.size) : size(one.received)));
    if (one.speed) facts.append(element("span", "", `${size(Math.round(one.speed))}/s`));
    if (one.phase !== "downloading") facts.append(element("span", "", one.phase));
    else if (one.seconds_left !== null) facts.append(element("span", "", `${duration(one.seconds_left)} left`));
    item.append(element("div", "name", one.name), facts);
    return item;
  }));
}

// ---- the products

function showProducts() {
  const counts = new Map();
  for (const one of states) if (one) counts.set(one.state, (counts.get(one.state) || 0) + 1);
  $("list-section").hidden = !counts.size;
  showFilter(counts);
  const wanted = $("state").value;
  const part = $("search").value.toLowerCase();
  const matches = [];
  let others = 0;
  products.forEach((one, number) => {
    const now = states[number];
    if (!now || (wanted && now.state !== wanted) || !one.name.toLowerCase().includes(part)) return;
    if (matches.length < MOST_LISTED) matches.push(productItem(one, now));
    else others += 1;
  });
  $("products").replaceChildren(...matches);
  $("more").textContent = others ? `and ${others} more` : "";
  $("legend").replaceChildren(...[...counts.keys()].map((state) => {
    const entry = element("span");
    entry.append(dot(state), words(state));
    return entry;
  }));
}

function showFilter(counts) {
  const select = $("state");
  const known = new Map([...select.options].map((option) => [option.value, option]));
  for (const state of Object.keys(COLOURS)) {
    if (!counts.has(state) && !known.has(state)) continue;
    if (!known.has(state)) { known.set(state, new Option("", state)); select.append(known.get(state)); }
    known.get(state).text = `${words(state)} (${counts.get(state) || 0})`;
  }
}

function productItem(one, now) {
  const item = element("li");
  const facts = element("div", "facts");
  const state = element("span");
  state.append(dot(now.state), words(now.state));
  facts.append(state, element("span", "", one.size === null ? "" : size(one.size)));
  if (now.message) facts.append(element("span", "bad", now.message));
  item.append(element("div", "name", one.name), facts);
  return item;
}

// Names and footprints are asked for in slices; what the journal has not got yet comes with the next try.
function askForProducts() {
  if (products.length < states.length) asking ??= askForMore().finally(() => { asking = null; });
  return asking;
}

async function askForMore() {
  try {
    const reply = await fetch(`products?first=${products.length}`);
    for (const one of reply.ok ? await reply.json() : []) products[one.n] = one;
    hasNews = true;
  } catch { /* the stream tells when the server is gone */ }
}

async function askForAll() {
  for (let before = -1; products.length < states.length && products.length !== before;) {
    before = products.length;
    await askForProducts();
  }
}

// ---- the map: longitude and latitude as they are, narrowed by the cosine of the middle

function boxOf(rings) {
  let [west, south, east, north] = [Infinity, 90, -Infinity, -90];
  for (const ring of rings) {
    for (const [x, y] of ring) {
      west = Math.min(west, x); east = Math.max(east, x);
      south = Math.min(south, y); north = Math.max(north, y);
    }
  }
  const wider = Math.max(1, (east - west) * 0.3);
  const higher = Math.max(1, (north - south) * 0.3);
  return [Math.max(-180, west - wider), Math.max(-90, south - higher), Math.min(360, east + wider), Math.min(90, north + higher)];
}

function drawMap() {
  const shapes = products.flatMap((one, number) => one.footprint.map((ring) => ({ ring, state: (states[number] || {}).state })));
  $("map-section").hidden = !shapes.length;
  if (!shapes.length) return;
  const box = boxOf(shapes.map((shape) => shape.ring));
  const canvas = $("map");
  const scale = window.devicePixelRatio || 1;
  canvas.width = canvas.clientWidth * scale;
  canvas.height = canvas.clientHeight * scale;
  const narrow = Math.cos(((box[1] + box[3]) / 2) * (Math.PI / 180));
  const unit = Math.min(canvas.width / ((box[2] - box[0]) * narrow), canvas.height / (box[3] - box[1]));
  const middle = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2];
  const place = ([x, y]) => [
    canvas.width / 2 + (x - middle[0]) * narrow * unit,
    canvas.height / 2 - (y - middle[1]) * unit,
  ];
  const edges = [0.55 * canvas.width / unit / narrow, 0.55 * canvas.height / unit];  // cut off outside of what is seen
  askForCoast([middle[0] - edges[0], middle[1] - edges[1], middle[0] + edges[0], middle[1] + edges[1]]);
  const style = getComputedStyle(document.documentElement);
  const pen = canvas.getContext("2d");
  pen.fillStyle = colour(style, "--sea");
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.lineWidth = scale;
  for (const ring of coast.rings) trace(pen, ring, place, colour(style, "--land"), colour(style, "--faint"));
  for (const { ring, state } of shapes) trace(pen, ring, place, `${COLOURS[state] || "#888888"}55`, COLOURS[state] || "#888");
}

// A canvas does not know light-dark(): a hidden element resolves it.
function colour(style, name) {
  const probe = $("life");
  const before = probe.style.color;
  probe.style.color = style.getPropertyValue(name);
  const resolved = getComputedStyle(probe).color;
  probe.style.color = before;
  return resolved;
}

function trace(pen, ring, place, fill, line) {
  pen.beginPath();
  for (const point of ring) pen.lineTo(...place(point));
  pen.closePath();
  pen.fillStyle = fill;
  pen.strokeStyle = line;
  pen.fill();
  pen.stroke();
}

async function askForCoast(box) {
  const text = box.map((edge) => edge.toFixed(2)).join();
  if (text === drawnBox || stream.readyState !== EventSource.OPEN) return;
  drawnBox = text;
  try {
    const reply = await fetch(`land?box=${text}`);
    if (!reply.ok) return;
    coast = { box: text, rings: await reply.json() };
    hasNews = true;
  } catch { drawnBox = ""; }
}

// ---- the stream

const stream = new EventSource("events");

stream.addEventListener("view", (message) => {
  const news = JSON.parse(message.data);
  view = news.view;
  for (const { n, state, message: why } of news.changed) states[n] = { state, message: why };
  hasNews ||= news.changed.length > 0;
  if (!isOver) $("life").textContent = "live";
  showView();
});

stream.addEventListener("over", () => {
  isOver = true;
  stream.close();
  askForAll();
  $("life").textContent = "the run is over";
  showView();
});

stream.addEventListener("error", () => {
  if (!isOver) $("life").textContent = "no connection; trying again";
});

setInterval(() => {
  if (stream.readyState === EventSource.OPEN) askForProducts();
  if (!hasNews) return;
  hasNews = false;
  showProducts();
  drawMap();
}, DRAW_EVERY);

$("state").addEventListener("change", showProducts);
$("search").addEventListener("input", showProducts);
window.addEventListener("resize", () => { hasNews = true; });
