// A table of class "filter" gets fields above it: a choice for each name in data-filters, and a
// search. Without this script it is a plain table, and nothing is missing.
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("table.filter").forEach((table, number) => {
    const rows = [...table.tBodies[0].rows];
    const form = document.createElement("form");
    const shown = document.createElement("output");
    form.className = "filter-form";

    const field = (name, control) => {
      control.id = `filter-${number}-${name}`;
      const label = document.createElement("label");
      label.htmlFor = control.id;
      label.textContent = name[0].toUpperCase() + name.slice(1);
      const box = document.createElement("span");
      box.append(label, control);
      form.append(box);
      return control;
    };

    const choices = table.dataset.filters.split(" ").map((name) => {
      const select = field(name, document.createElement("select"));
      const values = [...new Set(rows.map((row) => row.dataset[name]))].sort();
      select.add(new Option("all", ""));
      values.forEach((value) => select.add(new Option(value, value)));
      return [name, select];
    });
    const search = field("text", document.createElement("input"));
    search.type = "search";
    const reset = document.createElement("button");
    reset.type = "reset";
    reset.textContent = "Show all";
    form.append(reset, shown);

    const update = () => {
      const words = search.value.toLowerCase().split(/\s+/);
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !(
          choices.every(([name, select]) => ["", row.dataset[name]].includes(select.value)) &&
          words.every((word) => text.includes(word))
        );
      }
      shown.value = `${rows.filter((row) => !row.hidden).length} of ${rows.length} shown`;
    };
    form.addEventListener("input", update);
    form.addEventListener("reset", () => setTimeout(update));
    form.addEventListener("submit", (event) => event.preventDefault());
    (table.closest(".text_html") ?? table).before(form);
    update();
  });
});
