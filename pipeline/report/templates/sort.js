// Sort a table by the column whose header button is pressed: by numbers if its cells have some, otherwise by text.
for (const button of document.querySelectorAll("table.sortable th button")) {
  button.addEventListener("click", () => {
    const header = button.closest("th"), table = button.closest("table"), body = table.tBodies[0];
    const column = header.cellIndex;
    const order = header.getAttribute("aria-sort") === "descending" ? "ascending" : "descending";
    const key = (row) => {
      const cell = row.cells[column], data = cell.querySelector("data");
      return data ? Number(data.value || NaN) : cell.textContent.trim();
    };
    const compare = (a, b) => typeof a === "number" ? a - b : a.localeCompare(b);
    const rows = [...body.rows].sort((a, b) => compare(key(a), key(b)) * (order === "ascending" ? 1 : -1));
    for (const cell of table.tHead.querySelectorAll("th[aria-sort]")) cell.setAttribute("aria-sort", "none");
    header.setAttribute("aria-sort", order);
    body.append(...rows);
  });
}
