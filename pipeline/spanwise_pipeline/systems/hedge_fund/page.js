"use strict";
// Shows two runs beside each other. The runs' ids stand in the address, so a page that is opened again goes on.

const AGAIN_MS = 300;
const sides = {};

function make(section, presets, chosen) {
  section.append(document.getElementById("side").content.cloneNode(true));
  const select = section.querySelector("select");
  for (const preset of presets) select.add(new Option(preset, preset, false, preset === chosen));
  return {
    select,
    answer: section.querySelector(".answer"),
    rows: section.querySelector("tbody"),
    id: null,
    next: 0,
  };
}

function signals(text) {
  return [...text.matchAll(/^(?:signal|action)_(\w+) = (\w+)$/gm)].map((found) => `${found[1].toUpperCase()} ${found[2]}`).join(", ");
}

function addRow(side, cells) {
  const row = side.rows.insertRow();
  for (const cell of cells) row.insertCell().textContent = cell;
}

function show(side, event) {
  if (event.number < side.next) return;
  side.next = event.number + 1;
  if (event.kind === "agent") {
    addRow(side, [event.agent, signals(event.text), event.seconds.toFixed(1)]);
    side.answer.textContent = `${side.rows.rows.length} agents are done`;
  } else if (event.kind === "decision") {
    const shares = Object.entries(event.answer).filter(([, value]) => value && value.action);
    const actions = shares.map(([ticker, found]) => `${found.action} ${found.shares} ${ticker}`).join(", ");
    side.answer.textContent = `${actions}: grade ${event.grade}, ${event.seconds.toFixed(1)} s`;
  } else {
    side.answer.textContent = `Failed after ${event.seconds.toFixed(1)} s: ${event.message}`;
  }
  side.ended = event.kind !== "agent";
}

function watch(side) {
  const id = side.id;
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(`${scheme}//${location.host}/api/runs/${id}/events?first=${side.next}`);
  socket.onmessage = (message) => {
    if (side.id === id) show(side, JSON.parse(message.data));
  };
  socket.onclose = (close) => {
    if (side.id !== id || side.ended) return;
    if (close.code === 4404) side.answer.textContent = "This run is not known any more; start another one.";
    else setTimeout(() => side.id === id && watch(side), AGAIN_MS); // go on after what was seen
  };
}

function begin(side, id) {
  Object.assign(side, { id, next: 0, ended: false });
  side.rows.replaceChildren();
  side.answer.textContent = "Running";
  watch(side);
}

function remember() {
  const ids = new URLSearchParams();
  for (const [name, side] of Object.entries(sides)) ids.set(name, `${side.select.value}:${side.id}`);
  history.replaceState(null, "", `#${ids}`);
}

async function start() {
  await Promise.all(
    Object.values(sides).map(async (side) => {
      const body = JSON.stringify({ preset: side.select.value });
      const answer = await fetch("/api/run", { method: "POST", headers: { "content-type": "application/json" }, body });
      const found = await answer.json();
      if (answer.ok) begin(side, found.id);
      else side.answer.textContent = found.error;
    }),
  );
  remember();
}

async function main() {
  const { presets } = await (await fetch("/api/presets")).json();
  const known = new URLSearchParams(location.hash.slice(1));
  const defaults = { left: presets[0], right: presets[presets.length - 1] };
  for (const section of document.querySelectorAll("section")) {
    const name = section.dataset.side;
    const [preset, id] = (known.get(name) || `${defaults[name]}:`).split(":");
    sides[name] = make(section, presets, preset);
    if (id) begin(sides[name], id);
  }
  document.getElementById("start").addEventListener("click", start);
}

main();
