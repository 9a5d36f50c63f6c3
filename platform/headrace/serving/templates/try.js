"use strict";
const one = (selector) => document.querySelector(selector);
const form = one("#ask"), fields = [...form.querySelectorAll("[data-kind]")], key = one("#key");

function made(tag, text, kind) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (kind) element.className = kind;
  return element;
}

// The JSON of a field's value, as text: whole numbers of any length stay as they were typed. Nothing where it is left out.
function written(field) {
  const { kind } = field.dataset;
  if (kind === "tick") return String(field.checked);
  const text = field.value;
  if (field.validity.badInput) return undefined;
  if (text === "") return kind === "text" && field.required ? '""' : undefined;
  if (kind === "json") return text;
  if (kind === "number") return /^-?(0|[1-9]\d*)$/.test(text) ? text : String(Number(text));
  if (kind === "instant") return JSON.stringify(`${text}Z`);
  return JSON.stringify(text);
}

function body() {
  const parts = fields.map((field) => [field.name, written(field)]).filter(([, value]) => value !== undefined);
  return `{${parts.map(([name, value]) => `${JSON.stringify(name)}: ${value}`).join(", ")}}`;
}

function showCommand() {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const secret = key.value ? ' -H "authorization: Bearer $HEADRACE_KEY"' : "";
  one("#command").textContent =
    `curl -s ${location.origin}/v1/predict -H 'content-type: application/json'${secret} -d ${quoted(body())}`;
}

function clear() {
  for (const field of fields) {
    field.removeAttribute("aria-invalid");
    one(`#${field.id}-wrong`).textContent = "";
  }
  for (const id of ["#problem", "#answer", "#hint"]) one(id).hidden = true;
}

function mark(field, text) {
  field.setAttribute("aria-invalid", "true");
  one(`#${field.id}-wrong`).textContent = text;
}

function showProblem(problem) {
  const elsewhere = [];
  for (const wrong of problem.errors ?? []) {
    const field = fields.find((known) => known.name === wrong.column);
    const text = `Expected ${wrong.expected}, got ${wrong.got}.`;
    if (field) mark(field, text); else elsewhere.push(`${wrong.column ?? "The row"}: ${text}`);
  }
  one("#problem-title").textContent = problem.title ?? "The server did not answer";
  one("#problem-detail").textContent = problem.detail ?? "";
  one("#problem-more").replaceChildren(...(elsewhere.length > 1 ? elsewhere.map((text) => made("li", text)) : []));
  one("#problem").hidden = false;
  fields.find((field) => field.getAttribute("aria-invalid"))?.focus();
}

async function ask(path, text) {
  const headers = { "content-type": "application/json" };
  if (key.value) headers.authorization = `Bearer ${key.value}`;
  const began = performance.now();
  const reply = await fetch(path, { method: "POST", headers, body: text, cache: "no-store" });
  const told = await reply.json();
  return { fine: reply.ok, told, milliseconds: performance.now() - began };
}

function figure(value) {
  return Number.isInteger(value) ? String(value) : Number(value.toPrecision(4)).toString();
}

function showAnswer({ told, milliseconds }) {
  one("#score").textContent = told.prediction === null ? "none" : figure(told.prediction);
  const decided = one("#decision");
  decided.hidden = told.decision === undefined;
  decided.textContent = `Decision: ${told.decision ? "yes" : "no"}, at a threshold of ${decided.dataset.threshold}`;
  const facts = {
    Release: told.release, Model: told.model, "Features of version": told.features,
    "Round trip": `${milliseconds.toFixed(1)} ms`, Request: told.request,
  };
  if (told.degraded) facts.Degraded = "The online store is away: features stand in as declared.";
  one("#facts").replaceChildren(...Object.entries(facts).flatMap(([name, value]) => [made("dt", name), made("dd", value)]));
  one("#answer").hidden = false;
}

function signed(value) {
  return `${value > 0 ? "+" : value < 0 ? "\u2212" : ""}${figure(Math.abs(value))}`;
}

function bar(reason, most) {
  const item = made("li"), track = made("div", undefined, "track"), share = made("i", undefined, reason.contribution < 0 ? "down" : "up");
  const width = most ? (50 * Math.abs(reason.contribution)) / most : 0;
  share.style.width = `${width}%`;
  share.style.left = `${reason.contribution < 0 ? 50 - width : 50}%`;
  track.setAttribute("aria-hidden", "true");
  track.append(share);
  const value = reason.value === null ? "missing" : typeof reason.value === "string" ? reason.value : JSON.stringify(reason.value);
  const name = made("span", reason.input);
  name.append(made("span", ` = ${value}`, "soft"));
  item.append(name, made("span", signed(reason.contribution), "n"), track);
  return item;
}

function showReasons({ fine, told }) {
  one("#legend").hidden = !fine;
  one("#unexplained").textContent = fine ? "" : told.detail;
  const [explained] = fine ? told.explanations : [{ reasons: [] }];
  const most = Math.max(...explained.reasons.map((reason) => Math.abs(reason.contribution)), 0);
  one("#reasons").replaceChildren(...explained.reasons.map((reason) => bar(reason, most)));
  if (fine) one("#base").textContent = figure(explained.base);
}

async function submit(event) {
  event.preventDefault();
  clear();
  const misread = fields.filter((field) => field.validity.badInput);
  for (const field of misread) mark(field, "This is not complete.");
  if (misread.length) { misread[0].focus(); return; }
  const button = one("#send"), text = body();
  button.disabled = true;
  try {
    const answer = await ask("/v1/predict", text);
    if (!answer.fine) { showProblem(answer.told); return; }
    showAnswer(answer);
    showReasons(await ask("/v1/explain", text));
    one("#answer").scrollIntoView({ block: "nearest" });
  } catch (error) {
    showProblem({ title: "The server cannot be reached", detail: String(error) });
  } finally {
    button.disabled = false;
    document.body.dataset.asked = String(Number(document.body.dataset.asked ?? 0) + 1);
  }
}

async function copy() {
  const button = one("#copy"), command = one("#command");
  try {
    await navigator.clipboard.writeText(command.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(command);
    button.textContent = "Selected: copy it";
  }
}

form.addEventListener("submit", submit);
for (const kind of ["input", "change"]) form.addEventListener(kind, () => { showCommand(); one("#copy").textContent = "Copy"; });
one("#copy").addEventListener("click", copy);
showCommand();
