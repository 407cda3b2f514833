"use strict";
const $ = id => document.getElementById(id);
const NAME = /^[A-Za-z0-9_-]{1,64}$/, MOST = 2;
const LABELS = [..."123456789abcdefghijklmopqrstvwxy"];  // without n, u and z, which are commands
const RANKS = ["1st", "2nd"];
let folder = "", annotator = "", samples = [], at = -1, began = 0, looked = 0, shape = {w: 1, h: 1};
const decided = new Map(), drafts = new Map(), refused = new Map(), warm = new Map();
let chosen = [], lastTime = 0, offline = false, trouble = "", sending = false, tries = 0, retry = 0, noteTimer = 0, others = {}, pointer = "";

/* What is kept in the browser. Where it refuses to keep anything, memory has to do. */
const memory = new Map();
const keep = {
  get(key) { try { return localStorage.getItem(key); } catch { return memory.get(key) ?? null; } },
  set(key, value) { try { localStorage.setItem(key, value); } catch { memory.set(key, value); } },
  remove(key) { memory.delete(key); try { localStorage.removeItem(key); } catch { /* it was in memory */ } },
  keys() { let own = []; try { own = Object.keys(localStorage); } catch { /* none */ } return [...own, ...memory.keys()].sort(); },
};

/* Decisions that the server has not confirmed: one entry each, so that two tabs cannot overwrite each other's. */
const prefix = () => `idiff-pick|${folder}|${annotator}|`;
const pending = () => keep.keys().filter(key => key.startsWith(prefix()));
function enqueue(sample, action, picks) {
  lastTime = Math.max(Date.now(), lastTime + 1);
  const time = new Date(lastTime).toISOString();
  const seconds = Math.round((performance.now() - began) / 10) / 100;
  const entry = {annotator, sample: sample.sample, version: sample.version, chosen: picks, action, seconds, time};
  keep.set(prefix() + time, JSON.stringify(entry));
  apply(entry);
  flush();
}
function apply(entry) {
  lastTime = Math.max(lastTime, Date.parse(entry.time) || 0);
  decided.delete(entry.sample);
  if (entry.action !== "undo") decided.set(entry.sample, entry.chosen);
}
async function flush() {
  if (sending) return;
  sending = true; clearTimeout(retry);
  try {
    for (let key; (key = pending().find(one => !refused.has(one)));) {
      showSaved();
      const body = keep.get(key);
      let reply;
      try {
        reply = await fetch("/api/decisions", {method: "POST", keepalive: true, body, signal: AbortSignal.timeout(10000),
          headers: {"Content-Type": "application/json", "X-Idiff": "picker"}});
      } catch { reply = null; }
      const {sample} = JSON.parse(body);
      if (reply?.ok) { confirmed(key, sample); continue; }
      if (reply && reply.status < 500) {
        refused.set(key, (await reply.json().catch(() => ({}))).error ?? reply.statusText);
        decided.delete(sample);  // the server does not have it
        if (current()) refresh();
        continue;
      }
      trouble = reply ? (await reply.json().catch(() => ({}))).error ?? reply.statusText : "the server does not answer";
      offline = true; tries += 1;
      retry = setTimeout(flush, Math.min(250 * 2 ** tries, 4000));
      break;
    }
  } finally { sending = false; showSaved(); }
}
function confirmed(key, sample) {
  keep.remove(key);
  for (const old of refused.keys()) if (JSON.parse(keep.get(old) ?? "{}").sample === sample) { keep.remove(old); refused.delete(old); }
  answers();
}
function answers() {
  for (const img of document.querySelectorAll(".missing img, img.missing")) img.src = img.src;
  offline = false; trouble = ""; tries = 0;
}
function showSaved() {
  const waiting = pending().length - refused.size, box = $("saved");
  box.className = refused.size ? "push refused" : waiting ? "push waiting" : "push";
  if (refused.size) box.textContent = `✗ ${refused.size} refused: ${[...refused.values()][0]}`;
  else if (waiting) box.textContent = `● ${waiting} not saved yet` + (trouble && `: ${trouble.replace(/\.$/, "")}; trying again`);
  else box.textContent = offline ? "● The server does not answer" : "✓ All saved";
}

