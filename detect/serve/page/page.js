"use strict";

const byId = (id) => document.getElementById(id);
const canvas = byId("canvas"), pen = canvas.getContext("2d");
let names = [], hidden = new Set();  // labels that are not shown
let shown = null;                    // {bitmap, width, height, detections: [[left, top, right, bottom, score, label]]}
let photo = false;                   // a photo is shown, not the source
let hasSource = false;

// The colours of detect/inference/draw.py.
function colour(label) {
  const hue = (label * 0.618034) % 1, saturation = [0.9, 0.6][Math.floor(label / 7) % 2], value = [1, 0.75][Math.floor(label / 14) % 2];
  const channel = (n) => {
    const k = (n + hue * 6) % 6;
    return Math.round(255 * (value - value * saturation * Math.max(0, Math.min(k, 4 - k, 1))));
  };
  return [channel(5), channel(3), channel(1)];
}
const css = (rgb) => `rgb(${rgb.join(" ")})`;
function textOn(rgb) {
  const [r, g, b] = rgb.map((c) => (c / 255) ** 2.2);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.18 ? "#000" : "#fff";
}

const threshold = () => Number(byId("score").value);

function show(image) {
  if (shown) shown.bitmap.close();
  shown = image;
  byId("stage").classList.add("has-image");
  redraw();
}

function redraw() {
  byId("score-text").textContent = threshold().toFixed(2);
  if (!shown) return;
  const { bitmap, width, height } = shown;
  // drawn at the screen's own resolution, so that letters are as sharp and as large whatever the image's size
  const ratio = devicePixelRatio || 1, wide = byId("stage").clientWidth;
  const scale = ratio * Math.min(wide / width, 0.78 * innerHeight / height);  // px of the canvas for one of the image
  const size = 13 * ratio, line = 2 * ratio;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.style.width = `${canvas.width / ratio}px`;
  pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  pen.font = `600 ${size}px system-ui, sans-serif`;
  pen.textBaseline = "top";
  const counts = new Map();
  const above = shown.detections.filter((d) => d[4] > threshold());
  for (const d of above) counts.set(d[5], (counts.get(d[5]) || 0) + 1);
  for (const [left, top, right, bottom, score, label] of above.filter((d) => !hidden.has(d[5])).reverse()) {
    const rgb = colour(label), text = `${names[label]} ${score.toFixed(2)}`;
    pen.strokeStyle = pen.fillStyle = css(rgb);
    pen.lineWidth = line;
    pen.strokeRect(left * scale, top * scale, (right - left) * scale, (bottom - top) * scale);
    const width = pen.measureText(text).width + size * 0.5, height = size * 1.25;
    const x = Math.max(Math.min(left * scale - line / 2, canvas.width - width), 0);
    const y = top * scale >= height ? top * scale - height : Math.min(top * scale, canvas.height - height);
    pen.fillRect(x, y, width, height);
    pen.fillStyle = textOn(rgb);
    pen.fillText(text, x + size * 0.25, y + size * 0.14);
  }
  listClasses(counts);
}

let listed = "";
function listClasses(counts) {
  const labels = [...new Set([...counts.keys(), ...hidden])].sort((a, b) => a - b);
  const state = JSON.stringify(labels.map((l) => [l, counts.get(l) || 0, hidden.has(l)]));
  if (state === listed) return;
  listed = state;
  const box = byId("classes"), focused = document.activeElement?.dataset?.label;
  box.replaceChildren(...labels.map((label) => {
    const button = document.createElement("button"), mark = document.createElement("i"), count = document.createElement("b");
    button.type = "button";
    button.dataset.label = label;
    button.setAttribute("aria-pressed", String(!hidden.has(label)));
    button.title = hidden.has(label) ? "show this class" : "hide this class";
    mark.style.background = css(colour(label));
    count.textContent = counts.get(label) || 0;
    button.append(mark, names[label], count);
    button.onclick = () => { hidden.has(label) ? hidden.delete(label) : hidden.add(label); redraw(); };
    return button;
  }));
  if (!labels.length) {
    const none = document.createElement("p");
    none.className = "none";
    none.textContent = "nothing above this score";
    box.append(none);
  }
  if (focused !== undefined) box.querySelector(`[data-label="${focused}"]`)?.focus();
}

// ---- the source, by a WebSocket -----------------------------------------------------------------------------------

let pause = 500;
function watch() {
  const address = new URL("watch", location.href);
  address.protocol = address.protocol.replace("http", "ws");
  address.search = "";
  const socket = new WebSocket(address);
  socket.binaryType = "arraybuffer";
  let busy = false;
  socket.onmessage = async ({ data }) => {
    pause = 500;
    if (photo || busy) return;
    busy = true;
    try {
      const length = new DataView(data).getUint32(0);
      const told = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
      const bitmap = await createImageBitmap(new Blob([new Uint8Array(data, 4 + length)], { type: "image/jpeg" }));
      photo ? bitmap.close() : show({ ...told, bitmap });
    } finally {
      busy = false;
    }
  };
  socket.onclose = () => {
    setTimeout(watch, pause);
    pause = Math.min(pause * 2, 10000);
  };
}

// ---- photos --------------------------------------------------------------------------------------------------------

