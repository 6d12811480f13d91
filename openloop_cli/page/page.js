// One step for videos and curves. Without this script the page is whole, and stands still.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const svgNode = (tag, attributes, parent) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const name in attributes) node.setAttribute(name, attributes[name]);
    parent.append(node);
    return node;
  };
  const { context, steps, fps } = data;
  if (!steps) return;
  root.classList.add("js");

  const transport = document.querySelector(".transport");
  const slider = document.getElementById("step");
  const output = document.getElementById("state");
  const button = document.getElementById("play");
  const videos = all("video");
  const speed = document.getElementById("speed");
  const players = all(".player");
  let step = 0, place = 0, playing = false, touched = false, clock = 0;
  let view = "one", flipped = 0;

  // ---- steps ----
  const ahead = (index) => index - context + 1;
  const named = (k) => (k > 0 ? "+" + k : String(k).replace("-", "−"));
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

  function show(index) {
    step = clamp(Math.round(index), 0, steps - 1);
    const k = ahead(step), imagined = k > 0;
    slider.value = step;
    const words = (imagined ? "imagined " : "context ") + named(k);
    output.textContent = words;
    output.className = "state " + (imagined ? "imagined" : "seen");
    // Environment time beside steps, where one step takes several of the environment's.
    const time = data.repeat > 1 ? named(k * data.repeat) + " environment steps" : "";
    output.title = time;
    slider.setAttribute("aria-valuetext", words + ", step " + (step + 1) + " of " + steps + (time && ", " + time));
    const [chunk, start] = (data.ids[place] || "").split(":");
    if (start) for (const node of all(".recorded"))
      node.textContent = "recorded step " + (Number(start) + data.skip + step) + " from the start of chunk " + chunk
        + (time && "; " + time + " from the end of the context");
    for (const plot of plots) plot.mark(k);
  }

  function go(index) {
    touched = true;
    pause();
    show(index);
    for (const video of videos) seek(video);
    remember();
  }

  // ---- the address: #window=16&step=37, both counted from 1 as the page shows them ----
  function remember() {
    const parts = data.windows.length ? ["window=" + data.windows[place]] : [];
    // Frames without an address of their own, as in viewers of artifacts, refuse.
    try { history.replaceState(null, "", "#" + [...parts, "step=" + (step + 1)].join("&")); } catch { }
  }

  function recall() {
    const asked = new URLSearchParams(location.hash.slice(1));
    const number = (name) => (/^\d{1,9}$/.test(asked.get(name) || "") ? Number(asked.get(name)) : null);
    const wanted = data.windows.indexOf(number("window"));
    if (wanted >= 0) choose(wanted);
    if (number("step") === null) return false;
    touched = true;
    pause();
    show(number("step") - 1);
    for (const video of videos) if (video.readyState >= 1) seek(video);
    return true;
  }

  function seek(video) {
    // The middle of the frame: its edges round to either side.
    video.currentTime = (step + 0.5) / fps;
  }

  // ---- playing ----
  function play() {
    if (!touched || step >= steps - 1) show(0);
    touched = true;
    playing = true;
    button.textContent = "Pause";
    for (const video of videos) {
      seek(video);
      video.playbackRate = Number(speed.value);
      const started = video.play();
      if (started) started.catch(() => pause());
    }
    if (videos.length) requestAnimationFrame(follow);
    else clock = setInterval(() => show((step + 1) % steps), 1000 / fps / Number(speed.value));
  }

  function pause() {
    if (!playing) return;
    playing = false;
    clearInterval(clock);
    button.textContent = "Play";
    for (const video of videos) video.pause();
    remember();
  }

  function follow() {
    if (!playing) return;
    const now = Math.floor(videos[0].currentTime * fps + 0.001);
    if (now !== step) show(now);
    for (const video of videos.slice(1)) {
      if (Math.abs(video.currentTime - videos[0].currentTime) > 1.5 / fps)
        video.currentTime = videos[0].currentTime;
    }
    requestAnimationFrame(follow);
  }

  // Some browsers play no video from a data address; a blob of the same bytes needs no network.
  function fromBlob(video) {
    if (!video.src.startsWith("data:")) return;
    const text = atob(video.src.slice(video.src.indexOf(",") + 1));
    const bytes = Uint8Array.from(text, (c) => c.charCodeAt(0));
    video.src = URL.createObjectURL(new Blob([bytes], { type: "video/mp4" }));
  }

  for (const video of videos) {
    video.controls = false;
    if (video.error) fromBlob(video);
    video.addEventListener("error", () => fromBlob(video));
    video.addEventListener("click", (event) => {
      if (view === "all") pickAt(video, event);
      else playing ? pause() : play();
    });
    video.addEventListener("loadeddata", () => { if (!playing) seek(video); });
  }

  // ---- curves ----
  function shown(value) {
    if (value === null || value === undefined) return "–";
    if (value === 0) return "0";
    const size = Math.abs(value);
    let text;
    if (size >= 1e6 || size < 1e-4) text = value.toPrecision(2);
    else text = value.toFixed(size >= 1000 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : size >= 0.1 ? 3 : 4);
    return text.replace("-", "−");
  }

  class Plot {
    constructor(svg) {
      this.svg = svg;
      [this.first, this.last, this.left, this.right] = svg.dataset.x.split(" ").map(Number);
      [this.low, this.high, this.bottom, this.top] = svg.dataset.y.split(" ").map(Number);
      this.figure = svg.closest("figure");
      this.chart = data.charts[this.figure.dataset.chart];
      this.values = all(".value", this.figure);
      this.at = this.figure.querySelector(".at");
      const group = svgNode("g", { class: "cursor" }, svg);
      this.line = svgNode("path", { class: "cursor-line" }, group);
      this.dots = this.series().map((line) =>
        svgNode("circle", { r: 3.5, class: "f-" + line.s }, group));
      this.current = null;
      this.listen(svg.parentElement);
    }
    series() {
      if (this.chart) return this.chart.lines;
      const trace = data.traces[this.figure.dataset.trace][place];
      return Object.keys(trace).map((s) => ({ s, ...trace[s] }));
    }
    x(k) { return this.left + (k - this.first) / (this.last - this.first || 1) * (this.right - this.left); }
    y(value) {
      const inside = clamp(value, this.low, this.high);
      return this.bottom - (inside - this.low) / (this.high - this.low) * (this.bottom - this.top);
    }
    mark(k) {
      this.current = k;
      const at = clamp(k, this.first, this.last), x = this.x(at).toFixed(1);
      this.svg.dataset.step = k;
      this.line.setAttribute("d", `M${x} ${this.top - 2}V${this.bottom}`);
      this.svg.classList.toggle("outside", at !== k);
      const lines = this.series();
      lines.forEach((line, i) => {
        const value = line.v[at - this.first];
        const missing = value === null || value === undefined;
        this.dots[i].style.display = missing ? "none" : "";
        if (!missing) {
          this.dots[i].setAttribute("cx", x);
          this.dots[i].setAttribute("cy", this.y(value).toFixed(1));
        }
      });
      if (!this.chart) return;
      this.at.textContent = "at " + named(at) + ": ";
      this.values.forEach((node, i) => {
        const { v, l, h } = lines[i], j = at - this.first;
        node.textContent = shown(v[j]);
        if (l.length && l[j] !== null && h[j] !== null) {
          const bounds = document.createElement("small");
          bounds.textContent = shown(l[j]) + " to " + shown(h[j]);
          node.append(" ", bounds);
        }
      });
    }
    stepAt(event) {
      const box = this.svg.getBoundingClientRect();
      const x = (event.clientX - box.left) / box.width * this.svg.viewBox.baseVal.width;
      const k = this.first + (x - this.left) / (this.right - this.left) * (this.last - this.first);
      return clamp(Math.round(k), this.first, this.last);
    }
    listen(area) {
      area.addEventListener("pointermove", (event) => {
        if (event.buttons & 1) go(this.stepAt(event) + context - 1);
        else if (event.pointerType === "mouse") this.mark(this.stepAt(event));
      });
      area.addEventListener("pointerdown", (event) => go(this.stepAt(event) + context - 1));
      area.addEventListener("pointerleave", () => this.mark(ahead(step)));
      area.tabIndex = 0;
      area.setAttribute("role", "group");
      area.setAttribute("aria-label", this.svg.querySelector("title").textContent
        + ": arrow keys move the step");
      area.addEventListener("keydown", (event) => keys(event, { PageDown: -5, PageUp: 5, Home: -steps, End: steps }));
    }
    path(values) {
      let text = "", pen = "M";
      values.forEach((value, i) => {
        if (value === null) { pen = "M"; return; }
        text += pen + this.x(this.first + i).toFixed(1) + " " + this.y(value).toFixed(1);
        pen = "L";
      });
      return text;
    }
    redraw() {
      const trace = data.traces[this.figure.dataset.trace][place];
      for (const style in trace) {
        const line = this.svg.querySelector(".line." + style);
        if (line) line.setAttribute("d", this.path(trace[style].v));
        const band = this.svg.querySelector(".band.f-" + style);
        if (band) band.setAttribute("d", this.area(trace[style].l, trace[style].h));
      }
    }
    area(low, high) {
      const at = (values) => values
        .map((v, i) => (v === null ? null : [this.x(this.first + i).toFixed(1), this.y(v).toFixed(1)].join(" ")))
        .filter((v) => v !== null);
      const points = [...at(high), ...at(low).reverse()];
      return points.length ? "M" + points.join("L") + "Z" : "";
    }
    explain() {
      const legend = this.figure.querySelector(".legend");
      if (legend.querySelector(".window-item")) return;
      const item = legend.appendChild(document.createElement("li"));
      item.className = "window-item";
      const swatch = legend.querySelector(".swatch").cloneNode(true);
      swatch.querySelector("path").setAttribute("class", "line window");
      const name = document.createElement("span");
      name.append("model, window ");
      name.appendChild(document.createElement("span")).className = "window-name";
      item.append(swatch, name);
    }
    overlay(values) {
      if (!this.over) {
        this.over = svgNode("path", { class: "line window" }, this.svg);
        this.explain();
        this.svg.insertBefore(this.over, this.svg.querySelector(".cursor"));
      }
      this.over.setAttribute("d", this.path(values));
    }
  }

  const plots = all("svg.curves[data-x]").map((svg) => new Plot(svg));

  // ---- keys ----
  function keys(event, more = {}) {
    if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey) return;
    const moves = { ArrowLeft: -1, ArrowRight: 1, ...more };
    if (event.key === " ") { if (!event.repeat) playing ? pause() : play(); }
    else if (event.key in moves) go(step + moves[event.key]);
    else if (event.key.toLowerCase() === "f" && flip) flipOver();
    else return;
    event.preventDefault();
  }

  // What has keys of its own keeps them: fields, buttons, links, tables that scroll.
  const OWN = "input, select, textarea, button, a, summary, [contenteditable], .scroll, pre";
  document.addEventListener("keydown", (event) => {
    const target = event.target instanceof Element ? event.target : null;
    if (!target || !target.closest(OWN) || (target === slider && event.key === " ")) keys(event);
    else if (event.key.toLowerCase() === "f" && !target.closest("select, textarea, [contenteditable]")) keys(event);
  });

  // ---- windows ----
  function pick(index) {
    place = index;
    lay();
    for (const plot of plots) {
      if (!plot.chart) plot.redraw();
      else if (data.overlays[plot.figure.dataset.chart]) plot.overlay(data.overlays[plot.figure.dataset.chart][place]);
    }
    for (const node of all(".window-name")) node.textContent = data.windows[place];
    for (const node of all(".window-id")) node.textContent = data.ids[place] || "";
    show(step);
  }

  function choose(index) {
    const radio = document.querySelector('input[name="window"][value="' + index + '"]');
    if (radio) radio.checked = true;
    pick(index);
  }

  // Which part of the video its frame shows: all blocks, one block, or one tile of it.
  function lay() {
    players.forEach((figure, i) => {
      const { size, block, blocks, tiles, flips, labels } = data.players[i];
      const video = figure.querySelector("video"), crop = figure.querySelector(".crop");
      let [x, y, width, height] = [...blocks[place], ...block];
      if (view === "all") [x, y, width, height] = [0, 0, ...size];
      if (view === "flip") {
        const tile = tiles[flips[flipped % flips.length]];
        [x, y, width, height] = [x + tile[0], y + tile[1], tile[2], tile[3]];
        figure.querySelector(".flipped").textContent = labels[flips[flipped % flips.length]];
      }
      figure.dataset.view = view;
      crop.style.aspectRatio = width + " / " + height;
      video.style.width = 100 * size[0] / width + "%";
      video.style.left = -100 * x / width + "%";
      video.style.top = -100 * y / height + "%";
    });
    if (flip) flip.setAttribute("aria-pressed", view === "flip");
    if (grid) grid.setAttribute("aria-pressed", view === "all");
  }

  function look(wanted) {
    view = wanted;
    lay();
  }

  function flipOver() {
    flipped = view === "flip" ? flipped + 1 : 0;
    look("flip");
  }

  function pickAt(video, event) {
    const box = video.getBoundingClientRect();
    const { size, block, blocks } = data.players[videos.indexOf(video)];
    const x = (event.clientX - box.left) / box.width * size[0], y = (event.clientY - box.top) / box.height * size[1];
    const found = blocks.findIndex(([left, top]) => x >= left && x < left + block[0] && y >= top && y < top + block[1]);
    if (found < 0) return;
    look("one");
    choose(found);
    remember();
  }

  // ---- copying ----
  async function copy(control) {
    const text = control.dataset.copy === "window" ? data.ids[place] : data.all.join("\n");
    try {
      await navigator.clipboard.writeText(text);
    } catch {  // not allowed here: the old way
      const field = document.body.appendChild(document.createElement("textarea"));
      field.value = text;
      field.select();
      document.execCommand("copy");
      field.remove();
      control.focus();
    }
    const before = control.textContent;
    control.textContent = "Copied";
    setTimeout(() => { control.textContent = before; }, 1200);
  }

  const grid = document.getElementById("grid"), flip = document.getElementById("flip");
  if (grid) grid.addEventListener("click", () => look(view === "all" ? "one" : "all"));
  if (flip) flip.addEventListener("click", () => (view === "flip" ? look("one") : flipOver()));
  for (const control of all("[data-copy]")) {
    control.hidden = false;
    control.addEventListener("click", () => copy(control));
  }
  speed.addEventListener("change", () => { if (playing) { pause(); play(); } });

  transport.hidden = false;
  for (const part of all(".picker, .views, .window-line")) part.hidden = false;
  for (const radio of all('input[name="window"]'))
    radio.addEventListener("change", () => { pick(Number(radio.value)); remember(); });
  slider.addEventListener("input", () => go(Number(slider.value)));
  button.addEventListener("click", () => (playing ? pause() : play()));
  if (data.windows.length) {
    const checked = document.querySelector('input[name="window"]:checked');
    pick(checked ? Number(checked.value) : 0);
  }
  // Something worth seeing before anything is touched: the middle of what is imagined.
  if (!recall()) show(context + Math.floor((steps - context) / 2));
  addEventListener("hashchange", recall);
  for (const video of videos) if (video.readyState >= 2) seek(video);
})();