/* One sample on the page */
const picture = (sample, which) => `/pictures/${sample.sample}/${which}?v=${sample.version}`;
const current = () => samples[at];
const label = place => LABELS[place] ?? `#${place + 1}`;
const same = (one, other) => String(one) === String(other);
const named = index => label(current().order.indexOf(index));
function show(next) {
  if (current()) {  // what was chosen and not saved is there again on the way back
    if (same(chosen, decided.get(current().sample) ?? [])) drafts.delete(current().sample);
    else drafts.set(current().sample, chosen);
  }
  at = next;
  const sample = current();
  chosen = [...(drafts.get(sample.sample) ?? decided.get(sample.sample) ?? [])];
  began = performance.now();
  $("blank").hidden = true; $("compare").hidden = $("grid").hidden = $("foot").hidden = false;
  $("instruction").textContent = sample.instruction;
  for (const id of ["source", "zoom-source"]) $(id).src = picture(sample, "source");
  const grid = $("grid");
  grid.replaceChildren(...sample.order.map((index, place) => candidate(sample, index, place)));
  grid.scrollTop = 0;
  look(chosen.length ? sample.order.indexOf(chosen[0]) : 0);
  preload();
  refresh(); layout();
}
function candidate(sample, index, place) {
  const button = document.createElement("button"), img = new Image(), name = document.createElement("span"),
    key = document.createElement("kbd"), rank = document.createElement("span");
  button.className = "candidate"; button.type = "button"; button.dataset.index = index;
  img.alt = ""; img.draggable = false;
  img.onerror = () => button.classList.add("missing");
  img.onload = () => button.classList.remove("missing");
  img.src = picture(sample, index);
  name.className = "name"; key.textContent = label(place); rank.className = "rank";
  name.append(key, rank); button.append(img, name);
  button.onmousedown = event => event.preventDefault();  // the pointer does not take the focus from the keys
  button.onclick = () => toggle(index);
  button.ondblclick = () => { look(place); zoom(); };
  button.onfocus = () => look(place);
  button.onmousemove = event => {  // not mouseenter: a pointer that rests says nothing about the next sample
    const moved = `${event.screenX} ${event.screenY}`;
    if (moved !== pointer && looked !== place) look(place);
    pointer = moved;
  };
  return button;
}
function refresh() {
  const sample = current(), before = decided.get(sample.sample);
  for (const button of $("grid").children) {
    const rank = chosen.indexOf(Number(button.dataset.index));
    button.setAttribute("aria-pressed", rank >= 0);
    button.classList.toggle("second", rank === 1);
    button.querySelector(".rank").textContent = RANKS[rank] ?? "";
    button.setAttribute("aria-label", `Candidate ${named(Number(button.dataset.index))}` + (rank < 0 ? "" : `, chosen: ${RANKS[rank]}`));
  }
  const state = !before ? "not decided" : before.length ? `decided: ${before.map(named).join(", ")}` : "decided: none is good";
  const strong = document.createElement("strong");
  strong.textContent = `${at + 1}`;
  $("where").replaceChildren("Sample ", strong, ` of ${samples.length} · ${state}`);
  const done = samples.filter(one => decided.has(one.sample)).length;
  $("done").textContent = `${done} of ${samples.length} decided`;
  $("bar").max = Math.max(samples.length, 1); $("bar").value = done;
  document.title = `${done}/${samples.length} · picker`;
  const rest = Object.entries(others).map(([name, count]) => `${name} ${count}`).join(" · ");
  $("others").textContent = rest ? `Others: ${rest}` : "";
  $("undo").disabled = decided.size === 0;
  caption();
}
function look(place) {
  const index = current().order[looked = place];
  for (const id of ["look", "zoom-look"]) { $(id).src = picture(current(), index); $(id).alt = `Candidate ${label(place)}`; }
  caption();
}
function caption() {
  const rank = chosen.indexOf(current().order[looked]);
  for (const id of ["looking", "zoom-name"]) {
    const strong = document.createElement("strong"), key = document.createElement("kbd");
    strong.textContent = "Candidate "; key.textContent = label(looked);
    $(id).replaceChildren(strong, key, rank < 0 ? "" : ` chosen: ${RANKS[rank]}`);
  }
  $("take").textContent = rank < 0 ? "Choose it" : "Take it out";
}
function preload() {
  const wanted = [];
  for (let step = 1; step < samples.length && wanted.length < 4; step++) {
    const next = samples[(at + step) % samples.length];
    if (step === 1 || !decided.has(next.sample)) wanted.push(next);
  }
  wanted.push(current(), ...(at ? [samples[at - 1]] : []));
  for (const key of warm.keys()) if (!wanted.some(one => one.sample === key)) warm.delete(key);
  for (const one of wanted) if (!warm.has(one.sample)) {
    warm.set(one.sample, ["source", ...one.order].map(which => Object.assign(new Image(), {src: picture(one, which)})));
  }
}

