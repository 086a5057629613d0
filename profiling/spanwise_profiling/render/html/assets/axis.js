// The stretch of time that is shown, in scaled seconds since each run's start; all runs share it.

class Axis {
  constructor(runs) {
    const ends = runs.map((run) => run.end.reduce((most, at) => Math.max(most, at), run.duration));
    this.min = Math.min(0, ...runs.map((run) => run.start.reduce((least, at) => Math.min(least, at), 0)));
    this.max = Math.max(...ends, this.min + 1e-9);
    this.changed = () => {};
    this.from = this.min;
    this.to = this.max;
  }

  set(from, to) {
    const length = Math.min(Math.max(to - from, (this.max - this.min) * 1e-7, 1e-9), this.max - this.min);
    this.from = Math.min(Math.max(from, this.min), this.max - length);
    this.to = this.from + length;
    this.changed();
  }

  fit() {
    this.set(this.min, this.max);
  }

  pan(part) {
    const shift = (this.to - this.from) * part;
    this.set(this.from + shift, this.to + shift);
  }

  // `at` is a part of the width, 0 to 1, that stays where it is.
  zoom(factor, at = 0.5) {
    const middle = this.from + (this.to - this.from) * at;
    const length = Math.min((this.to - this.from) * factor, this.max - this.min);
    this.set(middle - length * at, middle + length * (1 - at));
  }

  show(start, end) {
    const room = Math.max((end - start) * 0.15, (this.max - this.min) * 1e-6);
    this.set(start - room, end + room);
  }

  // Moves as little as needed to have the stretch in view.
  reveal(start, end) {
    const length = this.to - this.from;
    if (start < this.to && end > this.from) return;
    this.set(start - length / 2, start + length / 2);
  }

  ticks(width) {
    const rough = ((this.to - this.from) / Math.max(width, 1)) * 96;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((n) => n * power).find((size) => size >= rough);
    const marks = [];
    for (let n = Math.ceil(this.from / step); n * step <= this.to; n++) marks.push(n * step);
    return { step, marks };
  }
}

function tickLabel(value, step) {
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  if (digits > 3) return `${((value * 1e3)).toFixed(Math.max(0, digits - 3))} ms`;
  return digits ? `${value.toFixed(digits)} s` : `${whole(value)} s`;
}

function drawAxis(canvas, axis, width, height) {
  const pen = penOf(canvas, width, height);
  const { step, marks } = axis.ticks(width);
  pen.font = "11px system-ui, sans-serif";
  pen.textBaseline = "middle";
  pen.fillStyle = COLOURS.quiet;
  for (const mark of marks) {
    const x = ((mark - axis.from) / (axis.to - axis.from)) * width;
    const label = tickLabel(mark, step);
    if (x + pen.measureText(label).width + 4 < width) pen.fillText(label, x + 4, height / 2);
    pen.fillRect(Math.round(x), height - 5, 1, 5);
  }
}
