"use strict";
const root = document.documentElement;
const system = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
let redraw = () => {};
const setTheme = (name) => {
  if (name) root.dataset.theme = name;
  else delete root.dataset.theme;
  redraw();
};
document.getElementById("theme").addEventListener("click", () => setTheme(isDark() ? "light" : "dark"));
system.addEventListener("change", () => redraw());

let before = null; // what printing changed
addEventListener("beforeprint", () => {
  before = { theme: root.dataset.theme, closed: [...document.querySelectorAll("details:not([open]):not(#list)")] };
  before.closed.forEach((one) => (one.open = true));
  setTheme("light");
});
addEventListener("afterprint", () => {
  before.closed.forEach((one) => (one.open = false));
  setTheme(before.theme);
});

// Whatever comes from the data goes into the page as text.
function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function numbers(text) {
  return new Uint16Array(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
}

function map(data) {
  const { names, labels, components, neighbours, none, columns, side } = data;
  const [label, places, near, thumbnail] = [data.label, data.places, data.near, data.thumbnail].map(numbers);
  const count = names.length;
  const byId = (id) => document.getElementById(id);
  const canvas = byId("canvas");
  const context = canvas.getContext("2d");
  const tip = byId("tip");
  const axes = { x: 0, y: components > 1 ? 1 : null };
  const MARGIN = 28;
  const FURTHEST = 0.5;
  const CLOSEST = 200;
  const view = { scale: 1, x: 0, y: 0 }; // of the unit square on the canvas
  let only = null; // the label that is seen alone
  let at = null; // the image under the pointer or the keys' focus
  let chosen = null;
  const hint = byId("chosen").firstElementChild;
  let pictures = thumbnail.filter((place) => place !== none).length * 2 >= count;
  let width = 0;
  let height = 0;

  // Hues by the golden angle, so that neighbours in the legend differ, in three lightnesses.
  const hue = (number) => (number * 137.508 + 25) % 360;
  function colour(number) {
    const tone = (isDark() ? 0.74 : 0.62) + [0, -0.1, 0.08][number % 3];
    return `oklch(${tone} 0.14 ${hue(number).toFixed(1)})`;
  }

  const across = (image) => places[axes.x * count + image] / 65535;
  const upwards = (image) => (axes.y === null ? (labels.length > 1 ? label[image] / (labels.length - 1) : 0.5) : places[axes.y * count + image] / 65535);
  const left = (image) => MARGIN + (across(image) * view.scale + view.x) * (width - 2 * MARGIN);
  const top = (image) => MARGIN + ((1 - upwards(image)) * view.scale + view.y) * (height - 2 * MARGIN);
  const visible = (x, y) => x > -40 && y > -40 && x < width + 40 && y < height + 40;
  const shown = (image) => only === null || label[image] === only;
  const dot = () => Math.min(9, (count < 500 ? 4.5 : count < 5000 ? 3 : 1.9) * Math.sqrt(Math.sqrt(view.scale)) * Math.max(1, Math.sqrt(view.scale) / 2));
  const size = () => Math.min(side, (count < 500 ? 30 : 24) * Math.sqrt(view.scale) * Math.min(1, 0.4 + width / 1500));

  // Thumbnails cut to discs, once for all.
  let discs = null;
  const sheet = byId("sheet");
  if (sheet) {
    const image = new Image();
    image.addEventListener("load", () => {
      discs = element("canvas", { width: image.width, height: image.height });
      const paint = discs.getContext("2d");
      paint.beginPath();
      for (let y = side / 2; y < image.height; y += side)
        for (let x = side / 2; x < image.width; x += side) {
          paint.moveTo(x + side / 2, y);
          paint.arc(x, y, side / 2 - 0.5, 0, 2 * Math.PI);
        }
      paint.fill();
      paint.globalCompositeOperation = "source-in";
      paint.drawImage(image, 0, 0);
      redraw();
    });
    image.src = sheet.href.baseVal;
  }
  const pictured = (image) => pictures && discs !== null && thumbnail[image] !== none;

  function photo(image) {
    if (thumbnail[image] === none) return "";
    const space = "http://www.w3.org/2000/svg";
    const made = document.createElementNS(space, "svg");
    const use = document.createElementNS(space, "use");
    const [x, y] = [(thumbnail[image] % columns) * side, Math.floor(thumbnail[image] / columns) * side];
    made.setAttribute("class", "photo");
    made.setAttribute("viewBox", `${x} ${y} ${side} ${side}`);
    made.setAttribute("aria-hidden", "true");
    use.setAttribute("href", "#sheet");
    made.append(use);
    return made;
  }

  function paint() {
    const style = getComputedStyle(root);
    const [ink, muted, grid, paper] = ["--ink", "--muted", "--grid", "--paper"].map((name) => style.getPropertyValue(name));
    const ratio = devicePixelRatio || 1;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    context.strokeStyle = grid;
    context.lineWidth = 1;
    context.beginPath();
    for (let part = 0; part <= 4; part++) {
      const x = MARGIN + ((part / 4) * view.scale + view.x) * (width - 2 * MARGIN);
      const y = MARGIN + ((part / 4) * view.scale + view.y) * (height - 2 * MARGIN);
      context.moveTo(x, 0);
      context.lineTo(x, height);
      context.moveTo(0, y);
      context.lineTo(width, y);
    }
    context.stroke();
    const groups = labels.map(() => []);
    const photos = [];
    for (let image = 0; image < count; image++) {
      if (!visible(left(image), top(image))) continue;
      if (pictured(image)) photos.push(image);
      else groups[label[image]].push(image);
    }
    const radius = dot();
    groups.forEach((images, number) => {
      if (!images.length) return;
      context.fillStyle = colour(number);
      context.globalAlpha = only === null || only === number ? 0.85 : 0.08;
      context.beginPath();
      for (const image of images) {
        const [x, y] = [left(image), top(image)];
        if (radius < 2.2) context.rect(x - radius, y - radius, 2 * radius, 2 * radius);
        else {
          context.moveTo(x + radius, y);
          context.arc(x, y, radius, 0, 2 * Math.PI);
        }
      }
      context.fill();
    });
    photos.forEach((image) => drawPhoto(image, size(), 2));
    context.globalAlpha = 1;
    if (chosen !== null) {
      context.strokeStyle = ink;
      context.lineWidth = 1;
      context.beginPath();
      for (const other of nearest(chosen)) {
        context.moveTo(left(chosen), top(chosen));
        context.lineTo(left(other), top(other));
      }
      context.stroke();
      for (const other of nearest(chosen)) mark(other, 1.1, ink, paper);
      mark(chosen, 1.5, ink, paper);
    }
    if (at !== null && at !== chosen) mark(at, 1.4, ink, paper);
    context.fillStyle = muted;
    context.font = "12px system-ui, sans-serif";
    context.fillText(`component ${axes.x + 1} →`, 8, height - 8);
    context.save();
    context.translate(16, height - 26);
    context.rotate(-Math.PI / 2);
    context.fillText(axes.y === null ? "label →" : `component ${axes.y + 1} →`, 0, 0);
    context.restore();
    byId("view").textContent = `${count.toLocaleString("en")} ${count === 1 ? "image" : "images"}, zoom ${view.scale.toFixed(1)}`;
  }

  function drawPhoto(image, diameter, ring) {
    const [x, y, place] = [left(image), top(image), thumbnail[image]];
    context.globalAlpha = shown(image) ? 1 : 0.08;
    context.drawImage(discs, (place % columns) * side, Math.floor(place / columns) * side, side, side, x - diameter / 2, y - diameter / 2, diameter, diameter);
    context.strokeStyle = colour(label[image]);
    context.lineWidth = ring;
    context.beginPath();
    context.arc(x, y, diameter / 2, 0, 2 * Math.PI);
    context.stroke();
  }

  function mark(image, times, ink, paper) {
    const [x, y] = [left(image), top(image)];
    let radius = dot() * times + 1;
    context.globalAlpha = 1;
    if (pictured(image)) {
      radius = (size() * times) / 2;
      drawPhoto(image, 2 * radius, 3);
    } else {
      context.fillStyle = colour(label[image]);
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.fill();
    }
    context.lineWidth = 2;
    context.strokeStyle = paper;
    context.beginPath();
    context.arc(x, y, radius + 2, 0, 2 * Math.PI);
    context.stroke();
    context.strokeStyle = ink;
    context.beginPath();
    context.arc(x, y, radius + 3.5, 0, 2 * Math.PI);
    context.stroke();
  }

  let waiting = false;
  redraw = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      paint();
    });
  };
  system.addEventListener("change", swatches);
  byId("theme").addEventListener("click", swatches);
  function swatches() {
    document.querySelectorAll("#legend button").forEach((button) => (button.firstElementChild.style.background = colour(Number(button.dataset.label))));
  }
  swatches();

  new ResizeObserver(() => {
    const box = canvas.getBoundingClientRect();
    [width, height] = [box.width, box.height];
    canvas.width = Math.round(width * (devicePixelRatio || 1));
    canvas.height = Math.round(height * (devicePixelRatio || 1));
    paint(); // at once: setting the size has cleared it
  }).observe(canvas);

  function nearest(image) {
    return [...near.subarray(image * neighbours, (image + 1) * neighbours)].filter((other) => other !== none);
  }

  // The image at a place of the canvas, or null. What is drawn last lies on top.
  function under(x, y) {
    let found = null;
    let least = Infinity;
    for (let image = 0; image < count; image++) {
      if (!shown(image)) continue;
      const distance = Math.hypot(left(image) - x, top(image) - y);
      if (distance <= Math.max(pictured(image) ? size() / 2 : dot() + 2, 6) && distance <= least) [found, least] = [image, distance];
    }
    return found;
  }

  function point(image) {
    if (image === at) return;
    at = image;
    tip.hidden = image === null;
    if (image !== null) {
      const text = element("span", {}, element("b", { className: "name", textContent: labels[label[image]] }), element("br"), element("span", { className: "name", textContent: names[image] }));
      tip.replaceChildren(photo(image), text);
      const [x, y] = [left(image), top(image)];
      tip.style.left = `${Math.max(0, Math.min(x + 18, width - tip.offsetWidth - 4))}px`;
      tip.style.top = `${y + 18 + tip.offsetHeight < height ? y + 18 : Math.max(0, y - tip.offsetHeight - 18)}px`;
    }
    redraw();
  }

  function describe(image, name) {
    const small = element("small", { className: "name", textContent: names[image] });
    return element("span", {}, element("b", { className: `name ${name}`.trim(), textContent: labels[label[image]] }), small);
  }

  function choose(image) {
    chosen = image;
    const panel = byId("chosen");
    if (image === null) {
      panel.replaceChildren(hint);
    } else {
      const list = element("ol");
      for (const other of nearest(image)) {
        const button = element("button", { type: "button" }, photo(other), describe(other, label[other] === label[image] ? "" : "other"));
        button.addEventListener("click", () => {
          choose(other);
          canvas.focus();
        });
        list.append(element("li", {}, button));
      }
      const same = nearest(image).filter((other) => label[other] === label[image]).length;
      const text = element("p", { className: "muted", textContent: nearest(image).length ? `Its nearest, ${same} of ${nearest(image).length} of the same label:` : "There is no other image." });
      panel.replaceChildren(photo(image), element("p", {}, describe(image, "")), text, list);
      panel.scrollTop = 0;
    }
    redraw();
  }

  function zoom(times, x = width / 2, y = height / 2) {
    const scale = Math.min(CLOSEST, Math.max(FURTHEST, view.scale * times));
    const [u, v] = [(x - MARGIN) / (width - 2 * MARGIN), (y - MARGIN) / (height - 2 * MARGIN)];
    view.x = u - ((u - view.x) / view.scale) * scale;
    view.y = v - ((v - view.y) / view.scale) * scale;
    view.scale = scale;
    point(null);
    redraw();
  }
  function move(x, y) {
    view.x += x / (width - 2 * MARGIN);
    view.y += y / (height - 2 * MARGIN);
    point(null);
    redraw();
  }
  function whole() {
    Object.assign(view, { scale: 1, x: 0, y: 0 });
    point(null);
    redraw();
  }

  // Pointers: one drags, two pinch.
  const held = new Map();
  let travelled = 0;
  const spot = (event) => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    if (!held.size) travelled = 0;
    held.set(event.pointerId, spot(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    const now = spot(event);
    const last = held.get(event.pointerId);
    if (!last) {
      point(under(now.x, now.y));
      return;
    }
    travelled += Math.hypot(now.x - last.x, now.y - last.y);
    const other = [...held].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      const gap = (from) => Math.max(1, Math.hypot(from.x - other.x, from.y - other.y));
      zoom(gap(now) / gap(last), (now.x + other.x) / 2, (now.y + other.y) / 2);
      move((now.x - last.x) / 2, (now.y - last.y) / 2);
    } else if (travelled > 4) {
      move(now.x - last.x, now.y - last.y);
    }
    held.set(event.pointerId, now);
  });
  canvas.addEventListener("pointerup", (event) => {
    const now = spot(event);
    if (held.size === 1 && travelled <= 4) {
      point(under(now.x, now.y));
      choose(at);
    }
    held.delete(event.pointerId);
  });
  canvas.addEventListener("pointercancel", (event) => held.delete(event.pointerId));
  canvas.addEventListener("pointerleave", () => point(null));
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const now = spot(event);
      zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), now.x, now.y);
    },
    { passive: false },
  );

  // Keys: an arrow goes to the nearest image in its direction.
  const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  function step([dx, dy]) {
    const from = at ?? chosen;
    const start = from === null ? [width / 2, height / 2] : [left(from), top(from)];
    let found = null;
    let least = Infinity;
    for (let image = 0; image < count; image++) {
      if (image === from || !shown(image)) continue;
      const [x, y] = [left(image) - start[0], top(image) - start[1]];
      const along = x * dx + y * dy;
      const aside = Math.abs(x * dy) + Math.abs(y * dx);
      const far = from === null ? Math.hypot(x, y) : along > 0 ? along + 2 * aside : Infinity;
      if (far < least) [found, least] = [image, far];
    }
    if (found === null) return;
    const [x, y] = [left(found), top(found)];
    if (x < 0 || y < 0 || x > width || y > height) move(width / 2 - x, height / 2 - y);
    point(found);
    byId("said").textContent = `${labels[label[found]]}, ${names[found]}`;
  }
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const way = ways[event.key];
    if (way && event.shiftKey) move(-60 * way[0], -60 * way[1]);
    else if (way) step(way);
    else if (event.key === "Enter" || event.key === " ") choose(at ?? chosen);
    else if (event.key === "+" || event.key === "=") zoom(1.4, ...centre());
    else if (event.key === "-") zoom(1 / 1.4, ...centre());
    else if (event.key === "0") whole();
    else if (event.key === "Escape") {
      point(null);
      choose(null);
    } else return;
    event.preventDefault();
  });
  const centre = () => {
    const image = at ?? chosen;
    return image === null ? [width / 2, height / 2] : [left(image), top(image)];
  };
  byId("closer").addEventListener("click", () => zoom(1.4));
  byId("further").addEventListener("click", () => zoom(1 / 1.4));
  byId("whole").addEventListener("click", whole);
  if (axes.y !== null)
    for (const [name, axis] of [["across", "x"], ["upwards", "y"]])
      byId(name).addEventListener("change", (event) => {
        axes[axis] = Number(event.target.value);
        point(null);
        redraw();
      });
  const switched = byId("pictures");
  switched?.setAttribute("aria-pressed", String(pictures));
  switched?.addEventListener("click", () => {
    pictures = !pictures;
    switched.setAttribute("aria-pressed", String(pictures));
    redraw();
  });

  byId("legend").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const number = Number(button.dataset.label);
    only = only === number ? null : number;
    document.querySelectorAll("#legend button").forEach((one) => one.setAttribute("aria-pressed", String(Number(one.dataset.label) === only)));
    point(null);
    redraw();
  });

  // The list: what the map shows, for those who do not see it.
  const ROWS = 50;
  let first = 0;
  function list() {
    const sought = byId("find").value.toLowerCase();
    const found = [...names.keys()].filter((image) => !sought || names[image].toLowerCase().includes(sought) || labels[label[image]].toLowerCase().includes(sought));
    first = Math.max(0, Math.min(first, found.length - 1));
    first -= first % ROWS;
    byId("rows").replaceChildren(
      ...found.slice(first, first + ROWS).map((image) => {
        const button = element("button", { type: "button", className: "name", textContent: names[image] });
        button.addEventListener("click", () => choose(image));
        const other = nearest(image)[0];
        return element(
          "tr",
          {},
          element("td", { className: "words" }, button),
          element("td", { className: "words name", textContent: labels[label[image]] }),
          element("td", { className: "words name", textContent: other === undefined ? "" : labels[label[other]] }),
        );
      }),
    );
    byId("part").textContent = found.length ? `${first + 1} to ${Math.min(first + ROWS, found.length)} of ${found.length}` : "none";
    byId("previous").disabled = first === 0;
    byId("next").disabled = first + ROWS >= found.length;
  }
  byId("list").addEventListener("toggle", list);
  byId("find").addEventListener("input", list);
  byId("previous").addEventListener("click", () => {
    first -= ROWS;
    list();
  });
  byId("next").addEventListener("click", () => {
    first += ROWS;
    list();
  });

  // One is chosen from the start, in the middle: it shows what a click does.
  const off = (image) => Math.hypot(across(image) - 0.5, upwards(image) - 0.5);
  choose([...names.keys()].reduce((best, image) => (off(image) < off(best) ? image : best)));
}

const points = document.getElementById("points");
if (points) map(JSON.parse(points.textContent));