/* Decisions */
function note(text) {
  $("note").textContent = text; clearTimeout(noteTimer);
  noteTimer = setTimeout(() => { $("note").textContent = ""; }, 2500);
}
const seen = () => [$("source"), ...$("grid").querySelectorAll("img")].every(img => img.complete && img.naturalWidth > 0);
function toggle(index) {
  if (chosen.includes(index)) chosen = chosen.filter(one => one !== index);
  else if (chosen.length < MOST) chosen = [...chosen, index];
  else return note(`Two are chosen already: take out ${chosen.map(named).join(" or ")} first`);
  look(current().order.indexOf(index));
  refresh();
}
function save() {
  const before = decided.get(current().sample);
  if (!chosen.length && !before) return note("Choose one or two, or press 0 where none is good");
  if (!chosen.length && before.length) return note("Choose one or two, press 0 where none is good, or u to undo");
  decide(chosen);
}
function decide(picks) {
  const before = decided.get(current().sample);
  if (before && same(before, picks)) { chosen = [...picks]; return onward(); }
  if (!seen()) return note("Some pictures have not arrived yet");
  chosen = [...picks];
  enqueue(current(), "pick", chosen);
  onward();
}
function onward() {
  for (let step = 1; step <= samples.length; step++) {
    const next = (at + step) % samples.length;
    if (!decided.has(samples[next].sample)) return show(next);
  }
  refresh();
  note(`All ${samples.length} samples are decided. Thank you!`);
}
function undo() {
  const last = [...decided.keys()].filter(name => samples.some(one => one.sample === name)).pop();
  if (last === undefined) return note("There is nothing to undo");
  const next = samples.findIndex(one => one.sample === last), picks = decided.get(last);
  enqueue(samples[next], "undo", []);
  show(next);
  chosen = [...picks];
  refresh();
  note(`The decision about sample ${next + 1} is taken back`);
}
function walk(step) {
  const next = at + step;
  if (next < 0 || next >= samples.length) return note(step < 0 ? "This is the first sample" : "This is the last sample");
  show(next);
}

