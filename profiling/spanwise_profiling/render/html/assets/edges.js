// Who released whom: an arrow from the end of one span to the wait that it ended, for the span that is looked at.

function drawEdges(pen, bars, top, span) {
  const { run, rows } = bars;
  pen.strokeStyle = pen.fillStyle = COLOURS.accent;
  pen.lineWidth = 1.5;
  for (const { waiter, releaser } of run.edgesOf(span)) {
    const [from, to] = [rows.nearest(releaser), rows.nearest(waiter)];
    if (from < 0 || to < 0) continue;
    const at = run.releasedAt(waiter);
    const begin = { x: bars.x(Math.min(run.end[releaser], at)), y: (from + 0.5) * ROW - top };
    const end = { x: bars.x(at), y: (to + 0.5) * ROW - top };
    drawArrow(pen, begin, end);
  }
}

function drawArrow(pen, begin, end) {
  const bend = Math.max(14, Math.min(60, Math.abs(end.y - begin.y) / 3));
  const down = end.y >= begin.y ? 1 : -1;
  pen.beginPath();
  pen.moveTo(begin.x, begin.y);
  pen.bezierCurveTo(begin.x + bend, begin.y, end.x + bend, end.y, end.x + 5, end.y);
  pen.stroke();
  pen.beginPath();
  pen.moveTo(end.x, end.y);
  pen.lineTo(end.x + 7, end.y - 4);
  pen.lineTo(end.x + 7, end.y + 4);
  pen.fill();
  pen.beginPath();
  pen.arc(begin.x, begin.y, 3 * Math.abs(down), 0, 2 * Math.PI);
  pen.fill();
}
