(() => {
  "use strict";
  const holder = document.getElementById("what-if-numbers");
  if (!holder) return;
  const shared = JSON.parse(holder.textContent);
  const task = shared.task;
  const SHOWN = 8;
  const SLACK = 1e-9; // of a threshold, as in zoo.task.threshold
  const place = new Map((shared.ids || []).map((id, k) => [id, k]));

  // What follows from logits, as zoo.task computes it.
  function probabilities(logits) {
    const z = logits.map((v, c) => (v + (task.offset ? task.offset[c] : 0)) / task.temperature);
    if (task.kind === "regression") return null;
    if (task.kind === "multilabel") return z.map((v) => 1 / (1 + Math.exp(-v)));
    const top = Math.max(...z);
    const e = z.map((v) => Math.exp(v - top));
    const sum = e.reduce((a, b) => a + b, 0);
    return e.map((v) => v / sum);
  }
  const largest = (values) => values.reduce((best, v, i) => (v > values[best] ? i : best), 0);
  function answer(logits) {
    const p = probabilities(logits);
    if (!p) return { text: number(logits[0]), target: 0, p, abstains: false };
    if (task.kind === "multilabel") {
      const on = p.map((v, c) => (task.thresholds ? v >= task.thresholds[c] - SLACK : logits[c] >= 0));
      const sure = Math.min(...p.map((v, c) => (on[c] ? v : 1 - v)));
      const names = shared.classes.filter((_, c) => on[c]);
      return { text: names.join("; ") || "none of the labels", target: largest(logits), p, abstains: sure < task.abstain_below - SLACK };
    }
    const t = task.thresholds ? task.thresholds[0] : null;
    const c = t === null ? largest(logits) : Number(p[1] >= t - SLACK);
    const sure = t === null ? p[c] : 1 - 2 * (c === 1 ? p[0] * t : p[1] * (1 - t));
    return { text: `“${shared.classes[c]}”`, target: c, p, abstains: sure < task.abstain_below - SLACK };
  }

  // The numbers of tables: a cell of each term.
  const cell = (axis, value) => {
    if (value === null) return 0;
    let low = 0, high = axis.cuts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (axis.cuts[middle] <= value) low = middle + 1; else high = middle;
    }
    return axis.bins[low];
  };
  function ofTables(row) {
    const tables = shared.tables;
    const scores = tables.intercept.length;
    const spread = (s) => (tables.halved ? [-s[0] / 2, s[0] / 2] : s);
    const parts = tables.terms.map((term) => {
      let place = 0;
      for (const a of term.axes) {
        const axis = tables.axes[a];
        place = place * axis.size + cell(axis, row[axis.column]);
      }
      return { key: term.name, name: term.name, added: spread(term.table.slice(place * scores, (place + 1) * scores)) };
    });
    const base = spread(tables.intercept);
    return { parts, others: null, base, logits: tables.multiplier ? inWholePoints(total({ parts, base })) : null };
  }
  // The logits of a sum of whole points, without the rounding of its last digits.
  function inWholePoints(logits) {
    const { multiplier, near, halved } = shared.tables;
    return logits.map((v) => {
      const points = v * multiplier * (halved ? 2 : 1);
      const whole = Math.round(points);
      return Math.abs(points - whole) < near ? whole / multiplier / (halved ? 2 : 1) : v;
    });
  }
  function ofUnits(data, strength) {
    const parts = data.units.map((unit, n) => {
      const added = new Array(shared.classes.length).fill(0);
      const [name, common] = shared.units[place.get(unit)];
      const [ids, weight, offset] = common || data.effects[unit];
      ids.forEach((c, m) => { added[c] = weight[m] * strength[n] + (offset.length ? offset[m] : 0); });
      return { key: unit, name, added };
    });
    return { parts, others: data.other_count ? data.others : null, base: data.base };
  }
  function total(sum) {
    return sum.logits || sum.base.map((b, c) => b + (sum.others ? sum.others[c] : 0) + sum.parts.reduce((s, part) => s + part.added[c], 0));
  }

  const number3 = (v) => (Math.abs(v) >= 1000 ? v.toFixed(0) : v === 0 ? "0" : Math.abs(v) < 5e-4 ? "about 0" : String(Number(v.toPrecision(3)))).replace("-", "−");
  const number = (v) => {
    const digits = Math.abs(v) >= 1000 ? 0 : Math.abs(v) >= 1 || v === 0 ? 2 : Math.min(6, 2 - Math.floor(Math.log10(Math.abs(v))));
    return v.toFixed(digits).replace("-", "−");
  };
  const signed = (v, digits) => {
    const text = v.toFixed(digits);
    return Number(text) === 0 ? text.replace("-", "") : (v > 0 ? `+${text}` : text.replace("-", "−"));
  };
  const percent = (p) => (p >= 0.9995 ? "over 99.9 %" : p >= 0.0005 ? `${(100 * p).toFixed(1)} %` : "under 0.1 %");
  const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replace(/'/g, `'"'"'`)}'`);

  function line(body, name, cells, kind) {
    const row = body.insertRow();
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = name;
    row.append(head);
    if (kind) row.className = kind;
    for (const [key, value, text, side] of cells) {
      const data = document.createElement("data");
      data.value = value;
      data.dataset.of = key;
      data.textContent = text;
      if (side) data.className = side;
      row.insertCell().append(data);
    }
  }

  function element(tag, properties, ...children) {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(properties)) {
      if (key === "data") Object.assign(made.dataset, value);
      else if (key in made && key !== "list") made[key] = value;
      else made.setAttribute(key, value);
    }
    made.append(...children.filter((child) => child !== null));
    return made;
  }
  const quiet = (text) => element("span", { className: "quiet" }, text);
  const option = (value, text) => element("option", { value }, text);

  // The controls of a change: a switch, a choice, a date, or a slider beside a number; now is its value in words.
  function field(control, id, j, now) {
    const data = { control: j };
    const label = element("label", { htmlFor: id }, control.name);
    const asIs = control.units.length ? "as predicted" : "as it is";
    if (control.kind === "switch") {
      const box = element("input", { type: "checkbox", id, data, checked: true });
      return element("div", { className: "control" }, element("label", {}, box, ` ${control.name}`), quiet(now));
    }
    if (control.kind === "yes_no" || control.kind === "choice" || control.kind === "level") {
      const words = control.kind === "yes_no" ? [["1", "yes"], ["0", "no"]] : control.words.map((word, k) => [String(k), word]);
      if (control.kind === "level") words.push(["missing", "(missing)"]);
      const choices = [["", `${asIs} (${now})`], ...words].map(([value, text]) => option(value, text));
      return element("div", { className: "control" }, label, element("select", { id, data }, ...choices));
    }
    const said = quiet(`${asIs}: ${now}`);
    if (control.kind === "date") return element("div", { className: "control" }, label, element("input", { type: "date", id, data }), said);
    const range = { type: "range", min: control.low, max: control.high, step: control.step || "any", data: { slider: j } };
    const slider = element("input", { ...range, "aria-label": `${control.name}, slider` });
    const box = element("input", { type: "number", step: "any", id, data });
    return element("div", { className: "control" }, label, element("span", { className: "pair" }, slider, box), said);
  }

  function build(panel, number, controls, words) {
    const made = controls.map((control, j) => field(control, `what-if-${number}-${j}`, j, words(control, j)));
    const group = element("div", { role: "group", "aria-label": `Changes of input ${number}` }, ...made.slice(0, shared.unfolded));
    if (made.length > shared.unfolded) {
      const rest = made.slice(shared.unfolded);
      group.append(element("details", {}, element("summary", {}, `${rest.length} more`), ...rest));
    }
    group.append(element("p", {}, element("button", { type: "button", data: { reset: "" } }, "Undo all changes")));
    const table = (key) => element("table", { className: "sum", data: { [key]: "" } }, element("caption", {}), element("tbody", {}));
    const right = element("div", {}, element("p", { className: "what-if-answer", role: "status" }), element("p", { className: "quiet", data: { before: "" } }), table("outputs"));
    if (task.kind === "classification" && shared.classes.length > 1) {
      const id = `what-if-${number}-against`;
      const choices = [option("", "alone"), ...shared.classes.map((name, c) => option(String(c), `rather than “${name}”`))];
      const choice = element("select", { id, data: { against: "" } }, ...choices);
      right.append(element("p", { className: "against-choice" }, element("label", { htmlFor: id }, "The answer "), choice));
    }
    right.append(table("parts"));
    const captions = { regression: "The predicted number", multilabel: "Labels" };
    right.querySelector("[data-outputs] caption").textContent = captions[task.kind] || "Classes with the largest logits";
    panel.append(
      element("div", { className: "what-if-columns" }, group, right),
      element("p", { className: "quiet" }, "Computed here, in this page, from the numbers of the model; nothing is sent. The same on a terminal:"),
      element("p", {}, element("code", { data: { command: "" } })),
    );
  }

  function start(panel) {
    const name = panel.dataset.whatIf;
    const data = JSON.parse(panel.querySelector("script").textContent);
    const controls = data.order ? data.order.map((n) => shared.controls[n]) : shared.controls;
    if (!data.row) data.units = data.units || shared.ids;
    data.base = data.base || shared.base;
    const at = new Map((data.units || []).map((unit, n) => [unit, n]));
    const ends = (unit) => shared.units[place.get(unit)][2]; // switched off, 0, 1
    const share = (unit) => {
      const [, zero, one] = ends(unit);
      return (data.strength[at.get(unit)] - zero) / (one - zero);
    };
    const asDate = (days) => new Date(days * 86400000).toISOString().slice(0, 10);
    const own = (control) => (data.row ? data.row[shared.tables.names.indexOf(control.name)] : share(control.units[0]));
    const short = (v) => String(Number(v.toPrecision(6)));
    const words = (control) => {
      if (control.kind === "switch") return `strength ${number3(data.strength[at.get(control.units[0])])}`;
      if (control.kind === "yes_no") return `${own(control) >= 0.5 ? "yes" : "no"}, ${Math.round(100 * own(control))} %`;
      if (control.kind === "choice") {
        const shares = control.units.map(share);
        const best = largest(shares);
        return `${control.words[best]}, ${Math.round(100 * shares[best])} %`;
      }
      const value = own(control);
      if (value === null) return "(missing)";
      return control.kind === "level" ? control.words[value] : control.kind === "date" ? asDate(value) : data.row ? short(value) : number3(value);
    };
    build(panel, name, controls, words);
    const fields = controls.map((_, j) => panel.querySelector(`[data-control="${j}"]`));
    const sliders = controls.map((_, j) => panel.querySelector(`[data-slider="${j}"]`));
    const against = panel.querySelector("[data-against]");

    function reset() {
      controls.forEach((control, j) => {
        const field = fields[j];
        if (control.kind === "switch") field.checked = true;
        else if (control.kind === "date") field.value = own(control) === null ? "" : asDate(own(control));
        else if (control.kind === "number") {
          const value = own(control);
          field.value = value === null ? "" : short(value);
          if (value !== null) sliders[j].value = value;
        } else field.value = "";
        field.dataset.first = control.kind === "switch" ? "on" : field.value;
      });
    }
    const current = (control, j) => (control.kind === "switch" ? (fields[j].checked ? "on" : "off") : fields[j].value);

    // A control that is as it was counts as untouched: the value that it shows may be rounded.
    function changed() {
      const row = data.row ? data.row.slice() : null;
      const strength = data.strength ? data.strength.slice() : null;
      const words = [];
      controls.forEach((control, j) => {
        const now = current(control, j);
        const differs = now !== fields[j].dataset.first;
        fields[j].closest(".control").classList.toggle("changed", differs);
        if (!differs) return;
        if (row) {
          const at = shared.tables.names.indexOf(control.name);
          const missing = now === "" || now === "missing";
          row[at] = missing ? null : control.kind === "date" ? fields[j].valueAsNumber / 86400000 : Number(now);
          words.push([control.name, missing ? "" : control.kind === "level" ? control.words[Number(now)] : now]);
          return;
        }
        control.units.forEach((unit, n) => {
          const [off, zero, one] = ends(unit);
          const value = control.kind === "choice" ? Number(n === Number(now)) : Number(now);
          strength[at.get(unit)] = control.kind === "switch" ? off : zero + value * (one - zero);
        });
        const word = control.kind === "choice" ? control.words[Number(now)] : control.kind === "yes_no" ? now : control.kind === "switch" ? String(ends(control.units[0])[0]) : now;
        words.push([control.name, word]);
      });
      return { row, strength, words };
    }

    const unchanged = data.row ? ofTables(data.row) : ofUnits(data, data.strength);
    const first = answer(total(unchanged));
    sums.set(Number(name), unchanged);

    function command(words) {
      if (!data.command || (!words.length && !data.row)) return data.command ? `${data.command} NAME=VALUE` : "";
      if (!data.row) return `${data.command} ${words.map(([name, word]) => quoted(`${name}=${word}`)).join(" ")}`;
      const now = new Map(words);
      const cells = controls.map((control, j) => {
        if (now.has(control.name)) return `${control.name}=${now.get(control.name)}`;
        const value = own(control, j);
        const text = value === null ? "" : control.kind === "level" ? control.words[value] : control.kind === "date" ? asDate(value) : String(value);
        return `${control.name}=${text}`;
      });
      return `${data.command} ${quoted(cells.map((cell) => (cell.includes(",") ? `"${cell}"` : cell)).join(","))}`;
    }

    function update() {
      const { row, strength, words } = changed();
      const sum = row ? ofTables(row) : ofUnits(data, strength);
      const logits = total(sum);
      const now = answer(logits);
      const status = panel.querySelector(".what-if-answer");
      const sure = now.p && task.kind === "classification" ? ` ${percent(now.p[now.target])}` : "";
      status.textContent = `${now.text}${sure}${now.abstains ? " (the model abstains)" : ""}`;
      status.classList.toggle("flipped", now.text !== first.text);
      const was = first.p && task.kind === "classification" ? ` ${percent(first.p[first.target])}` : "";
      panel.querySelector("[data-before]").textContent = words.length ? `Before the changes: ${first.text}${was}` : "Nothing is changed yet.";

      const outputs = panel.querySelector("[data-outputs] tbody");
      outputs.replaceChildren();
      const order = logits.map((_, c) => c).sort((a, b) => logits[b] - logits[a]).slice(0, 5);
      for (const c of order) {
        const cells = [[`logit ${c}`, logits[c], number(logits[c])]];
        if (now.p) cells.push([`p ${c}`, now.p[c], percent(now.p[c])]);
        line(outputs, shared.classes[c] || "prediction", cells);
      }
      const target = now.target;
      const other = against && against.value !== "" && Number(against.value) !== target ? Number(against.value) : null;
      const of = (added) => added[target] - (other === null ? 0 : added[other]);
      const parts = panel.querySelector("[data-parts]");
      const what = other === null ? `the logit of “${shared.classes[target]}”` : `“${shared.classes[target]}” rather than “${shared.classes[other]}”`;
      parts.caption.textContent = `What adds up to ${task.kind === "regression" ? "the number" : what}`;
      const body = parts.querySelector("tbody");
      body.replaceChildren();
      const side = (v) => (v > 0 ? "for" : v < 0 ? "against" : "");
      // What prints as 0 is not listed; the line of the others holds it.
      const ranked = sum.parts.slice().sort((a, b) => Math.abs(of(b.added)) - Math.abs(of(a.added)));
      const top = ranked.length ? Math.abs(of(ranked[0].added)) : 0;
      const digits = top === 0 ? 2 : Math.min(6, Math.max(2, 2 - Math.floor(Math.log10(top))));
      const listed = ranked.slice(0, SHOWN).filter((part) => Number(of(part.added).toFixed(digits)) !== 0);
      const add = (name, key, v) => line(body, name, [[key, v, signed(v, digits), side(Number(v.toFixed(digits)))]]);
      for (const part of listed) add(part.name, "part", of(part.added));
      const count = ranked.length + (sum.others ? data.other_count : 0) - listed.length;
      const rest = ranked.slice(listed.length).reduce((s, part) => s + of(part.added), 0) + (sum.others ? of(sum.others) : 0);
      if (count) add(`${count} other${count > 1 ? "s" : ""}`, "others", rest);
      add(shared.start, "base", of(sum.base));
      const result = task.kind === "regression" ? "= prediction" : other === null ? "= logit" : "= difference of the logits";
      line(body, result, [["total", of(logits), number(of(logits))]], "total");
      panel.querySelector("[data-command]").textContent = command(words);
    }

    fields.forEach((field, j) => {
      field.addEventListener("input", () => {
        if (sliders[j] && field.value !== "") sliders[j].value = field.value;
        update();
      });
      if (sliders[j]) sliders[j].addEventListener("input", () => {
        fields[j].value = short(Number(sliders[j].value));
        update();
      });
    });
    if (against) against.addEventListener("input", update);
    panel.querySelector("[data-reset]").addEventListener("click", () => { reset(); update(); });
    reset();
    update();
    panel.hidden = false;
  }
  const sums = new Map(); // of each input as it is
  document.querySelectorAll("[data-what-if]").forEach(start);
  window.whatIf = { shared, task, sums, total, answer, line, number, signed }; // read by other scripts of the page
})();
