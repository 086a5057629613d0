// Numbers and elements. Recorded text reaches the page as text nodes only: nothing here or elsewhere makes markup of it.

function seconds(value) {
  if (value === 0) return "0 s";
  if (value >= 9999.95) return `${Math.round(value).toLocaleString("en-US")} s`;
  if (value < 0.0009995) return `${(value * 1e6).toFixed(value < 1e-5 ? 2 : 0)} µs`;
  if (value < 0.9995) return `${value.toFixed(3)} s`;
  return `${value.toFixed(value >= 99.995 ? 1 : 2)} s`;
}

function whole(value) {
  return value.toLocaleString("en-US");
}

const UNKNOWN_COST = -1;

function money(value) {
  if (value === UNKNOWN_COST) return "unknown";
  return value >= 1 ? value.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 }) : value.toFixed(4);
}

function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "class") made.className = value;
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function isolated(words) {
  return element("bdi", {}, words);
}
