// Headers' buttons sort their table's rows: by the number in a cell where it has one, else by its words.
for (const button of document.querySelectorAll("table.sortable th button")) {
  button.addEventListener("click", () => {
    const header = button.closest("th"), table = button.closest("table"), body = table.tBodies[0];
    const column = header.cellIndex;
    const wanted = header.getAttribute("aria-sort") === "descending" ? "ascending" : "descending";
    const key = (row) => {
      const cell = row.cells[column], data = cell.querySelector("data");
      return data ? Number(data.value || NaN) : cell.textContent.trim();
    };
    const compare = (a, b) => typeof a === "number" ? a - b : a.localeCompare(b);
    const rows = [...body.rows].sort((a, b) => compare(key(a), key(b)) * (wanted === "ascending" ? 1 : -1));
    for (const other of table.tHead.querySelectorAll("th[aria-sort]")) other.setAttribute("aria-sort", "none");
    header.setAttribute("aria-sort", wanted);
    body.append(...rows);
  });
}
