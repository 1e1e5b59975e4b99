(() => {
  "use strict";
  const section = document.querySelector("[data-vocabulary]");
  if (!section) return;
  const words = JSON.parse(section.querySelector("script").textContent);
  const body = section.querySelector("tbody");
  const rows = [...body.rows];
  const search = section.querySelector("[data-search]");
  let all = rows.length <= words.first;

  function show() {
    const wanted = search.value.trim().toLowerCase();
    const found = [...body.rows].filter((row) => {
      const text = `${row.dataset.unit} ${row.dataset.owner || ""}`.toLowerCase();
      row.hidden = !text.includes(wanted);
      return !row.hidden;
    });
    const cut = !all && !wanted && found.length > words.first;
    if (cut) found.slice(words.first).forEach((row) => { row.hidden = true; });
    section.querySelector("[data-more-line]").hidden = !cut;
    section.querySelector("[data-count]").textContent = wanted ? `${found.length} of ${rows.length}` : "";
  }

  section.querySelectorAll("[data-sort]").forEach((head) => {
    const button = document.createElement("button");
    button.dataset.by = head.dataset.sort;
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      section.querySelectorAll("[data-sort]").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = (row) => {
        if (head.dataset.sort === "name") return row.dataset.unit;
        const text = row.querySelectorAll("data")[Number(head.dataset.sort)].value;
        return text === "" ? null : Number(text);
      };
      const sorted = rows.slice().sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        if (x === null || y === null) return (x === null) - (y === null); // what no score knows comes last
        const order = typeof x === "string" ? x.localeCompare(y, undefined, { numeric: true }) : x - y;
        return up ? order : -order;
      });
      body.append(...sorted);
      show();
    });
  });
  search.addEventListener("input", show);
  section.querySelector("[data-more]").addEventListener("click", () => { all = true; show(); });
  section.querySelector(".search").hidden = false;
  show();
  if (!words.strike) return;

  const file = section.querySelector("#edits-file");
  const today = () => {
    const now = new Date();
    return [now.getFullYear(), now.getMonth() + 1, now.getDate()].map((n) => String(n).padStart(2, "0")).join("-");
  };
  // A text in double quotes is the same in JSON and in YAML.
  const text = (value) => JSON.stringify(value).replace(/[\u007f-\u009f\u2028\u2029\ufeff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
  function write() {
    const who = section.querySelector("[data-who]").value.trim();
    const why = section.querySelector("[data-why]").value.trim();
    const note = [...(why ? [["why", why]] : []), ...(who ? [["who", who]] : []), ["when", today()]];
    const edits = [];
    for (const row of rows) {
      const name = row.querySelector("[data-rename]").value.trim();
      const struck = row.querySelector("[data-strike]").checked;
      row.classList.toggle("struck", struck);
      if (struck) edits.push([["operation", words.strike], ["unit", row.dataset.unit], ...note]);
      else if (name && name !== row.dataset.unit) edits.push([["operation", "rename"], ["unit", row.dataset.unit], ["to", name], ...note]);
    }
    const lines = [`model: ${text(words.model)}`, `weights: ${text(words.weights)}`, edits.length ? "edits:" : "edits: []"];
    for (const edit of edits) edit.forEach(([key, value], n) => lines.push(`${n ? "  " : "- "}${key}: ${text(value)}`));
    file.value = `${lines.join("\n")}\n`;
    section.querySelector("[data-command]").textContent = words.command;
  }
  section.querySelectorAll("[data-strike]").forEach((field) => field.addEventListener("change", write));
  section.querySelectorAll("[data-rename], [data-who], [data-why]").forEach((field) => field.addEventListener("input", write));
  section.querySelector("[data-clear]").addEventListener("click", () => {
    for (const row of rows) {
      row.querySelector("[data-strike]").checked = false;
      row.querySelector("[data-rename]").value = "";
    }
    write();
  });
  section.querySelector("[data-download]").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([file.value], { type: "application/yaml" }));
    link.download = "edits.yaml";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
  section.querySelectorAll(".edit, .edits").forEach((part) => { part.hidden = false; });
  write();
})();
