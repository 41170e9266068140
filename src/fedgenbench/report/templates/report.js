"use strict";
// Search, sorting and hidden columns of tables, and the runs behind a number. All text of the page is set
// as text, never as markup.
const make = (tag, text, more = {}) => Object.assign(document.createElement(tag), { textContent: text ?? "" }, more);
const jobs = JSON.parse(document.getElementById("jobs").textContent);

const value = (cell) => {
  const number = parseFloat(cell.textContent.replace("−", "-").replace(/[^\d.+-].*$/s, "").replace(/,/g, ""));
  return Number.isNaN(number) ? cell.textContent.toLowerCase() : number;
};
const inOrder = (a, b) => (typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1);

function sort(table, place, head) {
  const up = head.getAttribute("aria-sort") !== "descending";
  for (const other of table.tHead.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", up ? "descending" : "ascending");
  for (const body of table.tBodies) {
    const rows = [...body.rows].filter((row) => !row.classList.contains("block"));
    rows.sort((a, b) => (up ? -1 : 1) * inOrder(value(a.cells[place]), value(b.cells[place])));
    body.append(...rows);
  }
}

function tools(figure) {
  const table = figure.querySelector("table");
  const heads = [...table.tHead.rows].at(-1).cells;
  const spans = table.tHead.rows.length > 1 ? [...table.tHead.rows[0].cells].flatMap((cell) => Array(cell.colSpan).fill(cell)) : null;
  [...heads].forEach((head, place) => {
    const button = make("button", "", { type: "button" });
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(table, place, head));
  });
  const rows = [...table.tBodies].flatMap((body) => [...body.rows]).filter((row) => !row.classList.contains("block"));
  if (rows.length < 6 && heads.length < 5) return;
  const bar = make("div", "", { className: "tools" });
  if (rows.length > 5) {
    const search = make("input", "", { type: "search", placeholder: "Search rows" });
    search.setAttribute("aria-label", "Search the rows of this table");
    search.addEventListener("input", () => {
      const asked = search.value.toLowerCase();
      for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(asked);
    });
    bar.append(search);
  }
  if (heads.length > 3) {
    const list = make("details");
    list.append(make("summary", "Columns"));
    [...heads].slice(1).forEach((head, before) => {
      const place = before + 1;
      const box = make("input", "", { type: "checkbox", checked: true });
      const label = make("label");
      const group = spans && spans[place].textContent ? `${spans[place].textContent}: ` : "";
      label.append(box, ` ${group}${head.textContent}`);
      box.addEventListener("change", () => {
        head.hidden = !box.checked;
        for (const row of rows) row.cells[place].hidden = !box.checked;
        if (spans) {
          const shown = spans.filter((cell, at) => cell === spans[place] && !heads[at].hidden).length;
          spans[place].hidden = shown === 0;
          if (shown) spans[place].colSpan = shown;
        }
      });
      list.append(label);
    });
    bar.append(list);
  }
  figure.querySelector(".scroll").before(bar);
}

function show(cell) {
  const row = cell.closest("tr");
  const table = cell.closest("table");
  const head = [...table.tHead.rows].at(-1).cells[cell.cellIndex];
  const box = document.querySelector("#runs > div");
  box.replaceChildren();
  box.append(make("h2", `${row.cells[0].textContent}: ${head.textContent}`));
  box.append(make("p", cell.textContent.trim()));
  const values = make("table");
  for (const pair of cell.dataset.seeds.split(" ")) {
    const line = values.insertRow();
    pair.split(":").forEach((text, place) => (line.insertCell().textContent = place ? text : `seed ${text}`));
  }
  box.append(values);
  const named = jobs[head.dataset.experiment ?? row.dataset.experiment] ?? {};
  const behind = row.dataset.jobs.split(" ").flatMap((name) => named[name] ?? []);
  if (behind.length) {
    const list = make("ul");
    for (const [seed, digest, folder] of behind) {
      const item = make("li", `seed ${seed}: `);
      item.append(make("a", digest, { href: `costs.html#jobs.${digest}` }), make("br"), make("code", `snakemake ${folder}/metrics.json`));
      list.append(item);
    }
    box.append(make("p", "Runs, with settings, cost and machine behind their digests:"), list);
  }
  const link = make("p");
  link.append(make("a", "Link to this number", { href: `#${cell.id}` }));
  box.append(link);
  document.getElementById("runs").showModal();
}

for (const figure of document.querySelectorAll("figure.table")) tools(figure);
document.addEventListener("click", (event) => {
  const cell = event.target.closest("td[data-seeds]");
  if (cell) show(cell);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.matches("td[data-seeds]")) show(event.target);
});
for (const cell of document.querySelectorAll("td[data-seeds]")) cell.tabIndex = 0;
