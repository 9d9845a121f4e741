"use strict";

const LATE_S = 5;

function put(id, text) {
  document.getElementById(id).textContent = text;
}

function row(name, count) {
  const item = document.createElement("li");
  const label = document.createElement("span");
  const number = document.createElement("strong");
  label.textContent = name;
  number.textContent = count;
  item.append(label, number);
  return item;
}

function tell(text, isLate) {
  put("alive", text);
  document.getElementById("alive").classList.toggle("late", isLate);
}

function show(status) {
  put("trap", status.trap);
  put("model", status.model);
  put("threshold", status.threshold.toFixed(2));
  put("backend", status.backend);
  put("frames", status.frames);
  put("rate", status.per_second === null ? "–" : status.per_second.toFixed(1));
  document.getElementById("counts").replaceChildren(...Object.entries(status.counts || {}).map(([n, c]) => row(n, c)));
  if (status.age_s === null) tell("waiting for the first frame", true);
  else if (status.age_s > LATE_S) tell(`no frame for ${Math.round(status.age_s)} s`, true);
  else tell("live", false);
}

async function look() {
  try {
    const answer = await fetch("status", { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.statusText);
    show(await answer.json());
  } catch {
    tell("the trap does not answer", true);
  }
  setTimeout(look, 1000);
}

look();
