"use strict";
(() => {
  const table = document.getElementById("table");
  if (table === null) return;
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const find = document.getElementById("find");
  const verdict = document.getElementById("verdict");
  const judged = document.getElementById("judged");
  const count = document.getElementById("count");

  function filter() {
    const wanted = find.value.trim().toLowerCase().split(/\s+/);
    let shown = 0;
    for (const row of rows) {
      const text = `${row.cells[0].textContent} ${row.cells[1].dataset.text}`.toLowerCase();
      row.hidden =
        !wanted.every((word) => text.includes(word)) ||
        (verdict.value !== "" && row.dataset.verdict !== verdict.value) ||
        (judged !== null && judged.checked && row.dataset.judged !== "yes");
      shown += row.hidden ? 0 : 1;
    }
    count.textContent = `${shown} of ${rows.length} rows`;
  }

  function compare(one, other) {
    if (one.dataset.text !== undefined) return one.dataset.text.localeCompare(other.dataset.text, "en");
    return Number(one.dataset.value) - Number(other.dataset.value);
  }

  function sort(head, column) {
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const known = rows.filter((row) => row.cells[column].dataset.value !== "");
    const unknown = rows.filter((row) => row.cells[column].dataset.value === "");
    known.sort((one, other) => (down ? -1 : 1) * compare(one.cells[column], other.cells[column]));
    body.append(...known, ...unknown);
  }

  [...table.tHead.rows[0].cells].forEach((head, column) => {
    if (head.dataset.key === undefined) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.addEventListener("click", () => sort(head, column));
    head.replaceChildren(button);
  });
  for (const control of [find, verdict, judged]) {
    if (control === null) continue;
    // Not every browser and not every aid sends both.
    for (const kind of ["input", "change"]) control.addEventListener(kind, filter);
  }
  const controls = document.getElementById("controls");
  controls.addEventListener("submit", (event) => event.preventDefault());
  controls.hidden = false;
  filter();
  window.addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details:not(.bulky)")) details.open = true;
  });
})();
