// The calls of all runs as a table: model, tool, retrieval and cache calls, a page at a time.

const CALLS = ["chat", "embeddings", "tool", "retrieval", "cache"];
const PAGE = 100;

function callsOf(run) {
  const kinds = new Map(CALLS.map((kind) => [kind, true]));
  const calls = [];
  for (let span = 0; span < run.count; span++) if (kinds.has(run.kind(span))) calls.push(call(run, span));
  return calls;
}

function call(run, span) {
  const [input, output, cached] = run.raw.tokens[span] ?? [null, null, null];
  const [length, first] = [run.length(span), run.firstChunk(span)];
  const cost = run.cost(span);
  const rate = output !== null && length > 0 ? output / length : null;
  return {
    run, span, start: run.start[span], label: run.label(span), agent: run.agent(span), length, first, input, cached,
    output, rate, cost, path: run.onPath[span], error: run.error(span) ?? "",
  };
}

const COLUMNS = [
  ["start", "start", seconds], ["call", "label", null], ["agent", "agent", null], ["takes", "length", seconds],
  ["on the path", "path", seconds], ["first chunk", "first", seconds], ["tokens in", "input", whole],
  ["cached", "cached", whole], ["out", "output", whole], ["tokens/s", "rate", (value) => value.toFixed(1)],
  ["cost", "cost", money], ["error", "error", null],
];

class Calls {
  constructor(table, more, kind, count) {
    Object.assign(this, { table, more, kind, count, shown: PAGE, by: "start", down: false });
    this.all = RUNS.flatMap(callsOf);
    this.columns = COLUMNS.filter(([, key]) => this.all.some((one) => one[key] !== null && one[key] !== ""));
    this.headings();
    more.addEventListener("click", () => this.showMore());
    kind.addEventListener("change", () => this.draw());
    this.draw();
  }

  headings() {
    const row = this.table.tHead.rows[0];
    for (const [title, key, format] of this.columns) {
      const button = element("button", { type: "button" }, title);
      button.addEventListener("click", () => this.sort(key));
      row.append(element("th", { scope: "col", class: format ? "n" : "", "data-key": key }, button));
    }
  }

  sort(key) {
    this.down = this.by === key ? !this.down : key !== "start" && key !== "label" && key !== "agent";
    this.by = key;
    this.draw();
  }

  showMore() {
    this.shown += PAGE;
    this.draw();
  }

  draw() {
    const { by, down } = this;
    const sign = down ? -1 : 1;
    const order = (a, b) => (a === b ? 0 : a === null ? 1 : b === null ? -1 : sign * (a < b ? -1 : 1));
    const calls = this.all.filter(({ run, span }) => !this.kind.value || run.kind(span) === this.kind.value);
    calls.sort((a, b) => order(a[by], b[by]) || a.run.number - b.run.number || a.span - b.span);
    this.table.tBodies[0].replaceChildren(...calls.slice(0, this.shown).map((one) => this.row(one)));
    for (const head of this.table.tHead.querySelectorAll("[data-key]")) {
      if (head.dataset.key === by) head.setAttribute("aria-sort", down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    this.more.hidden = calls.length <= this.shown;
    const shown = Math.min(this.shown, calls.length);
    this.count.textContent = calls.length ? `${whole(shown)} of ${whole(calls.length)} calls` : "No calls.";
  }

  row(one) {
    const row = element("tr");
    if (RUNS.length > 1) row.append(element("td", {}, element("b", { class: `run-${one.run.letter}` }, one.run.letter)));
    for (const [, key, format] of this.columns) row.append(this.cell(one, key, format));
    return row;
  }

  cell(one, key, format) {
    if (key === "label") return element("th", { scope: "row" }, spanLink(one.run, one.span));
    if (key === "path" && !one.path) return element("td", { class: "n quiet" }, "–");
    if (format) return element("td", { class: "n" }, one[key] === null ? "" : format(one[key]));
    return element("td", { class: key === "error" && one.error ? "bad" : "" }, isolated(one[key]));
  }
}
