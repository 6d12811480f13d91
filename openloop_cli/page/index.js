// Columns sort by what their cells are worth; thumbnails grow and play while pointed at or focused.
"use strict";
(() => {
  document.documentElement.classList.add("js");
  const table = document.querySelector("table.index");
  if (!table) return;
  const body = table.tBodies[0];

  // ---- sorting ----
  // Headers stand in two rows; a cell's column is its place among those that hold one column each.
  const heads = [...table.tHead.querySelectorAll("th[data-sort]")];
  const [above, below] = table.tHead.rows;
  const columns = [...above.cells].flatMap((cell) =>
    (cell.colSpan > 1 ? [...below.cells].splice(begun(cell), cell.colSpan) : [cell]));
  function begun(cell) {
    const groups = [...above.cells].filter((other) => other.colSpan > 1);
    return groups.slice(0, groups.indexOf(cell)).reduce((sum, other) => sum + other.colSpan, 0);
  }
  // Numbers carry themselves in data-value; names compare as text, "run-2" before "run-10".
  const names = new Intl.Collator(undefined, { numeric: true });
  function worth(row, column) {
    const cell = row.cells[column];
    if (!cell) return null;
    if (!("value" in cell.dataset)) return cell.dataset.name ?? null;
    return cell.dataset.value === "" ? null : Number(cell.dataset.value);
  }
  function sort(head) {
    const up = head.getAttribute("aria-sort") !== "ascending", column = columns.indexOf(head);
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const rows = [...body.rows].map((row) => [worth(row, column), row]);
    rows.sort(([a], [b]) => {
      // What has no number comes last whichever way the rest runs.
      if (a === null || b === null) return (a === null) - (b === null);
      return (up ? 1 : -1) * (typeof a === "string" ? names.compare(a, b) : a - b);
    });
    body.append(...rows.map(([, row]) => row));
  }
  for (const head of heads) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(head));
  }

  // ---- thumbnails ----
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const thumbs = [...document.querySelectorAll("video.thumb")];
  const open = () => thumbs.filter((video) => video.parentElement.classList.contains("open"));
  function put(video) {
    // In front of all else and whole in the window: a table that scrolls would cut it off.
    const box = video.parentElement.getBoundingClientRect();
    const width = Math.min(640, innerWidth - 16);
    const height = video.videoWidth ? width * video.videoHeight / video.videoWidth : width * 0.7;
    const inside = (value, size, room) => Math.max(8, Math.min(value, room - size - 8));
    video.style.left = inside(box.left, width, innerWidth) + "px";
    video.style.top = inside(box.top + box.height / 2 - height / 2, height, innerHeight) + "px";
    video.style.width = width + "px";
  }
  function play(video) {
    open().filter((other) => other !== video).forEach(stop);
    put(video);
    video.parentElement.classList.add("open");
    if (still.matches) return;
    const started = video.play();
    if (started) started.catch(() => {});
  }
  function stop(video) {
    video.pause();
    video.parentElement.classList.remove("open");
    video.removeAttribute("style");
  }
  for (const video of thumbs) {
    const frame = video.parentElement;
    frame.addEventListener("mouseenter", () => play(video));
    frame.addEventListener("mouseleave", () => stop(video));
    video.addEventListener("focus", () => play(video));
    video.addEventListener("blur", () => stop(video));
    video.addEventListener("keydown", (event) => {
      if (event.key === "Escape") stop(video);
      else if (event.key === " ") video.paused ? play(video) : video.pause();
      else return;
      event.preventDefault();
    });
    video.addEventListener("loadedmetadata", () => open().forEach(put));
  }
  addEventListener("scroll", () => open().forEach(put), { passive: true });
  // The first frame of those that come into view, and of no others.
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      entry.target.preload = "metadata";
      seen.unobserve(entry.target);
    }
  });
  for (const video of thumbs) seen.observe(video);
})();