/* Sizes */
function zoom() {
  const box = $("zoom");
  if (box.open) return box.close();
  layout(); box.showModal(); box.focus();
}
function layout() {
  if (!current()) return;
  // a sentence that leaves no room for the images makes the page scroll; it is never cut
  const phone = innerWidth <= 700, taken = document.querySelector("header").offsetHeight + $("foot").offsetHeight;
  document.body.classList.toggle("fits", !phone && innerHeight - taken >= 240);
  const root = document.documentElement.style, main = $("main"), n = current().order.length;
  const {w, h} = shape, tall = h / w, sharp = $("sharp").checked, gap = 5, frame = 6, name = 20, text = 32;
  const W = main.clientWidth - 32, H = Math.max(main.clientHeight - 16, 300);
  const snap = size => {  // whole multiples keep pixels of one size, unless that would waste much of the room
    const whole = Math.floor(size / w) * w;
    return sharp && whole >= .75 * size ? whole : Math.floor(size);
  };
  let best = null;
  for (const side of [true, false]) {
    const most = Math.min(side ? W * .42 / 2 : W * .42, ((side ? H : (H - 12) / 2) - text) / tall, 288);
    const pane = Math.max(snap(most), 48), left = side ? 2 * pane + 12 : pane;
    for (let columns = 1; columns <= n; columns++) {
      const rows = Math.ceil(n / columns), width = (W - 20 - left - 12 - (columns - 1) * gap) / columns - frame;
      const room = (Math.min(width, ((H - (rows - 1) * gap) / rows - frame - name) / tall)), cell = snap(room);
      if (!best || cell > best.cell || (cell === best.cell && pane > best.pane)) best = {cell, columns, pane, side, left};
    }
  }
  if (phone) {
    const columns = Math.max(2, Math.floor(W / 130)), pane = Math.floor(Math.min((W - 12) / 2, 288));
    best = {cell: Math.floor((W - 8 - (columns - 1) * gap) / columns) - frame, columns, pane, side: true, left: 0};
  } else if (!$("fit").checked || best.cell < 48) {
    best.cell = $("fit").checked ? 48 : Number($("size").value);
    best.columns = Math.max(1, Math.floor((W - 20 - best.left - 12 + gap) / (best.cell + frame + gap)));
  } else $("size").value = best.cell;
  $("compare").classList.toggle("side", best.side);
  document.body.classList.toggle("sharp", sharp);
  root.setProperty("--cell", `${best.cell}px`); root.setProperty("--columns", best.columns);
  root.setProperty("--pane", `${best.pane}px`); root.setProperty("--tall", tall);
  root.setProperty("--zoom", `${snap(Math.min((innerWidth - 80) / 2, (innerHeight - 130) / tall))}px`);
}
$("source").onload = () => {
  const {naturalWidth: w, naturalHeight: h} = $("source");
  if (w === shape.w && h === shape.h) return;
  shape = {w, h};
  if (keep.get("idiff-sharp") === null) $("sharp").checked = w <= 160;
  layout();
};
for (const id of ["source", "look", "zoom-source", "zoom-look"]) {
  $(id).onerror = () => $(id).classList.add("missing");
  $(id).addEventListener("load", () => $(id).classList.remove("missing"));
}
$("sharp").checked = keep.get("idiff-sharp") === "1"; $("fit").checked = true;
$("sharp").onchange = () => { keep.set("idiff-sharp", $("sharp").checked ? "1" : "0"); layout(); };
$("fit").onchange = layout;
$("size").oninput = () => { $("fit").checked = false; layout(); };
addEventListener("resize", layout);
addEventListener("beforeunload", event => { if ([...memory.keys()].some(key => key.startsWith(prefix()))) event.preventDefault(); });

/* Keys */
const acts = {Enter: save, " ": save, 0: () => decide([]), n: () => decide([]), u: undo, z: zoom,
  ArrowLeft: () => walk(-1), ArrowRight: () => walk(1), "?": () => $("help").showModal()};
const inZoom = {ArrowLeft: () => look((looked || current().order.length) - 1), ArrowRight: () => look((looked + 1) % current().order.length)};
addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("ask").open || $("help").open || !current()) return;
  const focus = document.activeElement, key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (focus.id === "size" && key.startsWith("Arrow")) return;
  const pressed = focus.matches("button, input[type=checkbox]");
  if (pressed && (key === " " || (key === "Enter" && !focus.matches(".candidate")))) return;
  const place = LABELS.indexOf(key);
  const act = place >= 0 && place < current().order.length ? () => toggle(current().order[place])
    : $("zoom").open && inZoom[key] ? inZoom[key] : acts[key];
  if (!act || (event.repeat && !key.startsWith("Arrow"))) return;
  event.preventDefault();
  act();
});
for (const [id, act] of [["save", save], ["none", () => decide([])], ["undo", undo], ["before", () => walk(-1)],
  ["after", () => walk(1)], ["take", () => toggle(current().order[looked])], ["left", () => inZoom.ArrowLeft()],
  ["right", () => inZoom.ArrowRight()], ["small", zoom], ["large", zoom], ["more", () => $("help").showModal()], ["understood", () => $("help").close()]]) {
  $(id).onclick = event => { act(); if (event.detail) $(id).blur(); };
}
$("who").onclick = () => who();
$("zoom").onclick = event => { if (event.target === $("zoom")) $("zoom").close(); };
$("understood").onmousedown = event => event.preventDefault();

