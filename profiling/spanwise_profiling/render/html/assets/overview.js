// The whole run in a strip: its critical path by bucket, the second-longest path below it, and the window on both.

const STRIP = 16;
const SECOND = 5;
const OVERVIEW = 34;

class Overview {
  constructor(run, axis, canvas, act) {
    Object.assign(this, { run, axis, canvas, act, width: 0, grip: null });
    canvas.addEventListener("pointerdown", (event) => this.grab(event));
    canvas.addEventListener("pointermove", (event) => this.drag(event));
    canvas.addEventListener("pointerup", (event) => this.release(event));
    canvas.addEventListener("pointercancel", () => (this.grip = null));
    canvas.addEventListener("pointerleave", () => act.hover(run, -1, null));
  }

  x(at) {
    return ((at - this.axis.min) / (this.axis.max - this.axis.min)) * this.width;
  }

  draw(width) {
    this.width = width;
    const pen = penOf(this.canvas, width, OVERVIEW);
    this.strip(pen, this.run.path, 5, STRIP);
    pen.globalAlpha = 0.75;
    this.strip(pen, this.run.second, 5 + STRIP + 3, SECOND);
    pen.globalAlpha = 1;
    this.window(pen);
  }

  // Pixel by pixel where segments are shorter than one: the last of them stands for all.
  strip(pen, segments, y, height) {
    let reached = -1;
    for (const { start, end, bucket } of segments) {
      const [left, right] = [this.x(start), this.x(end)];
      if (right < reached + 0.5) continue;
      pen.fillStyle = COLOURS.buckets[bucket];
      pen.fillRect(left, y, Math.max(0.5, right - left), height);
      if (BUCKETS[bucket].hatched && right - left > 3) {
        pen.fillStyle = COLOURS.hatch;
        pen.fillRect(left, y, right - left, height);
      }
      reached = right;
    }
  }

  window(pen) {
    const { axis } = this;
    if (axis.from <= axis.min && axis.to >= axis.max) return;
    const [left, right] = [this.x(axis.from), this.x(axis.to)];
    pen.globalAlpha = 0.72;
    pen.fillStyle = COLOURS.page;
    pen.fillRect(0, 0, left, OVERVIEW);
    pen.fillRect(right, 0, this.width - right, OVERVIEW);
    pen.globalAlpha = 1;
    pen.strokeStyle = COLOURS.ink;
    pen.lineWidth = 1.5;
    pen.strokeRect(left + 0.5, 1.5, Math.max(3, right - left - 1), OVERVIEW - 3);
  }

  // Dragging inside the window moves it, dragging anywhere else marks a new one, a click selects a span.
  grab(event) {
    const at = this.time(event);
    const { from, to, min, max } = this.axis;
    const inside = at > from && at < to && to - from < (max - min) * 0.98;
    this.grip = { at, from, to, inside };
    this.canvas.setPointerCapture(event.pointerId);
  }

  drag(event) {
    if (!this.grip) return this.point(event);
    const { at, from, to, inside } = this.grip;
    const now = this.time(event);
    if (inside) this.axis.set(from + now - at, to + now - at);
    else if (Math.abs(this.x(now) - this.x(at)) > 3) this.axis.set(Math.min(at, now), Math.max(at, now));
    return undefined;
  }

  release(event) {
    const moved = this.grip && Math.abs(this.x(this.time(event)) - this.x(this.grip.at)) > 3;
    const segment = this.segmentAt(event);
    if (this.grip && !moved && segment) this.act.select(this.run, segment.span);
    this.grip = null;
  }

  point(event) {
    const segment = this.segmentAt(event);
    this.act.hover(this.run, segment ? segment.span : -1, event, segment);
  }

  // The stretch of the critical path, or lower down of the second-longest, that is under the pointer.
  segmentAt(event) {
    const [path, at] = [event.offsetY < 5 + STRIP + 2 ? this.run.path : this.run.second, this.time(event)];
    const segment = path[firstEndingAfter(path, at)];
    return segment && segment.start <= at && segment.span >= 0 ? segment : null;
  }

  time(event) {
    const part = event.offsetX / Math.max(1, this.width);
    return this.axis.min + Math.min(1, Math.max(0, part)) * (this.axis.max - this.axis.min);
  }
}
