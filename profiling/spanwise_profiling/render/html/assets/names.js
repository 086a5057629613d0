// The names beside the bars: a tree of real elements, made only for the rows in view.

// Deeper names are not moved further to the right, where there would be no room for them.
const DEEPEST = 8;

class Names {
  constructor(run, rows, act) {
    Object.assign(this, { run, rows, act, first: 0 });
    this.box = element("div", {
      class: "names", role: "tree", tabindex: "0", "aria-label": `Spans of ${text(run.raw.title)}`,
    });
    this.list = element("div", { class: "list", role: "presentation" });
    this.box.append(this.list);
    this.lines = [];
    this.box.addEventListener("click", (event) => this.clicked(event));
  }

  clicked(event) {
    const line = event.target.closest("[data-span]");
    if (!line) return;
    const span = Number(line.dataset.span);
    if (event.target.closest(".turn") && this.run.hasChildren(span)) this.act.fold(span, !this.rows.folded[span]);
    else this.act.select(span);
  }

  draw(top, height, state) {
    const first = Math.floor(top / ROW);
    const last = Math.min(this.rows.list.length, Math.ceil((top + height) / ROW));
    this.turnTo(first);
    this.list.style.transform = `translateY(${-top}px)`;
    for (let row = first; row < last; row++) this.fill(this.line(row - first), row, state);
    for (let spare = Math.max(0, last - first); spare < this.lines.length; spare++) this.lines[spare].line.hidden = true;
    const seen = state.selected >= 0 && this.rows.rowOf[state.selected] >= first && this.rows.rowOf[state.selected] < last;
    if (seen) this.box.setAttribute("aria-activedescendant", this.name(state.selected));
    else this.box.removeAttribute("aria-activedescendant");
  }

  name(span) {
    return `span-${this.run.letter}-${span}`;
  }

  // Elements of rows that stay in view are kept, those that leave on one side are put to the other.
  turnTo(first) {
    const { lines, list } = this;
    const shift = first - this.first;
    this.first = first;
    if (!shift || Math.abs(shift) >= lines.length) return;
    const moved = shift > 0 ? lines.splice(0, shift) : lines.splice(shift);
    if (shift > 0) lines.push(...moved);
    else lines.unshift(...moved);
    list[shift > 0 ? "append" : "prepend"](...moved.map(({ line }) => line));
  }

  line(at) {
    while (this.lines.length <= at) {
      const turn = element("span", { class: "turn", "aria-hidden": "true" });
      const mark = element("span", { class: "mark" });
      const label = element("bdi");
      const line = element("div", { class: "name", role: "treeitem" }, turn, mark, label);
      this.lines.push({ line, turn, mark, label });
      this.list.append(line);
    }
    return this.lines[at];
  }

  // Only what differs from what the element shows is set: the page lays nothing out anew while the pointer moves.
  fill(made, row, state) {
    const span = this.rows.list[row];
    const { line } = made;
    if (made.row !== row) line.style.transform = `translateY(${(made.row = row) * ROW}px)`;
    if (line.hidden) line.hidden = false;
    line.classList.toggle("over", span === state.hovered);
    const shows = `${span} ${this.rows.folded[span]} ${span === state.selected} ${state.version}`;
    if (made.shows === shows) return;
    made.shows = shows;
    this.tell(made, span, state);
  }

  tell({ line, turn, mark, label }, span, state) {
    const { run, rows } = this;
    const error = run.error(span);
    const open = run.hasChildren(span) ? !rows.folded[span] : null;
    line.style.paddingLeft = `${6 + Math.min(run.depth[span], DEEPEST) * 13}px`;
    line.classList.toggle("on", run.onPath[span] > 0);
    line.classList.toggle("dim", rows.isDim(span, state.found));
    line.classList.toggle("hit", Boolean(state.found) && state.found[span + 1] > state.found[span]);
    line.id = this.name(span);
    line.dataset.span = span;
    line.setAttribute("aria-level", run.depth[span] + 1);
    line.setAttribute("aria-posinset", run.nth[span]);
    line.setAttribute("aria-setsize", run.siblings[span]);
    line.setAttribute("aria-selected", span === state.selected);
    if (open === null) line.removeAttribute("aria-expanded");
    else line.setAttribute("aria-expanded", open);
    turn.textContent = open === null ? "" : open ? "▾" : "▸";
    mark.textContent = error === null ? "" : run.retried.has(span) ? "↻ " : "✗ ";
    label.textContent = error === null ? run.label(span) : `${run.label(span)} ${error}`;
  }
}