/* Start */
async function get(address) {
  const reply = await fetch(address, {signal: AbortSignal.timeout(15000)});
  const value = await reply.json();
  if (!reply.ok) throw Object.assign(new Error(value.error), {status: reply.status});
  return value;
}
async function patiently(address) {
  for (let wait = 250; ; wait = Math.min(wait * 2, 4000)) {
    try { return await get(address); } catch (error) {
      $("blank").textContent = error.status ? error.message : "The server does not answer: trying again …";
      await new Promise(done => setTimeout(done, wait));
    }
  }
}
let known = [];
function who() {
  $("name").value = annotator; $("wrong").textContent = "";
  $("known").replaceChildren(...known.filter(name => name !== annotator).map(name => {
    const button = document.createElement("button");
    button.className = "act"; button.textContent = name; button.onclick = () => begin(name);
    return button;
  }));
  $("ask").showModal();
}
$("ask").onclose = () => { if (!annotator) $("ask").showModal(); };
$("name-form").onsubmit = event => {
  event.preventDefault();
  const name = $("name").value.trim();
  if (NAME.test(name)) begin(name);
  else $("wrong").textContent = "Use 1 to 64 letters (a to z), digits, _ and -, such as anna-2.";
};
function begin(name) {
  keep.set("idiff-annotator", name);
  if (annotator) { location.assign(`?annotator=${name}`); return; }
  annotator = name;
  history.replaceState(null, "", `?annotator=${name}`);
  $("who").textContent = `☺ ${name}`;
  if ($("ask").open) $("ask").close();
  load();
}
async function load() {
  const state = await patiently(`/api/state?annotator=${annotator}`);
  samples = state.samples; others = state.others;
  decided.clear();
  for (const one of state.decisions) apply(one);
  const versions = new Map(samples.map(one => [one.sample, one.version]));
  for (const entry of pending().map(key => JSON.parse(keep.get(key)))) if (versions.get(entry.sample) === entry.version) apply(entry);
  if (!samples.length) { $("blank").textContent = "There is no sample yet."; setTimeout(load, 3000); return; }
  flush();
  const first = samples.findIndex(one => !decided.has(one.sample));
  show(Math.max(first, 0));
  if (first < 0) note(`All ${samples.length} samples are decided. Thank you!`);
  setTimeout(beat, 5000);
}
async function beat() {
  try {
    const state = await get(`/api/progress?annotator=${annotator}`);
    if (state.folder !== folder) { location.reload(); return; }
    answers();
    others = state.others;
    if (state.total > samples.length) {  // candidates are still being made
      const here = current().sample, fresh = (await get(`/api/state?annotator=${annotator}`)).samples;
      if (here === current().sample) { samples = fresh; at = samples.findIndex(one => one.sample === here); }
    }
    refresh();
    flush();
  } catch (error) { if (!error.status) offline = true; }
  showSaved();
  setTimeout(beat, offline ? 2000 : 8000);
}
(async () => {
  const hello = await patiently("/api/hello");
  folder = hello.folder; known = hello.annotators;
  const name = [new URLSearchParams(location.search).get("annotator"), hello.annotator, keep.get("idiff-annotator")]
    .find(one => one && NAME.test(one));
  if (name) begin(name); else { $("blank").textContent = ""; who(); }
})();
