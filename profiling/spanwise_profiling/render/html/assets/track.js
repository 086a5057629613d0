// One run's part of the timeline: overview, axis, and names beside bars that scroll together.

class Track {
  constructor(box, run, axis, act) {
    Object.assign(this, { box, run, axis, act, dirty: true });
    this.rows = new Rows(run);
    this.bars = new Bars(run, this.rows, axis);
    this.names = new Names(run, this.rows, {
      fold: (span, folded) => this.rows.fold(span, folded),
      select: (span) => act.select(run, span),
    });
    this.build();
    this.rows.changed = () => this.resize();
    this.overview = new Overview(run, axis, this.strip, act);
    this.listen();
    this.resize();
  }

  build() {
    this.strip = element("canvas", { class: "strip", "aria-hidden": "true" });
    this.ruler = element("canvas", { class: "ruler", "aria-hidden": "true" });
    this.canvas = element("canvas", { class: "bars", "aria-hidden": "true" });
    const second = this.run.second.length ? element("small", {}, "second-longest below") : "";
    const title = RUNS.length > 1 ? [element("b", { class: `run-${this.run.letter}` }, this.run.letter), " "] : [];
    const head = element("div", { class: "head" }, ...title, "Critical path ", second);
    this.layer = element("div", { class: "layer" }, this.names.box, this.canvas);
    this.spacer = element("div", { class: "spacer" });
    this.scroller = element("div", { class: "scroller" }, this.layer, this.spacer);
    this.top = element("div", { class: "above" }, head, this.strip, element("div", { class: "head" }), this.ruler);
    this.box.append(this.top, this.scroller);
  }

  listen() {
    this.scroller.addEventListener("scroll", () => this.act.draw(this), { passive: true });
    this.scroller.addEventListener("wheel", (event) => this.wheeled(event), { passive: false });
    this.canvas.addEventListener("pointerdown", (event) => this.grab(event));
    this.canvas.addEventListener("pointermove", (event) => this.moved(event));
    this.canvas.addEventListener("pointerup", (event) => this.released(event));
    this.canvas.addEventListener("pointercancel", () => this.letGo());
    this.canvas.addEventListener("pointerleave", () => this.act.hover(this.run, -1, null));
    this.canvas.addEventListener("dblclick", (event) => {
      const span = this.spanAt(event);
      if (span >= 0) this.axis.show(this.run.start[span], this.run.end[span]);
    });
    this.names.box.addEventListener("pointermove", (event) => this.act.hover(this.run, this.spanAt(event), event));
    this.names.box.addEventListener("pointerleave", () => this.act.hover(this.run, -1, null));
    this.grips = new Map();
  }

  // Takes in how large everything is; drawing itself never asks the page for sizes.
  resize() {
    const full = this.rows.list.length * ROW;
    const height = Math.max(ROW, Math.min(full, this.act.roomFor(this)));
    this.height = height;
    this.scroller.style.height = `${height}px`;
    this.layer.style.height = `${height}px`;
    this.spacer.style.height = `${Math.max(0, full - height)}px`;
    this.width = this.canvas.clientWidth;
    this.left = this.canvas.offsetLeft;
    this.ruler.style.height = "20px";
    this.act.draw(this);
  }

  draw(state) {
    const top = this.scroller.scrollTop;
    this.overview.draw(this.width);
    drawAxis(this.ruler, this.axis, this.width, 20);
    this.bars.draw(this.canvas, this.width, this.height, top, state);
    const looked = state.hovered >= 0 ? state.hovered : state.selected;
    if (looked >= 0) drawEdges(this.canvas.getContext("2d"), this.bars, top, looked);
    const mark = `${top} ${this.height} ${state.selected} ${state.hovered} ${state.version}`;
    if (mark !== this.drawn || this.rows.list !== this.drawnRows) this.names.draw(top, this.height, state);
    [this.drawn, this.drawnRows] = [mark, this.rows.list];
  }

  spanAt(event) {
    const y = event.clientY - this.scroller.getBoundingClientRect().top + this.scroller.scrollTop;
    const row = Math.floor(y / ROW);
    return row >= 0 && row < this.rows.list.length ? this.rows.list[row] : -1;
  }

  scrollTo(span) {
    const y = this.rows.rowOf[span] * ROW;
    const { scrollTop } = this.scroller;
    if (y < scrollTop + ROW || y > scrollTop + this.height - 2 * ROW) this.scroller.scrollTop = y - this.height / 3;
  }

  wheeled(event) {
    const across = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
    if (event.ctrlKey || event.metaKey) {
      this.axis.zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * 0.006), event.offsetX / this.width);
    } else if (event.shiftKey || Math.abs(across) > Math.abs(event.deltaY)) {
      this.axis.pan(across / this.width);
    } else {
      return;
    }
    event.preventDefault();
  }

  grab(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.grips.set(event.pointerId, { x: event.clientX, y: event.clientY });
    this.dragged = false;
  }

  moved(event) {
    const grip = this.grips.get(event.pointerId);
    if (!grip) return this.act.hover(this.run, this.spanAt(event), event);
    const [x, y] = [event.clientX - grip.x, event.clientY - grip.y];
    if (!this.dragged && Math.hypot(x, y) < 4) return undefined;
    this.dragged = true;
    if (this.grips.size > 1) this.pinch(event);
    else this.axis.pan(-x / this.width);
    if (event.pointerType === "mouse") this.scroller.scrollTop -= y;
    this.grips.set(event.pointerId, { x: event.clientX, y: event.clientY });
    return undefined;
  }

  pinch(event) {
    const [other] = [...this.grips].filter(([id]) => id !== event.pointerId).map(([, grip]) => grip);
    const before = Math.abs(this.grips.get(event.pointerId).x - other.x);
    const now = Math.abs(event.clientX - other.x);
    if (before > 10 && now > 10) this.axis.zoom(before / now, event.offsetX / this.width);
  }

  released(event) {
    if (!this.dragged && this.spanAt(event) >= 0) this.act.select(this.run, this.spanAt(event));
    this.grips.delete(event.pointerId);
  }

  letGo() {
    this.grips.clear();
  }
}
