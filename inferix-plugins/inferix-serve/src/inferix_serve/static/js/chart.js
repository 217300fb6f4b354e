// Two charts on canvas: the time of each block against its deadline, and how old inputs are when they are seen.

const NUM_BLOCKS = 48;
const NUM_AGES = 48;

function prepared(canvas) {
  const scale = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export function drawBlocks(canvas, blocks) {
  const { context, width, height } = prepared(canvas);
  const shown = blocks.slice(-NUM_BLOCKS);
  if (!shown.length || !width) return;
  const budget = shown.at(-1).budget;
  const top = Math.max(budget * 1.35, ...shown.map((one) => one.ms));
  const slot = width / NUM_BLOCKS;
  const y = (ms) => height - (ms / top) * (height - 14);
  const good = color("--good");
  const bad = color("--bad");
  shown.forEach((one, index) => {
    context.fillStyle = one.missed ? bad : good;
    const bar = height - y(one.ms);
    context.beginPath();
    context.roundRect(index * slot + slot * 0.16, height - bar, slot * 0.68, bar, [2.5, 2.5, 0, 0]);
    context.fill();
  });
  const line = y(budget);
  context.strokeStyle = context.fillStyle = color("--mark");
  context.setLineDash([4, 4]);
  context.lineWidth = 1.5;
  context.beginPath();
  context.moveTo(0, line);
  context.lineTo(width, line);
  context.stroke();
  context.setLineDash([]);
  context.font = "11px system-ui, sans-serif";
  context.textAlign = "right";
  context.fillText(`${Math.round(budget)} ms`, width, line - 5);
  const late = shown.filter((one) => one.missed).length;
  canvas.setAttribute("aria-label", `The last block took ${Math.round(shown.at(-1).ms)} ms of ${Math.round(budget)}; ${late} of ${shown.length} were late`);
}

export function drawAges(canvas, ages) {
  const { context, width, height } = prepared(canvas);
  const shown = ages.slice(-NUM_AGES);
  context.font = "11px system-ui, sans-serif";
  context.fillStyle = color("--ink-faint");
  if (!shown.length) {
    context.fillText("Press a key or change the prompt.", 0, height / 2 + 4);
    return;
  }
  const top = Math.max(1000, ...shown) * 1.12;
  const x = (index) => 4 + (index * (width - 8)) / Math.max(NUM_AGES - 1, 1);
  const y = (age) => height - 4 - (age / top) * (height - 10);
  context.strokeStyle = color("--warm");
  context.lineWidth = 2;
  context.lineJoin = "round";
  context.beginPath();
  shown.forEach((age, index) => (index ? context.lineTo(x(index), y(age)) : context.moveTo(x(index), y(age))));
  context.stroke();
  context.fillStyle = color("--warm");
  for (const [index, age] of shown.entries()) {
    context.beginPath();
    context.arc(x(index), y(age), 2.6, 0, 7);
    context.fill();
  }
  canvas.setAttribute("aria-label", `The last input was on the screen after ${Math.round(shown.at(-1))} ms`);
}
