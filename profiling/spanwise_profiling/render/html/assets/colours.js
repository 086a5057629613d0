// Colours as the page has them now, for the canvases: read anew when the theme changes.

const COLOURS = { buckets: [], hatch: null };

function readColours() {
  const probe = element("i", { hidden: true });
  document.body.append(probe);
  const read = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  COLOURS.buckets = BUCKETS.map(({ bucket }) => read(`b-${bucket}`));
  for (const name of ["page", "ink", "quiet", "line", "faint", "span", "bad", "accent", "picked", "shade"]) {
    COLOURS[name] = read(name);
  }
  probe.remove();
  COLOURS.hatch = hatch(COLOURS.page);
}

function hatch(colour) {
  const tile = element("canvas", { width: 6, height: 6 });
  const pen = tile.getContext("2d");
  pen.strokeStyle = colour;
  pen.lineWidth = 1.5;
  for (const shift of [-6, 0, 6]) {
    pen.beginPath();
    pen.moveTo(shift - 1, 7);
    pen.lineTo(shift + 7, -1);
    pen.stroke();
  }
  return pen.createPattern(tile, "repeat");
}

// Sizes a canvas for its place and the screen's resolution, and returns a pen whose unit is a CSS pixel.
function penOf(canvas, width, height) {
  const dense = document.documentElement.classList.contains("printing") ? 3 : window.devicePixelRatio || 1;
  const [across, down] = [Math.round(width * dense), Math.round(height * dense)];
  if (canvas.width !== across || canvas.height !== down) {
    canvas.width = across;
    canvas.height = down;
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(dense, 0, 0, dense, 0, 0);
  pen.clearRect(0, 0, width, height);
  return pen;
}
