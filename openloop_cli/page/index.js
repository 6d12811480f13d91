"use strict";
// Columns sort by what their cells are worth; thumbnails play while they are pointed at or focused.
(() => {
  const table = document.querySelector("table.index");
  const body = table && table.tBodies[0];
  if (!body) return;
  const worth = (row, column) => {
    const cell = row.cells[column];
    if (!cell) return "";
    return "value" in cell.dataset ? cell.dataset.value : cell.textContent;
  };
  const compare = (a, b) => {
    const [x, y] = [parseFloat(a), parseFloat(b)];
    if (a === "" || b === "") return (a === "") - (b === "");
    return isNaN(x) || isNaN(y) ? a.localeCompare(b, undefined, { numeric: true }) : x - y;
  };
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    if (!head.textContent || head.textContent === "files") return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...body.rows];
      const empty = (row) => worth(row, column) === "" || row.cells.length < table.tHead.rows[0].cells.length;
      rows.sort((a, b) => empty(a) - empty(b) || (up ? 1 : -1) * compare(worth(a, column), worth(b, column)));
      body.append(...rows);
    });
  });
  for (const video of document.querySelectorAll("video.thumb")) {
    const play = () => { const started = video.play(); if (started) started.catch(() => {}); };
    const stop = () => { video.pause(); };
    video.addEventListener("mouseenter", play);
    video.addEventListener("focus", play);
    video.addEventListener("mouseleave", stop);
    video.addEventListener("blur", stop);
  }
  // The first frame of those that come into view, and of no others.
  if ("IntersectionObserver" in window) {
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        entry.target.preload = "metadata";
        seen.unobserve(entry.target);
      }
    });
    document.querySelectorAll("video.thumb").forEach((video) => seen.observe(video));
  }
})();
