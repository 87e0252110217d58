"use strict";
(() => {
  const map = document.getElementById("map");
  if (!map) return;
  const whole = map.dataset.all.split(" ").map(Number);
  let view = whole.slice();
  const scale = document.getElementById("scale");
  const show = () => {
    map.setAttribute("viewBox", view.join(" "));
    const box = map.getBoundingClientRect();
    const unit = Math.max(view[2] / box.width, view[3] / box.height);
    scale.textContent = `100 px = ${((unit * 100) / 10).toPrecision(3)} m`;
  };
  const zoom = (factor, x, y) => {
    const width = Math.min(Math.max(view[2] * factor, 50), whole[2] * 4);
    const f = width / view[2];
    view = [x - (x - view[0]) * f, y - (y - view[1]) * f, view[2] * f, view[3] * f];
    show();
  };
  const place = (event) => new DOMPoint(event.clientX, event.clientY).matrixTransform(map.getScreenCTM().inverse());
  map.addEventListener("wheel", (event) => {
    event.preventDefault();
    const at = place(event);
    zoom(event.deltaY > 0 ? 1.25 : 0.8, at.x, at.y);
  }, { passive: false });
  let held = null;
  map.addEventListener("pointerdown", (event) => {
    held = place(event);
    map.setPointerCapture(event.pointerId);
    map.classList.add("held");
  });
  map.addEventListener("pointermove", (event) => {
    if (!held) return;
    const at = place(event);
    view = [view[0] + held.x - at.x, view[1] + held.y - at.y, view[2], view[3]];
    show();
  });
  map.addEventListener("pointerup", () => {
    held = null;
    map.classList.remove("held");
  });
  const middle = () => [view[0] + view[2] / 2, view[1] + view[3] / 2];
  for (const button of document.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => {
      if (button.dataset.zoom === "all") {
        view = whole.slice();
        show();
      } else zoom(button.dataset.zoom === "in" ? 0.6 : 1.67, ...middle());
    });
  }
  const go = (row) => {
    const shape = document.getElementById(`m${row.dataset.item}`);
    if (!shape) return;
    for (const old of document.querySelectorAll(".chosen")) old.classList.remove("chosen");
    shape.classList.add("chosen");
    row.classList.add("chosen");
    const box = shape.getBBox();
    const side = Math.max(box.width, box.height, 100) * 3;
    view = [box.x + box.width / 2 - side / 2, box.y + box.height / 2 - side / 2, side, side];
    show();
    map.scrollIntoView({ block: "center", behavior: "smooth" });
  };
  for (const row of document.querySelectorAll("tr[data-item]")) {
    row.addEventListener("click", () => go(row));
    row.addEventListener("keydown", (event) => { if (event.key === "Enter") go(row); });
  }
  show();
})();
