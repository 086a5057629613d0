// The bars of the rows in view. What is on the critical path is drawn in full, with a line below it; the rest is paler.

const ROW = 22;
const BAR = 12;
const THIN = 4;
const WAIT = 6;
const PALE = 0.42;

class Bars {
  constructor(run, rows, axis) {
    Object.assign(this, { run, rows, axis, width: 0 });
  }

  x(at) {
    const x = ((at - this.axis.from) / (this.axis.to - this.axis.from)) * this.width;
    return Math.max(-4, Math.min(this.width + 4, x));
  }

  draw(canvas, width, height, top, state) {
    const pen = penOf(canvas, width, height);
    this.width = width;
    this.drawGrid(pen, height);
    const { list } = this.rows;
    const first = Math.max(0, Math.floor(top / ROW));
    const last = Math.min(list.length, Math.ceil((top + height) / ROW));
    pen.font = "11px system-ui, sans-serif";
    pen.textBaseline = "middle";
    for (let row = first; row < last; row++) this.drawRow(pen, list[row], row * ROW - top, state);
  }

  drawGrid(pen, height) {
    pen.fillStyle = COLOURS.faint;
    for (const mark of this.axis.ticks(this.width).marks) pen.fillRect(Math.round(this.x(mark)), 0, 1, height);
    pen.fillStyle = COLOURS.line;
    pen.fillRect(Math.round(this.x(this.run.duration)), 0, 1, height);
  }

  drawRow(pen, span, y, state) {
    if (span === state.selected) this.band(pen, y, COLOURS.picked);
    else if (span === state.hovered) this.band(pen, y, COLOURS.shade);
    pen.globalAlpha = this.rows.isDim(span, state.found) ? 0.25 : 1;
    if (this.run.bucket[span] < 0 && this.rows.isFolded(span)) this.drawFolded(pen, span, y);
    else this.drawOne(pen, span, y);
    this.drawPath(pen, span, y);
    this.drawLength(pen, span, y);
    pen.globalAlpha = 1;
  }

  band(pen, y, colour) {
    pen.fillStyle = colour;
    pen.fillRect(0, y, this.width, ROW);
  }

  drawOne(pen, span, y) {
    const { run } = this;
    const [bucket, first] = [run.bucket[span], run.firstChunk(span)];
    if (bucket < 0) {
      this.fill(pen, run.start[span], run.end[span], y + (ROW - THIN) / 2, THIN, COLOURS.span, false);
    } else if (run.isWait[span]) {
      this.block(pen, run.start[span], run.end[span], y, bucket, 0.6, WAIT);
    } else if (first === null) {
      this.block(pen, run.start[span], run.end[span], y, bucket, PALE);
    } else {
      this.block(pen, run.start[span], run.start[span] + first, y, PREFILL, PALE);
      this.block(pen, run.start[span] + first, run.end[span], y, bucket, PALE);
    }
    if (run.error(span) !== null) this.outline(pen, span, y);
  }

  // A folded span shows what lies below it, a pixel at a time: thousands of spans become few rectangles.
  drawFolded(pen, span, y) {
    const { run, axis } = this;
    this.fill(pen, run.start[span], run.end[span], y + (ROW - THIN) / 2, THIN, COLOURS.span, false);
    const pixels = this.noPixels();
    for (let below = span + 1; below < run.last[span]; below++) {
      const bucket = run.bucket[below];
      if (bucket < 0 || run.isWait[below] || run.end[below] < axis.from || run.start[below] > axis.to) continue;
      this.mark(pixels, run.start[below], run.end[below], bucket);
    }
    this.paint(pen, pixels, y, PALE);
    if (run.error(span) !== null) this.outline(pen, span, y);
  }