async function send(file) {
  if (!file) return;
  say(`looking at ${file.name} …`);
  try {
    const answer = await fetch(`detect?min_score=${lowest}`, { method: "POST", body: file, headers: { "Content-Type": file.type || "application/octet-stream" } });
    const found = await answer.json();
    if (!answer.ok) throw new Error(found.error);
    const bitmap = await createImageBitmap(file);
    photo = true;
    byId("back").hidden = !hasSource;
    const detections = found.detections.map((d) => [...d.box, d.score, d.label]);
    show({ bitmap, width: found.width, height: found.height, detections });
    say(`${file.name}: ${(found.seconds * 1000).toFixed(0)} ms`);
  } catch (error) {
    say(error.message || "the server does not answer", true);
  }
}
function say(text, bad = false) {
  byId("said").textContent = text;
  byId("said").classList.toggle("bad", bad);
}
function live() {
  photo = false;
  byId("back").hidden = true;
  byId("file").value = "";
  say("");
}
byId("file").onchange = (event) => send(event.target.files[0]);
byId("back").onclick = live;
addEventListener("keydown", (event) => { if (event.key === "Escape" && photo && hasSource && !byId("large").open) live(); });
for (const kind of ["dragenter", "dragover"]) addEventListener(kind, (event) => {
  event.preventDefault();
  byId("stage").classList.add("dropping");
});
addEventListener("dragleave", (event) => { if (!event.relatedTarget) byId("stage").classList.remove("dropping"); });
addEventListener("drop", (event) => {
  event.preventDefault();
  byId("stage").classList.remove("dropping");
  send(event.dataTransfer.files[0]);
});
addEventListener("paste", (event) => send([...event.clipboardData.files][0]));

// ---- numbers, the hour, the stills ---------------------------------------------------------------------------------

let lowest = 0.05, first = true;
async function ask() {
  try {
    const state = await (await fetch("state")).json();
    if (!state.names) throw new Error(state.error);
    told(state);
  } catch {
    source("lost", "the server does not answer");
  }
  setTimeout(ask, 1000);
}
function source(state, text) {
  byId("source").className = state;
  byId("source-text").textContent = text;
}
function told(state) {
  names = state.names;
  lowest = state.lowest;
  if (first) {
    first = false;
    byId("model").textContent = state.title;
    byId("score").min = lowest;
    byId("score").value = state.min_score;
    hasSource = state.source !== null;
    if (hasSource) watch();
    else byId("numbers").hidden = true;
    redraw();
  }
  if (!hasSource) return source("running", "ready for photos");
  source(state.state, state.source + { starting: ", connecting…", running: "", lost: ", lost; trying again" }[state.state]);
  byId("fps").textContent = state.fps.toFixed(1);
  byId("latency").textContent = `${(state.latency * 1000).toFixed(0)} ms`;
  byId("dropped").textContent = state.dropped.toLocaleString("en");
  chart(state.history);
  stills(state.stills);
}

function chart(history) {
  byId("over-time").hidden = history.length < 2;
  if (history.length < 2) return;
  const totals = new Map();
  for (const { counts } of history) for (const [name, count] of Object.entries(counts)) totals.set(name, (totals.get(name) || 0) + count);
  const top = [...totals].sort((a, b) => b[1] - a[1]).slice(0, 5).map(([name]) => name);
  const area = byId("chart"), ratio = devicePixelRatio || 1;
  area.width = area.clientWidth * ratio;
  area.height = 120 * ratio;
  const draw = area.getContext("2d"), quiet = getComputedStyle(byId("legend")).color;
  draw.scale(ratio, ratio);
  const width = area.clientWidth, height = 120, end = history.at(-1).time, start = Math.min(history[0].time, end - 60);
  const highest = Math.max(1, ...history.flatMap(({ counts }) => top.map((name) => counts[name] || 0)));
  const x = (time) => 24 + (width - 30) * (time - start) / (end - start), y = (count) => height - 18 - (height - 28) * count / highest;
  draw.font = "11px system-ui, sans-serif";
  draw.fillStyle = quiet;
  draw.globalAlpha = 0.7;
  for (const count of [0, highest]) draw.fillText(count % 1 ? count.toFixed(1) : count, 0, y(count) + 4);
  draw.fillText(new Date(start * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }), 24, height - 3);
  draw.textAlign = "right";
  draw.fillText("now", width - 6, height - 3);
  draw.fillRect(24, y(0), width - 30, 1);
  draw.globalAlpha = 1;
  draw.lineWidth = 2;
  draw.lineJoin = "round";
  for (const name of top) {
    draw.strokeStyle = css(colour(names.indexOf(name)));
    draw.beginPath();
    history.forEach(({ time, counts }, i) => {
      const gap = i && time - history[i - 1].time > 30;
      draw[i && !gap ? "lineTo" : "moveTo"](x(time), y(counts[name] || 0));
    });
    draw.stroke();
  }
  byId("legend").replaceChildren(...top.map((name) => {
    const entry = document.createElement("span"), mark = document.createElement("i");
    mark.style.background = css(colour(names.indexOf(name)));
    entry.append(mark, name);
    return entry;
  }));
}

let strip = "";
function stills(list) {
  byId("stills").hidden = !list.length;
  const state = JSON.stringify(list);
  if (state === strip) return;
  strip = state;
  byId("strip").replaceChildren(...list.map(({ number, time, count }) => {
    const button = document.createElement("button"), image = document.createElement("img"), text = document.createElement("span");
    button.type = "button";
    image.src = `still/${number}.jpg?${time}`;
    text.textContent = `${new Date(time * 1000).toLocaleTimeString()}, ${count} object${count === 1 ? "" : "s"}`;
    image.alt = text.textContent;
    button.append(image, text);
    button.onclick = () => {
      byId("large").querySelector("img").src = image.src;
      byId("large").querySelector("img").alt = image.alt;
      byId("large").showModal();
    };
    return button;
  }));
}

byId("score").oninput = redraw;
addEventListener("resize", redraw);
ask();