  drawPath(pen, span, y) {
    const { run, axis } = this;
    const folded = this.rows.isFolded(span);
    const segments = folded ? run.path : (run.segmentsOf.get(span) ?? []);
    const last = folded ? run.last[span] : span + 1;
    const pixels = folded ? this.noPixels() : null;
    for (let at = firstEndingAfter(segments, axis.from); at < segments.length && segments[at].start <= axis.to; at++) {
      const segment = segments[at];
      if (segment.span < span || segment.span >= last) continue;
      if (folded) this.mark(pixels, segment.start, segment.end, segment.bucket);
      else this.drawSegment(pen, segment, y);
    }
    if (folded) this.paint(pen, pixels, y, 1);
  }

  noPixels() {
    return new Int8Array(Math.ceil(this.width)).fill(-1);
  }

  mark(pixels, start, end, bucket) {
    const left = Math.max(0, Math.floor(this.x(start)));
    pixels.fill(bucket, left, Math.max(left + 1, Math.round(this.x(end))));
  }

  // Draws pixels that `mark` gave a bucket, those side by side at once; what is on the path (not pale) gets its line.
  paint(pen, pixels, y, alpha) {
    const before = pen.globalAlpha;
    for (let left = 0, right = 1; left < pixels.length; left = right++) {
      while (right < pixels.length && pixels[right] === pixels[left]) right++;
      if (pixels[left] < 0) continue;
      this.rectangle(pen, left, right - left, y + 4, BAR, COLOURS.page, false);
      pen.globalAlpha = before * alpha;
      this.rectangle(pen, left, right - left, y + 4, BAR, COLOURS.buckets[pixels[left]], BUCKETS[pixels[left]].hatched);
      pen.globalAlpha = before;
      if (alpha === 1) this.rectangle(pen, left, right - left, y + ROW - 4, 2, COLOURS.ink, false);
    }
  }

  drawSegment(pen, segment, y) {
    this.block(pen, segment.start, segment.end, y, segment.bucket, 1);
    this.fill(pen, segment.start, segment.end, y + ROW - 4, 2, COLOURS.ink, false);
  }

  block(pen, start, end, y, bucket, alpha, height = BAR) {
    const before = pen.globalAlpha;
    pen.globalAlpha = before * alpha;
    this.fill(pen, start, end, y + 4 + (BAR - height) / 2, height, COLOURS.buckets[bucket], BUCKETS[bucket].hatched);
    pen.globalAlpha = before;
  }

  fill(pen, start, end, y, height, colour, hatched) {
    if (end < this.axis.from || start > this.axis.to) return;
    const left = this.x(start);
    this.rectangle(pen, left, Math.max(1, this.x(end) - left), y, height, colour, hatched);
  }

  rectangle(pen, left, width, y, height, colour, hatched) {
    pen.fillStyle = colour;
    pen.fillRect(left, y, width, height);
    if (hatched && width > 3) {
      pen.fillStyle = COLOURS.hatch;
      pen.fillRect(left, y, width, height);
    }
  }

  outline(pen, span, y) {
    const left = this.x(this.run.start[span]);
    const width = Math.max(2, this.x(this.run.end[span]) - left);
    pen.strokeStyle = COLOURS.bad;
    pen.lineWidth = 1.5;
    pen.strokeRect(left + 0.5, y + 3.5, width, BAR + 1);
  }

  drawLength(pen, span, y) {
    const { run } = this;
    const [left, right] = [this.x(run.start[span]), this.x(run.end[span])];
    if (right < 0 || left > this.width) return;
    const label = seconds(run.length(span));
    const room = pen.measureText(label).width + 8;
    pen.fillStyle = run.onPath[span] ? COLOURS.ink : COLOURS.quiet;
    if (right + room < this.width) pen.fillText(label, right + 5, y + ROW / 2);
    else if (left - room > 0) pen.fillText(label, left - room + 3, y + ROW / 2);
  }
}

function firstEndingAfter(path, time) {
  let [low, high] = [0, path.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (path[middle].end < time) low = middle + 1;
    else high = middle;
  }
  return low;
}

const PREFILL = BUCKETS.findIndex(({ bucket }) => bucket === "model_prefill");
